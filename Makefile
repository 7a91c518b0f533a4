# Everything one does with a clone; `make help` lists it.
PORT ?= 8000
SHIKONG_DATA ?= .shikong
DATA ?= $(SHIKONG_DATA)
override SHIKONG_DATA := $(DATA)
export SHIKONG_DATA

bin := .venv/bin
packages := spatial layers tiles services
# First those that take longest each, or one process would be left with them at the end.
tests := tests/properties tests $(packages)
# Each process has a PostGIS of its own.
WORKERS ?= 2
at_once := -n $(WORKERS) --dist loadfile
pytest := $(bin)/python -m pytest --doctest-modules --ignore=layers/migrations

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo serve test test-long interop qgis cite cite-tiles cql2 fuzz-api \
    ogc-schemas peers bench-features bench-tiles bench-assign bench-ingest bench-overlay check audit format web \
    lock bundle test-bare clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## install what is missing to run the platform: Debian packages, .venv, the page's files
	@sh deploy/packages.sh demo
	@sh deploy/python.sh demo
	@sh deploy/web.sh

setup-test:  ## install what is missing to test it too
	@sh deploy/packages.sh test
	@sh deploy/python.sh test
	@sh deploy/web.sh
	@sh deploy/oidc.sh
	@sh deploy/openlayers.sh

demo: setup  ## publish the demo city and serve it on PORT (8000), with its data in DATA (.shikong)
	@exec $(bin)/shikong demo --port $(PORT)

serve: setup  ## serve what is published already on PORT (8000)
	@exec $(bin)/shikong serve --port $(PORT)

test: setup-test  ## every test this machine can run; STRICT=1 fails where one can't
	@exec $(pytest) $(at_once) $(tests)

test-long: setup-test  ## the tests again, with many more random examples
	@HYPOTHESIS_PROFILE=long exec $(pytest) $(at_once) $(tests)

cite: setup-test  ## the OGC's executable test suite for Features (Java; fetches its jar)
	-@sh deploy/cite.sh
	@exec $(pytest) -m outside -s tests/interop/test_cite.py

cite-tiles: setup-test  ## the OGC's executable test suite for Tiles (Java; builds its jar)
	-@sh deploy/cite-tiles.sh
	@exec $(pytest) -m outside -s tests/interop/test_cite_tiles.py

fuzz-api: setup-test  ## schemathesis: thousands of requests made from the OpenAPI document
	@exec $(pytest) -m outside -s tests/interop/test_schemathesis.py

ogc-schemas: setup-test  ## the OGC's JSON schemas (fetches them) over every kind of answer
	-@sh deploy/ogc-schemas.sh
	@exec $(pytest) -m outside tests/interop/test_ogc_schemas.py

interop: setup-test  ## only what others' clients say of us: GDAL, OWSLib, OpenLayers, MapLibre
	@exec $(pytest) tests/interop -s

qgis: setup-test  ## QGIS of Debian 12 and 13 as clients; installs both first (3 GB; the second as root)
	@sh deploy/qgis.sh
	@QGIS=1 exec $(pytest) tests/qgis

cql2: setup-test  ## the OGC's abstract test suite of CQL2, over HTTP in text and JSON
	@STRICT=1 exec $(bin)/python -m pytest tests/interop/test_cql2.py

check:  ## lint, format, types, floors, security and doctests
	@sh deploy/python.sh test
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/bandit --quiet --configfile pyproject.toml --recursive $(packages)
	@sh deploy/secrets.sh
	$(pytest) $(packages)
	@sh deploy/audit.sh

audit:  ## whether a pinned package has a known vulnerability; needs a line, and fails without
	@sh deploy/python.sh test
	@sh deploy/audit.sh --must

format:  ## let ruff mend and format what it can
	@sh deploy/python.sh test
	$(bin)/ruff check --fix
	$(bin)/ruff format

web: setup  ## fetch the page's map library anew
	@rm -f .cache/web
	@sh deploy/web.sh

lock:  ## resolve the Python packages anew, into deploy/constraints.txt
	@sh deploy/lock.sh

bundle: setup-test  ## one archive in dist/ from which demo and test work without network
	@sh deploy/bundle.sh

test-bare:  ## the README's commands in a bare Debian 12, online and from the bundle (as root; slow)
	@bash deploy/test-bare.sh

peers: setup  ## install the servers and engines that ours are compared with, into .cache/peers
	@sh deploy/peers.sh

bench-features: peers  ## features over HTTP beside tipg, pygeoapi and pg_featureserv; takes hours
	@$(bin)/python benchmarks/features.py $(OPTIONS)

bench-tiles: peers  ## tiles beside tipg, pg_tileserv, martin, bare granian, nginx; ten minutes
	@$(bin)/python benchmarks/tiling.py $(OPTIONS)

bench-assign: peers  ## points to polygons beside GeoPandas, DuckDB, SedonaDB, PostGIS; takes hours
	@$(bin)/python benchmarks/assignment.py $(OPTIONS)

bench-ingest: setup  ## what checks cost a publish, and what memory ten gigabytes take; about an hour
	@$(bin)/python benchmarks/ingest.py $(OPTIONS)

bench-overlay: setup  ## lines and polygons to grids beside geopandas.overlay; about 20 minutes
	@$(bin)/python benchmarks/overlay.py $(OPTIONS)

clean:  ## remove what was built or fetched, never the data
	rm -rf .venv .venv-old-* .cache build dist services/web/vendor \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
