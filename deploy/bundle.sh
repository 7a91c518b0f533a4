#!/bin/sh
# Everything for a machine without network: sh deploy/bundle.sh
# Writes dist/shikong-<version>-offline.tar: the tracked files, and in offline/ the wheels, the
# page's files, the tests' sign-in provider and the Debian packages that deploy/*.sh then take
# instead of asking a registry.
# Made on a machine like the one it is for: the same Debian, Python and processor.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
name=shikong-$version
build=$(pwd)/dist/bundle
offline=$build/$name/offline
# What the three lists of deploy/packages.sh hold.
packages=$(sed -n 's/^\(base\|database\|tools\)="\(.*\)"$/\2/p' deploy/packages.sh | tr '\n' ' ')

tracked_files() {
    mkdir -p "$build/$name"
    git archive HEAD | tar -x -C "$build/$name"
    git diff --quiet HEAD || echo "note: the archive holds the last commit, not your changes to it"
}

wheels() {
    # hatchling and editables build the platform itself on the other machine.
    .venv/bin/python -m pip wheel --quiet --no-input --disable-pip-version-check \
        --constraint deploy/constraints.txt --wheel-dir "$offline/wheels" \
        --requirement .cache/requirements.txt 'hatchling<2' editables '.[notebook]'
    rm -f "$offline/wheels/shikong-"*
}

# The closure for a machine that has nothing at all: apt is shown an empty list of packages.
debian_packages() {
    mkdir -p "$build/apt/archives/partial" "$offline/debs"
    : >"$build/apt/status"
    # shellcheck disable=SC2086 # a list of words
    apt-get -qq -y --download-only -o APT::Install-Recommends=false -o APT::Sandbox::User=root \
        -o Dir::State::status="$build/apt/status" -o Dir::Cache="$build/apt" \
        -o APT::Keep-Downloaded-Packages=true install $packages
    mv "$build/apt/archives/"*.deb "$offline/debs"
    (cd "$offline/debs" && for file in *.deb; do
        dpkg-deb --field "$file"
        echo "Filename: ./$file"
        echo "Size: $(stat -c %s "$file")"
        printf 'SHA256: %s\n\n' "$(sha256sum "$file" | cut -d ' ' -f 1)"
    done) >"$build/Packages"
    mv "$build/Packages" "$offline/debs"
}

rm -rf "$build"
tracked_files
mkdir -p "$offline/web"
cp services/web/vendor/maplibre-gl/* "$offline/web"
cp -R .cache/oidc/node_modules "$offline/oidc"
mkdir -p "$offline/openlayers"
cp .cache/openlayers/ol.* .cache/openlayers/LICENSE.md "$offline/openlayers"
wheels
debian_packages
# Not compressed: nearly all of it is already.
tar -C "$build" -cf "dist/$name-offline.tar.new" "$name"
mv "dist/$name-offline.tar.new" "dist/$name-offline.tar"
rm -rf "$build"
ls -sh "dist/$name-offline.tar"
