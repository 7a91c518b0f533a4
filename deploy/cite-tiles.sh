#!/bin/sh
# The OGC's executable test suite for Tiles: sh deploy/cite-tiles.sh
# Its all-in-one jar is in no registry: it is built here, from the OGC's sources at one commit, by
# Debian's Maven (Maven takes no file whose checksum is not that of the registry), into .cache/cite.
# OGC_GIT is the address of a mirror of the OGC's repositories, inside a network without a line. Who
# has a jar already names it: CITE_TILES_JAR=/some/ets-ogcapi-tiles10-aio.jar make cite-tiles
set -eu
cd "$(dirname "$0")/.."
. deploy/cite-needs.sh

from=${OGC_GIT:-https://github.com/opengeospatial}
commit=94900dbf03ed5b373dd785fdee7dbc16c5f1bc36
jar=.cache/cite/ets-ogcapi-tiles10-$commit-aio.jar

need_suite "${CITE_TILES_JAR:-}" "$jar"
need git git
need javac openjdk-17-jdk-headless
sources=.cache/cite/ets-ogcapi-tiles10
rm -rf "$sources"
git init -q "$sources"
echo "Fetching the OGC's test suite for Tiles"
git -C "$sources" fetch -q --depth 1 "$from/ets-ogcapi-tiles10" "$commit"
git -C "$sources" checkout -q FETCH_HEAD
echo "Building it, which takes minutes"
# Debian's Maven is older than the one that it asks for, and builds it all the same.
if ! (cd "$sources" && mvn --batch-mode --strict-checksums -DskipTests -Denforcer.skip=true \
    -Dmaven.buildNumber.skip=true -Dmaven.javadoc.skip=true package) >.cache/cite/tiles-log 2>&1; then
    refuse .cache/cite/tiles-log \
        "Maven can't build it; name a jar that you have: CITE_TILES_JAR=... make cite-tiles"
fi
cp "$sources"/target/*-aio.jar "$jar"
rm -rf "$sources"
