#!/bin/sh
# What the scripts that fetch the OGC's test suites share; sourced by them, run by nobody.

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

# What runs a suite; and the end, where somebody named a jar or it is there: need_suite NAMED JAR
need_suite() {
    need java openjdk-17-jre-headless
    [ -z "$1" ] || exit 0
    [ ! -e "$2" ] || exit 0
    need mvn maven
    mkdir -p .cache/cite
}

# Why Maven could not, from its log, and what to do: refuse LOG WORDS
refuse() {
    grep -m 1 ERROR "$1" >&2 || tail -n 1 "$1" >&2
    echo "$2" >&2
    exit 1
}
