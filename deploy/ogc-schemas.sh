#!/bin/sh
# The JSON schemas of the OGC's standards: sh deploy/ogc-schemas.sh
# Puts them, as the OGC keeps them, into .cache/ogc-schemas, for tests/interop/test_ogc_schemas.py.
# They are the OGC's: nothing of them is part of this project. OGC_GIT is the address of a mirror
# of the OGC's repositories, inside a network without a line.
set -eu
cd "$(dirname "$0")/.."

from=${OGC_GIT:-https://github.com/opengeospatial}
made_from=$(sha256sum <deploy/ogc-schemas.sh | cut -c1-16)

# The folders of a repository at a commit: take REPOSITORY COMMIT FOLDER...
take() {
    git init -q --bare ".cache/ogc-schemas.new/$1.git"
    git -C ".cache/ogc-schemas.new/$1.git" fetch -q --depth 1 "$from/$1" "$2"
    mkdir ".cache/ogc-schemas.new/$1"
    repository=$1
    shift 2
    git -C ".cache/ogc-schemas.new/$repository.git" archive FETCH_HEAD "$@" |
        tar -x -C ".cache/ogc-schemas.new/$repository"
    rm -rf ".cache/ogc-schemas.new/$repository.git"
}

is_ready() {
    [ "$(cat .cache/ogc-schemas/made_from)" = "$made_from" ]
} 2>/dev/null

mkdir -p .cache
exec 9>.cache/ogc-schemas.lock
flock 9
is_ready && exit 0
echo "Fetching the OGC's JSON schemas"
rm -rf .cache/ogc-schemas.new
mkdir .cache/ogc-schemas.new
take ogcapi-features 94e814bfa9af6ad308c474621ad18548357b0bc8 core/openapi/schemas \
    extensions/crs/openapi/schemas proposals/atomic-batch-tx/openapi/schemas
take ogcapi-common 3828187a8fc5e98386743afcdd0c0d650855956f 19-072/openapi/schemas
take ogcapi-tiles dabbe22ad2eec931a4f32289ffaa3f1a2aea6ed1 openapi/schemas
take ogcapi-processes 52a53a466c2cc9feca7f1c5dee463345fbf569d6 core/openapi/schemas # 1.0
take 2D-Tile-Matrix-Set 7cee2f8cd03b07bf457683321747be41d10abe66 schemas/tms/2.0/json
take ogc-feat-geo-json 91d70fb81835352b7199eb4fecd22bdac1401127 core/schemas
echo "$made_from" >.cache/ogc-schemas.new/made_from
rm -rf .cache/ogc-schemas
mv .cache/ogc-schemas.new .cache/ogc-schemas
