#!/bin/sh
# OpenLayers, with which the tests look at a server as another's page does: sh deploy/openlayers.sh
# Copies what a browser loads of the package that tests/interop/openlayers/package-lock.json names
# into .cache/openlayers. Nothing that is released holds any of it.
set -eu
cd "$(dirname "$0")/.."
. deploy/npm.sh

made_from=$(cat tests/interop/openlayers/package-lock.json deploy/openlayers.sh | sha256sum | cut -c1-16)

is_ready() {
    [ "$(cat .cache/openlayers/made_from)" = "$made_from" ]
} 2>/dev/null

mkdir -p .cache
exec 9>.cache/openlayers.lock
flock 9
is_ready && exit 0
echo "Fetching OpenLayers"
rm -rf .cache/openlayers.new
mkdir .cache/openlayers.new
if [ -d offline/openlayers ]; then
    cp offline/openlayers/* .cache/openlayers.new
else
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    install_packages tests/interop/openlayers "$scratch"
    from=$scratch/node_modules/ol
    cp "$from/dist/ol.js" "$from/ol.css" "$from/LICENSE.md" .cache/openlayers.new
fi
echo "$made_from" >.cache/openlayers.new/made_from
rm -rf .cache/openlayers
mv .cache/openlayers.new .cache/openlayers
