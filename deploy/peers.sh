#!/bin/sh
# The servers that benchmarks/features.py compares, and the engines of benchmarks/assignment.py:
# sh deploy/peers.sh
# Each goes into an environment of its own in .cache/peers; nothing that is released, and no test,
# needs any of them. What can't be had is said and left out of the tables.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
serving="uvicorn[standard]==0.54.0"
mkdir -p .cache/peers
exec 9>.cache/peers.lock
flock 9

# install NAME REQUIREMENT...
install() {
    name=$1 && shift
    wanted="$*"
    [ "$(cat ".cache/peers/$name/wanted" 2>/dev/null)" = "$wanted" ] && return
    echo "Installing $name"
    rm -rf ".cache/peers/$name"
    "$python" -m venv ".cache/peers/$name"
    ".cache/peers/$name/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@"
    echo "$wanted" >".cache/peers/$name/wanted"
}

install tipg tipg==1.6.1 "$serving"
install pygeoapi pygeoapi==0.21.0 psycopg2-binary geoalchemy2 starlette "$serving"
# Beside what the platform has itself; DuckDB's extension is a file of its package.
install assignment duckdb==1.5.5 duckdb-extension-spatial==1.5.5 sedonadb==0.5.0 \
    geopandas pyarrow shapely --constraint deploy/constraints.txt
install adbc adbc-driver-postgresql==1.13.0 pyarrow==26.0.1 pyogrio==0.13.0

# pg_featureserv has no releases for all machines: it is built, from a checked-out folder where
# PG_FEATURESERV_SOURCE names one, else from the Go module proxy.
if [ ! -x .cache/peers/pg_featureserv ]; then
    target=$PWD/.cache/peers
    if ! command -v go >/dev/null; then
        echo "pg_featureserv is left out: there is no Go here to build it with" >&2
    elif [ -n "${PG_FEATURESERV_SOURCE:-}" ]; then
        (cd "$PG_FEATURESERV_SOURCE" && go build -buildvcs=false -o "$target/pg_featureserv" .)
    elif ! GOBIN=$target go install github.com/CrunchyData/pg_featureserv@latest; then
        echo "pg_featureserv is left out: check its source out, and name the folder in" \
            "PG_FEATURESERV_SOURCE" >&2
    fi
fi

for program in wrk ogr2ogr; do
    command -v "$program" >/dev/null || echo "$program is missing; Debian has it: wrk, gdal-bin" >&2
done
