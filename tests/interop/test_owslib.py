"""OWSLib as a client: pages, filters and edits, as its own methods ask for them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from owslib import __version__
from owslib.ogcapi.features import Features

from layers.access.grants import Role, Terms
from tests.interop import wells
from tests.interop.conftest import Server

BOX = [118.1995, 39.5995, 118.2025, 39.6015]


@pytest.fixture
def features(wells_server: Server) -> Features:
    return Features(wells_server.base)


def ids(page: dict[str, Any]) -> list[str]:
    return [feature["id"] for feature in page["features"]]


def test_it_finds_its_way(features: Features) -> None:
    print(f"\nOWSLib {__version__}")
    assert features.feature_collections() == ["wells"]
    assert any(c.endswith("/conf/core") for c in features.conformance()["conformsTo"])
    assert features.api()["openapi"].startswith("3.0")
    assert features.collection("wells")["id"] == "wells"


def test_it_reads_a_feature(features: Features) -> None:
    found = features.collection_item("wells", "W00007")
    assert (found["id"], found["properties"]["rings"]) == ("W00007", 7)
    with pytest.raises(RuntimeError, match="404"):
        features.collection_item("wells", "none")


def test_it_pages(features: Features, wells_server: Server) -> None:
    """By the next links, which it leaves to its user, and by an offset."""
    page = features.collection_items("wells", limit=30)
    seen = ids(page)
    while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
        page = wells_server.json(following[0].removeprefix(wells_server.base))
        seen += ids(page)
    assert seen == [f"W{i:05}" for i in range(100)]


def test_it_counts_from_an_offset(features: Features) -> None:
    assert ids(features.collection_items("wells", limit=3, offset=40)) == [
        "W00040",
        "W00041",
        "W00042",
    ]


def test_it_asks_for_a_box_and_a_time(features: Features) -> None:
    found = features.collection_items("wells", bbox=BOX, limit=50)
    assert ids(found) == ["W00000", "W00001", "W00002", "W00020", "W00021", "W00022"]
    assert ids(features.collection_items("wells", datetime_="2019-01-01")) == []
    assert len(ids(features.collection_items("wells", datetime_="2021-01-01", limit=200))) == 100


def test_it_asks_for_an_equal(features: Features) -> None:
    assert ids(features.collection_items("wells", rings="17")) == ["W00017"]


def test_it_filters(features: Features) -> None:
    text = "rings > 90 AND street LIKE '长安%'"
    assert ids(features.collection_items("wells", filter=text)) == ["W00093", "W00096", "W00099"]
    with pytest.raises(RuntimeError, match="400"):
        features.collection_items("wells", filter="rings >")


def test_it_sorts(features: Features) -> None:
    found = features.collection_items("wells", sortby=("no", "desc"), limit=2)
    assert ids(found) == ["W00099", "W00098"]


def test_it_searches(features: Features) -> None:
    assert set(ids(features.collection_items("wells", q="W00042"))) == {"W00042"}


def test_it_reads_queryables_and_the_schema(features: Features) -> None:
    queryables = features.collection_queryables("wells")["properties"]
    assert {"no", "depth", "dug"} <= set(queryables)
    assert "keeper" not in queryables
    properties = features.collection_schema("wells")["properties"]
    assert properties["dug"]["format"] == "date"
    assert properties["rings"]["type"] == "integer"


def test_it_edits(own_server: Server) -> None:
    """POST, PUT and DELETE; of what kind a body is it says only after it made one."""
    wells.publish(own_server.dsn, count=3)
    key = own_server.key(Terms(Role.EDITOR))
    writer = Features(own_server.base, headers={"Authorization": f"Bearer {key}"})
    shape = {"type": "Point", "coordinates": [118.5, 39.5]}
    made = {"type": "Feature", "geometry": shape, "properties": {"no": "W7", "rings": 7}}
    writer.headers["Content-Type"] = "application/geo+json"
    assert writer.collection_item_create("wells", orjson.dumps(made).decode())
    assert writer.collection_item("wells", "W7")["properties"]["rings"] == 7
    made["properties"] = {"no": "W7", "rings": 8}
    assert writer.collection_item_update("wells", "W7", orjson.dumps(made).decode())
    assert writer.collection_item("wells", "W7")["properties"]["rings"] == 8
    assert writer.collection_item_delete("wells", "W7")
    with pytest.raises(RuntimeError, match="410"):
        writer.collection_item("wells", "W7")
    assert sorted(wells.read(own_server.dsn, "wells").index) == ["W00000", "W00001", "W00002"]
