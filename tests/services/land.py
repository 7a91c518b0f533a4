"""A land register to edit: layers that differ in what they take, and whoever edits them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import httpx2
import shapely
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer

GEOJSON, PATCH = "application/geo+json", "application/merge-patch+json"
OWNER = Writer("tests")
START = datetime(2020, 1, 1, tzinfo=UTC)
SQUARE = [[[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [1.0, 1.0]]]
FIELDS = [
    {"id": "no", "role": "key"},
    {"id": "name", "required": True},
    {"id": "use", "codes": {"01": "field", "02": "forest"}},
    {"id": "size", "type": "number"},
    {"id": "floors", "type": "integer"},
    {"id": "listed", "type": "boolean"},
    {"id": "built", "type": "date"},
    {"id": "seen", "type": "instant"},
    {"id": "sheet", "pattern": "[A-Z][0-9]{3}"},
    {"id": "note", "visibility": "internal"},
    {"id": "owner", "visibility": "restricted"},
]


def schema_of(**others: Any) -> Any:
    document = {"title": "t", "geometry": "Polygon", "time_zone": "UTC", "visibility": "public"}
    return parse_schema(document | {"fields": FIELDS, "division": "no"} | others)


@dataclass(frozen=True)
class Desk:
    """An application on a store of one's own, and whoever comes to it."""

    store: Store
    client: TestClient
    granted: Callable[..., dict[str, str]]

    def send(
        self, method: str, path: str, body: Any = None, kind: str = GEOJSON, **headers: str
    ) -> httpx2.Response:
        """Send a body as the editor, with headers that have _ for -."""
        sent = {**self.editor, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            sent["Content-Type"] = kind
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self.client.request(method, path, content=content, headers=sent)

    @property
    def editor(self) -> dict[str, str]:
        return self.granted(Terms(Role.EDITOR))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        answer = self.client.get(path, headers=headers or self.editor)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def head(self, layer: str = "land") -> int:
        return int(self.get(f"/collections/{layer}")["revision"])


def build(store: Store) -> None:
    """Two features in each of some layers, from 2020 on."""
    rows: dict[str, list[Any]] = {"no": ["a1", "b2"], "name": ["A", "B"], "use": ["01", "99"]}
    rows |= {"size": [1.5, None], "floors": [3, None], "owner": ["Li", "Wu"], "note": ["n", "m"]}
    shapes = [shapely.Polygon(SQUARE[0]), shapely.Polygon([(5, 5), (6, 5), (6, 6), (5, 5)])]
    for layer, others in {
        "land": {},
        "past": {"backdating": True},
        "guarded": {"if_match": True},
        "inner": {"visibility": "internal"},
    }.items():
        frame = gpd.GeoDataFrame(rows, geometry=shapes, crs="OGC:CRS84")
        reload = Reload(FrameSource(frame), schema=schema_of(**others), valid_from=START)
        store.commit({layer: reload}, OWNER, "first")
    bare = gpd.GeoDataFrame({"k": ["x"]}, geometry=[shapely.Point(1, 1)], crs="OGC:CRS84")
    document = {"title": "t", "geometry": "Point", "time_zone": "UTC", "visibility": "public"}
    schema = parse_schema(document | {"fields": [{"id": "k"}]})
    store.commit({"bare": Reload(FrameSource(bare), schema=schema, valid_from=START)}, OWNER, "")


LAND = "/collections/land/items"
A1 = f"{LAND}/a1"


def feature(no: str | None = "c3", geometry: Any = "square", **properties: Any) -> dict[str, Any]:
    if geometry == "square":
        geometry = {"type": "Polygon", "coordinates": SQUARE}
    own = {} if no is None else {"no": no}
    own |= {"name": "C"} | properties
    return {"type": "Feature", "properties": own, "geometry": geometry}
