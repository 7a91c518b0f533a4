"""The OGC's own JSON schemas, over every kind of answer.

Not part of `make test`: the schemas are the OGC's, and none of them is in this project. `make
ogc-schemas` fetches them (`deploy/ogc-schemas.sh`) and runs this. They are taken as they are; only
what OpenAPI 3.0 writes in its own way (`nullable`) is turned into JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from starlette.testclient import TestClient

from layers.store import Store
from services.app import create_app
from services.settings import Settings

pytestmark = pytest.mark.outside
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "ogc-schemas"
HERE = "https://schemas.invalid/"
# Where the schemas name each other by the address at which the OGC publishes them.
PUBLISHED = {
    "https://schemas.opengis.net/ogcapi/features/part1/1.0/openapi/schemas/": "ogcapi-features/core"
    "/openapi/schemas/",
    "https://schemas.opengis.net/json-fg/": "ogc-feat-geo-json/core/schemas/",
}
FEATURES = "ogcapi-features/core/openapi/schemas"
CRS = "ogcapi-features/extensions/crs/openapi/schemas"
JSON_FG = "ogc-feat-geo-json/core/schemas"
TMS = "2D-Tile-Matrix-Set/schemas/tms/2.0/json"
TILES = "ogcapi-tiles/openapi/schemas"
PROCESSES = "ogcapi-processes/core/openapi/schemas"
EXECUTE = "/processes/assign-cases-to-grids/execution"
JULY = {"cases": "incidents", "grids": "grids", "datetime": "2023-07-01/2023-08-01"}
PARCELS = "/collections/parcels"
OWN_SETS = ("WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w")


@dataclass(frozen=True)
class Kind:
    """One kind of answer: where it is had, and the schemas that the standards have for it.

    Attributes
    ----------
    within : tuple of str
        The way to the part that the schema is of; ``*`` is each of a list.
    """

    name: str
    address: str
    schemas: tuple[str, ...]
    within: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    status: int = 200
    accept: str = "*/*"

    def __str__(self) -> str:
        return self.name


def _features(name: str, address: str, **more: Any) -> Kind:
    return Kind(name, address, (f"{FEATURES}/featureCollectionGeoJSON.yaml",), **more)


KINDS = (
    Kind("landing page", "/", (f"{FEATURES}/landingPage.yaml", f"{PROCESSES}/landingPage.yaml")),
    Kind(
        "conformance",
        "/conformance",
        (f"{FEATURES}/confClasses.yaml", f"{PROCESSES}/confClasses.yaml"),
    ),
    Kind(
        "collections", "/collections", (f"{FEATURES}/collections.yaml", f"{CRS}/collections.yaml")
    ),
    # Not by collectionInfo.yaml of Tiles as well: it takes the extent's own members (spatial and
    # temporal) for further dimensions, and nothing has an extent that it would pass.
    Kind(
        "collection", PARCELS, (f"{FEATURES}/collection.yaml", f"{CRS}/collectionExtensionCrs.yaml")
    ),
    Kind(
        "collection of events",
        "/collections/incidents",
        (f"{FEATURES}/collection.yaml", f"{CRS}/collectionExtensionCrs.yaml"),
    ),
    _features("polygons", f"{PARCELS}/items?limit=500"),
    _features("lines", "/collections/pipe_segments/items?limit=500"),
    _features("points", "/collections/pipe_nodes/items?limit=500"),
    _features("events", "/collections/incidents/items?limit=500"),
    _features("no features", f"{PARCELS}/items?bbox=0,0,1,1&ml=nowhere"),
    _features("versions in an interval", f"{PARCELS}/items?limit=500&datetime=2013-01-01/.."),
    _features("versions of a feature", f"{PARCELS}/items/169-100/versions"),
    Kind("feature", f"{PARCELS}/items/169-100", (f"{FEATURES}/featureGeoJSON.yaml",)),
    Kind(
        "version",
        f"{PARCELS}/items/169-100.20140514T040000.000000Z",
        (f"{FEATURES}/featureGeoJSON.yaml",),
    ),
    Kind(
        "JSON-FG page",
        f"{PARCELS}/items?f=jsonfg&limit=500",
        (f"{JSON_FG}/featurecollection.json",),
    ),
    Kind(
        "JSON-FG page of events",
        "/collections/incidents/items?f=jsonfg&limit=500",
        (f"{JSON_FG}/featurecollection.json",),
    ),
    Kind("JSON-FG feature", f"{PARCELS}/items/169-100?f=jsonfg", (f"{JSON_FG}/feature.json",)),
    Kind("schema", f"{PARCELS}/schema", ()),
    Kind("queryables", f"{PARCELS}/queryables", ()),
    Kind("sortables", f"{PARCELS}/sortables", ()),
    Kind("tilesets", f"{PARCELS}/tiles", (f"{TILES}/tms/tileSet-item.yaml",), ("tilesets", "*")),
    Kind(
        "tileset",
        f"{PARCELS}/tiles/WebMercatorQuad",
        (f"{TMS}/tileSet.json", f"{TILES}/tms/tileSet.yaml"),
    ),
    *(
        Kind(
            f"tileset {name}",
            f"{PARCELS}/tiles/{name}",
            (f"{TMS}/tileSet.json", f"{TILES}/tms/tileSet.yaml"),
        )
        for name in OWN_SETS
    ),
    Kind("tilesets of several", "/tiles", (f"{TILES}/tms/tileSet-item.yaml",), ("tilesets", "*")),
    Kind(
        "tileset of several",
        "/tiles/WebMercatorQuad?datetime=2023-06-01&commit=5",
        (f"{TMS}/tileSet.json", f"{TILES}/tms/tileSet.yaml"),
    ),
    *(
        Kind(
            f"tile matrix set {name}",
            f"/tileMatrixSets/{name}",
            (f"{TMS}/tileMatrixSet.json", f"{TILES}/tms/tileMatrixSet.yaml"),
        )
        for name in OWN_SETS
    ),
    Kind(
        "tile matrix sets",
        "/tileMatrixSets",
        (f"{TILES}/tms/tileMatrixSet-item.yaml",),
        ("tileMatrixSets", "*"),
    ),
    Kind(
        "tile matrix set",
        "/tileMatrixSets/WebMercatorQuad",
        (f"{TMS}/tileMatrixSet.json", f"{TILES}/tms/tileMatrixSet.yaml"),
    ),
    Kind("processes", "/processes", (f"{PROCESSES}/processList.yaml",)),
    Kind("process", "/processes/assign-cases-to-grids", (f"{PROCESSES}/process.yaml",)),
    Kind(
        "results",
        EXECUTE,
        (f"{PROCESSES}/results.yaml",),
        body={"inputs": JULY, "response": "document"},
    ),
    *(
        Kind(
            f"{status} {why}",
            address,
            (f"{FEATURES}/exception.yaml", "ogcapi-common/19-072/openapi/schemas/exception.yaml"),
            status=status,
            body=body,
        )
        for status, why, address, body in (
            (400, "bad value", f"{PARCELS}/items?limit=many", None),
            (400, "unknown parameter", "/conformance?x=1", None),
            (401, "no key", f"{PARCELS}/approval", {}),
            (404, "unknown collection", "/collections/nowhere", None),
            (404, "unknown path", "/nowhere", None),
            (404, "unknown process", "/processes/nope/execution", {"inputs": {}}),
            (404, "tile outside", f"{PARCELS}/tiles/WebMercatorQuad/3/99/99", None),
            (405, "no such method", "/conformance", {}),
            (406, "unknown format", f"{PARCELS}?f=gml", None),
        )
    ),
)


@dataclass(frozen=True)
class Standards:
    """The schemas of the standards, by their paths."""

    registry: Registry[Any]

    def faults(self, schema: str, document: Any) -> Iterator[str]:
        """Yield what the schema at a path finds wrong with a document."""
        asked = {"$ref": urljoin(HERE, schema)}
        checked = Draft202012Validator(
            asked, registry=self.registry, format_checker=FormatChecker(["date-time", "date"])
        )
        for error in checked.iter_errors(document):
            yield f"{schema}: {said(error)}"


def said(error: ValidationError) -> str:
    """Return where the deepest cause of an error lies, and what it is."""
    while error.context:
        error = max(error.context, key=lambda cause: len(cause.absolute_path))
    return f"{error.json_path}: {error.message[:300]}"


def _read(file: Path) -> tuple[str, Resource[Any]]:
    uri = HERE + file.relative_to(FOLDER).as_posix()
    text = file.read_bytes()
    read = orjson.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    return uri, DRAFT202012.create_resource(_as_2020_12(read, uri))


def _as_2020_12(schema: Any, uri: str) -> Any:
    """OpenAPI 3.0's way of null; YAML's null for the word; references to where the schemas are."""
    if isinstance(schema, list):
        return [_as_2020_12(s, uri) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: _as_2020_12(v, uri) for k, v in schema.items() if k not in ("$id", "$schema")}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = _where(urljoin(uri, made["$ref"]))
    if "type" in made and not isinstance(made["type"], dict):
        types = made["type"] if isinstance(made["type"], list) else [made["type"]]
        made["type"] = ["null" if t is None else t for t in types]
    return {"anyOf": [{"type": "null"}, made]} if made.get("nullable") is True else made


def _where(uri: str) -> str:
    uri = uri.replace("http://schemas.opengis.net", "https://schemas.opengis.net")
    for published, path in PUBLISHED.items():
        uri = uri.replace(published, HERE + path)
    return uri


@pytest.fixture(scope="module")
def standards() -> Standards:
    """The schemas, where they were fetched."""
    if not FOLDER.is_dir():
        pytest.skip("the OGC's schemas are not there: sh deploy/ogc-schemas.sh fetches them")
    files = [f for f in FOLDER.rglob("*") if f.suffix in (".json", ".yaml") and "min" not in f.name]
    return Standards(Registry().with_resources(_read(file) for file in files))


@pytest.fixture(scope="module")
def client(demo_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = create_app(demo_store, Settings(tmp_path_factory.mktemp("data")))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def _answer(client: TestClient, kind: Kind) -> Any:
    if kind.body is None:
        answer = client.get(kind.address)
    else:
        answer = client.post(kind.address, json=dict(kind.body))
    assert answer.status_code == kind.status, (kind.address, answer.text[:500])
    assert answer.headers["content-type"].split(";")[0].endswith("json")
    return answer.json()


def _parts(document: Any, within: tuple[str, ...]) -> list[Any]:
    if not within:
        return [document]
    first, *rest = within
    parts = document if first == "*" else [document[first]]
    return [part for below in parts for part in _parts(below, tuple(rest))]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_answers_are_as_the_standards_have_them(
    standards: Standards, client: TestClient, kind: Kind
) -> None:
    parts = _parts(_answer(client, kind), kind.within)
    assert parts
    faults = [f for part in parts for s in kind.schemas for f in standards.faults(s, part)]
    assert not faults, "\n".join(faults[:10])


@pytest.mark.parametrize("name", ["schema", "queryables", "sortables"])
def test_schemas_of_features_are_schemas(client: TestClient, name: str) -> None:
    """Part 5 and Part 3 have no schema of their own for these: they are JSON Schema themselves."""
    for layer in ("parcels", "incidents", "pipe_segments"):
        there = f"/collections/{layer}/{name}"
        answer = client.get(there, headers={"Accept": "application/schema+json"})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        Draft202012Validator.check_schema(found)
        assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert found["$id"].endswith(there)
        assert found["type"] == "object"
        assert found["properties"]


def test_the_schemas_find_faults(standards: Standards, client: TestClient) -> None:
    """A validator that reads nothing finds nothing wrong."""
    page = client.get(f"{PARCELS}/items?limit=1").json()
    schema = f"{FEATURES}/featureCollectionGeoJSON.yaml"
    assert not list(standards.faults(schema, page))
    page["features"][0]["geometry"]["coordinates"] = [["here"]]
    assert list(standards.faults(schema, page))
    page["features"][0]["geometry"] = None
    assert not list(standards.faults(schema, page))
    page["links"] = [{"href": 1}]
    assert list(standards.faults(schema, page))
