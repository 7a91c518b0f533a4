#!/bin/sh
# The OGC's executable test suite for Features: sh deploy/cite.sh
# Puts its all-in-one jar into .cache/cite, by Maven from Maven Central (Maven takes no file whose
# checksum is not that of the registry), with Debian's Java and Maven where they are missing.
# Who has a jar already names it: CITE_JAR=/some/ets-ogcapi-features10-1.9-aio.jar make cite
set -eu
cd "$(dirname "$0")/.."
. deploy/cite-needs.sh

version=1.9
jar=.cache/cite/ets-ogcapi-features10-$version-aio.jar

need_suite "${CITE_JAR:-}" "$jar"
echo "Fetching the OGC's test suite for Features $version"
if ! mvn --batch-mode --quiet --strict-checksums \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory=.cache/cite \
    "-Dartifact=org.opengis.cite:ets-ogcapi-features10:$version:jar:aio" >.cache/cite/log 2>&1; then
    refuse .cache/cite/log "Maven can't have it; name a jar that you have: CITE_JAR=... make cite"
fi
