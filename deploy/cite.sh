#!/bin/sh
# The OGC's executable test suite for Features: sh deploy/cite.sh
# Puts its all-in-one jar into .cache/cite, by Maven from Maven Central (Maven takes no file whose
# checksum is not that of the registry), with Debian's Java and Maven where they are missing.
# Who has a jar already names it: CITE_JAR=/some/ets-ogcapi-features10-1.9-aio.jar make cite
set -eu
cd "$(dirname "$0")/.."

version=1.9
jar=.cache/cite/ets-ogcapi-features10-$version-aio.jar

# A program, or the Debian package that has it: need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $2"
        sh deploy/packages.sh install "$2" && return
    fi
    echo "$1 is missing; as root, run: apt-get install $2" >&2
    exit 1
}

need java openjdk-17-jre-headless
[ -z "${CITE_JAR:-}" ] || exit 0
[ ! -e "$jar" ] || exit 0
need mvn maven
mkdir -p .cache/cite
echo "Fetching the OGC's test suite for Features $version"
if ! mvn --batch-mode --quiet --strict-checksums \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory=.cache/cite \
    "-Dartifact=org.opengis.cite:ets-ogcapi-features10:$version:jar:aio" >.cache/cite/log 2>&1; then
    grep -m 1 ERROR .cache/cite/log >&2
    echo "Maven can't have it; name a jar that you have: CITE_JAR=... make cite" >&2
    exit 1
fi
