#!/bin/sh
# The page's map library: sh deploy/web.sh
# Copies what a browser loads of the package that services/web/package-lock.json names into
# services/web/vendor, which the wheel carries: whoever installs that needs no Node.
set -eu
cd "$(dirname "$0")/.."
. deploy/npm.sh

files="maplibre-gl.mjs maplibre-gl-worker.mjs maplibre-gl.css LICENSE.txt"
vendor=services/web/vendor/maplibre-gl
made_from=$(cat services/web/package-lock.json deploy/web.sh | sha256sum | cut -c1-16)

is_ready() {
    [ "$(cat .cache/web)" = "$made_from" ] || return 1
    for file in $files; do
        [ -s "$vendor/$file" ] || return 1
    done
} 2>/dev/null

# Leaves a folder with the files in $scratch/dist.
download() {
    install_packages services/web "$scratch"
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
