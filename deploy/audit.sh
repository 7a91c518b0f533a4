#!/bin/sh
# Known vulnerabilities of the pinned packages: sh deploy/audit.sh [--must]
# Fails where one is known. Where nobody can be asked it says so and goes on; with --must it fails.
# OSV_URL is the address of a mirror of osv.dev's query service, inside a network without a line.
set -eu
cd "$(dirname "$0")/.."

must=${1:-}
# Vulnerabilities we live with: --ignore-vuln and an id each, and the reason in a comment here.
accepted=""
# Everybody knows the holes of this one since 2014. pip-audit says "no known vulnerabilities" of
# packages that a service can't find, too: one that does not know these is not believed.
known_bad="jinja2==2.4.1"

ask() {
    limit=$1
    shift
    set -- "$@" --disable-pip --no-deps --progress-spinner off --timeout 5 --cache-dir .cache/audit
    if [ -n "${OSV_URL:-}" ]; then
        set -- "$@" --vulnerability-service osv --osv-url "$OSV_URL"
    fi
    timeout "$limit" .venv/bin/python -m pip_audit "$@" 2>.cache/audit.errors
}

not_asked() {
    echo "NOT AUDITED: $1. The pinned packages may have known vulnerabilities;" \
        "where there is a line, run: make audit" >&2
    [ "$must" != --must ]
    exit
}

mkdir -p .cache
echo "$known_bad" >.cache/audit.txt
if ! ask 30 --format json --requirement .cache/audit.txt | grep -q '"vulns": \[{"id"'; then
    not_asked "no service that knows vulnerabilities answers"
fi
# shellcheck disable=SC2086 # a list of words
if ask 600 $accepted --requirement deploy/constraints.txt >.cache/audit.found; then
    cat .cache/audit.found # what the service does not know, if anything
    echo "No known vulnerability in deploy/constraints.txt"
elif [ -s .cache/audit.found ]; then
    cat .cache/audit.found
    echo "Take a mended version (make lock), or say why not in deploy/audit.sh" >&2
    exit 1
else
    not_asked "$(tail -n 1 .cache/audit.errors)"
fi
