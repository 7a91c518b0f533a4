"""What QGIS sends when its user edits, sent again by plain HTTP.

Requests, headers and bodies are those of QGIS 3.30 and later, written anew after reading its
provider (src/providers/wfs/oapif); `make qgis` has a real one edit. Its peculiarities: no
``If-Match``; a ``Content-Crs`` without angle brackets; merge patches of the geometry alone or of
the properties alone; in a PUT an id that looks like a number is one; empty fields are null.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import orjson
import pytest
import shapely

from layers.access.grants import Role, Terms
from tests.interop import wells
from tests.interop.conftest import Server

AGENT = "Mozilla/5.0 QGIS/34006/Debian GNU/Linux 13 (trixie)"
CGCS2000 = "http://www.opengis.net/def/crs/EPSG/0/4490"
EMPTY = {
    "keeper": None,
    "street": None,
    "depth": None,
    "rings": None,
    "dug": None,
    "measured": None,
    "dry": None,
}


@dataclass
class Said:
    status: int
    headers: Message
    body: Any = field(repr=False)

    @property
    def allowed(self) -> set[str]:
        return {method.strip() for method in self.headers.get("Allow", "").split(",")}


@dataclass
class Qgis:
    """The requests of QGIS's provider, by what they are for."""

    server: Server
    key: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        content = None if body is None else orjson.dumps(body)
        own = {"User-Agent": AGENT, "Authorization": f"Bearer {self.key}", "Accept": "*/*"}
        given = own | {k.replace("_", "-"): v for k, v in headers.items()}
        address = f"{self.server.base}/collections/wells/items{path}"
        request = urllib.request.Request(address, content, given, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return Said(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Said(error.code, error.headers, error.read())

    def options(self, path: str = "") -> Said:
        return self.ask("OPTIONS", path)

    def create(self, feature: Any, **headers: str) -> Said:
        return self.ask("POST", "", feature, Content_Type="application/geo+json", **headers)

    def put(self, feature_id: str, feature: Any, **headers: str) -> Said:
        kind = "application/geo+json"
        return self.ask("PUT", f"/{feature_id}", feature, Content_Type=kind, **headers)

    def patch(self, feature_id: str, change: Any, **headers: str) -> Said:
        kind = "application/merge-patch+json"
        return self.ask("PATCH", f"/{feature_id}", change, Content_Type=kind, **headers)

    def delete(self, feature_id: str) -> Said:
        return self.ask("DELETE", f"/{feature_id}")


@pytest.fixture
def qgis(own_server: Server) -> Qgis:
    wells.publish(own_server.dsn, count=3)
    return Qgis(own_server, own_server.key(Terms(Role.EDITOR)))


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def well(qgis: Qgis, no: str) -> Any:
    return wells.read(qgis.server.dsn, "wells").set_index("no").loc[no]


def test_it_asks_first_what_it_may(qgis: Qgis) -> None:
    assert "POST" in qgis.options().allowed
    for path in ("/W00000", "/unknown_id"):
        assert {"PUT", "PATCH", "DELETE"} <= qgis.options(path).allowed
    reader = Qgis(qgis.server, qgis.server.key(Terms(Role.READER)))
    assert "POST" not in reader.options().allowed


def test_it_creates(qgis: Qgis) -> None:
    """Then reads what was made, at the place that the answer names."""
    properties = EMPTY | {"no": "W9", "dug": "2024-05-14", "measured": "2024-05-14T01:02:03.000Z"}
    feature = {"type": "Feature", "geometry": point(118.5, 39.5), "properties": properties}
    made = qgis.create(feature)
    assert made.status == 201
    # 3.40 takes no notice of a name in small letters.
    assert "Location" in made.headers.keys()  # noqa: SIM118 - "in headers" has no case
    assert made.headers["Location"].rpartition("/items/")[2] == "W9"
    assert qgis.ask("GET", "/W9", Accept="application/geo+json, application/json").status == 200
    kept = well(qgis, "W9")
    assert kept.geometry == shapely.Point(118.5, 39.5)
    assert kept["dug"].isoformat() == "2024-05-14"
    assert kept["measured"].isoformat().startswith("2024-05-14T01:02:03")


@pytest.mark.parametrize(
    "fields", [("time_start", "time_end"), ("valid_from", "valid_to")], ids=["3.40", "3.44"]
)
def test_it_sends_the_period_with_a_new_feature(qgis: Qgis, fields: tuple[str, str]) -> None:
    """From 3.44 on it has the fields of the schema, before that those that GDAL makes of `time`."""
    listed = qgis.server.json("/collections/wells/schema")["properties"]
    assert {"valid_from", "valid_to"} <= listed.keys()
    properties = EMPTY | dict.fromkeys(fields) | {"no": "W9"}
    feature = {"type": "Feature", "geometry": point(118.5, 39.5), "properties": properties}
    assert qgis.create(feature).status == 201
    assert qgis.put("W9", feature | {"id": "W9"}).status in (200, 204)
    # Where it says something, that is not lost without a word.
    stated = feature | {"properties": {"no": "W8", fields[0]: "2024-05-14T00:00:00Z"}}
    refused = qgis.create(stated)
    assert refused.status == 400
    assert b"interval" in refused.body


def test_it_changes_attributes_alone(qgis: Qgis) -> None:
    before = well(qgis, "W00001")
    change = {"properties": {"street": "长安街", "depth": None}}
    assert qgis.patch("W00001", change).status in (200, 204)
    after = well(qgis, "W00001")
    assert (after["street"], after.geometry) == ("长安街", before.geometry)
    assert after.isna()["depth"]
    assert (after["rings"], after["dug"]) == (before["rings"], before["dug"])


def test_it_changes_the_geometry_alone(qgis: Qgis) -> None:
    before = well(qgis, "W00001")
    assert qgis.patch("W00001", {"geometry": point(118.6, 39.6)}).status in (200, 204)
    after = well(qgis, "W00001")
    assert after.geometry == shapely.Point(118.6, 39.6)
    assert (after["street"], after["rings"]) == (before["street"], before["rings"])


@pytest.mark.parametrize("brackets", ["{}", "<{}>"])
def test_it_says_in_which_system(qgis: Qgis, brackets: str) -> None:
    """Coordinates come in the order of the authority: QGIS swaps them where that is latitude."""
    moved = {"geometry": point(39.7, 118.7)}
    assert qgis.patch("W00002", moved, Content_Crs=brackets.format(CGCS2000)).status in (200, 204)
    assert shapely.distance(well(qgis, "W00002").geometry, shapely.Point(118.7, 39.7)) < 1e-8
    feature = {"type": "Feature", "geometry": point(39.8, 118.8), "properties": {"no": "W8"}}
    assert qgis.create(feature, Content_Crs=brackets.format(CGCS2000)).status == 201
    assert shapely.distance(well(qgis, "W8").geometry, shapely.Point(118.8, 39.8)) < 1e-8


def test_a_release_without_patch_puts_all_of_it(qgis: Qgis) -> None:
    read = {"no": "W00001", "keeper": "Li Si"}
    properties = EMPTY | read | {"street": "Put", "rings": 4}
    feature = {"type": "Feature", "geometry": point(118.3, 39.3), "properties": properties}
    assert qgis.put("W00001", feature | {"id": "W00001"}).status in (200, 204)
    after = well(qgis, "W00001")
    assert (after["street"], after["rings"], after["keeper"]) == ("Put", 4, "Li Si")
    assert after.isna()["depth"]


def test_an_id_that_looks_like_a_number_is_one(qgis: Qgis) -> None:
    properties = EMPTY | {"no": "1001"}
    feature = {"type": "Feature", "geometry": point(118.3, 39.3), "properties": properties}
    assert qgis.create(feature).status == 201
    changed = feature | {"id": 1001, "properties": properties | {"street": "Number"}}
    assert qgis.put("1001", changed).status in (200, 204)
    assert well(qgis, "1001")["street"] == "Number"


def test_it_deletes(qgis: Qgis) -> None:
    assert qgis.delete("W00000").status in (200, 204)
    assert qgis.ask("GET", "/W00000").status == 410
    assert sorted(wells.read(qgis.server.dsn, "wells").index) == ["W00001", "W00002"]


def test_who_may_not_is_refused(qgis: Qgis) -> None:
    reader = Qgis(qgis.server, qgis.server.key(Terms(Role.READER)))
    feature = {"type": "Feature", "geometry": point(118.3, 39.3), "properties": {"no": "W9"}}
    assert reader.create(feature).status == 403
    assert reader.put("W00001", feature).status == 403
    assert reader.patch("W00001", {"properties": {"rings": 1}}).status == 403
    assert reader.delete("W00001").status == 403
    assert wells.record(qgis.server.dsn, "wells").head == 1
