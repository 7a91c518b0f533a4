#!/bin/sh
# The servers that benchmarks/features.py and benchmarks/tiling.py compare, and the engines of
# benchmarks/assignment.py: sh deploy/peers.sh
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
install granian granian==2.8.7 uvloop
install adbc adbc-driver-postgresql==1.13.0 pyarrow==26.0.1 pyogrio==0.13.0

# These have no releases for all machines: they are built, from a checked-out folder where one is
# named, else from the Go module proxy.
# build NAME SOURCE-VARIABLE
build() {
    [ -x ".cache/peers/$1" ] && return
    target=$PWD/.cache/peers
    eval "source=\${$2:-}"
    if ! command -v go >/dev/null; then
        echo "$1 is left out: there is no Go here to build it with" >&2
    elif [ -n "$source" ]; then
        (cd "$source" && go build -buildvcs=false -o "$target/$1" .) || echo "$1 is left out" >&2
    elif ! GOBIN=$target go install "github.com/CrunchyData/$1@latest"; then
        echo "$1 is left out: check its source out, and name the folder in $2" >&2
    fi
}

build pg_featureserv PG_FEATURESERV_SOURCE
build pg_tileserv PG_TILESERV_SOURCE

# By its own locked list of packages, with what it serves a PostGIS with alone.
if [ ! -x .cache/peers/martin/bin/martin ]; then
    if ! command -v cargo >/dev/null; then
        echo "martin is left out: there is no Rust here to build it with" >&2
    elif ! cargo install --quiet martin@1.14.0 --locked \
        --no-default-features --features postgres --root .cache/peers/martin; then
        echo "martin is left out: cargo could not build it" >&2
    fi
fi

for program in wrk nginx ogr2ogr; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] ||
        echo "$program is missing; Debian has it: wrk, nginx-light, gdal-bin" >&2
done
