"""Filters over HTTP: asked in text and JSON, refused with what was wrong and where."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

PARCELS = "/collections/parcels/items"


def get(client: TestClient, **parameters: Any) -> Any:
    answer = client.get(PARCELS, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, **parameters: Any) -> str:
    answer = client.get(PARCELS, params=parameters)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_text_and_json_say_the_same(client: TestClient) -> None:
    text = get(client, filter="ml LIKE '169-%'", limit=1000)
    as_json = '{"op": "like", "args": [{"property": "ml"}, "169-%"]}'
    same = get(client, **{"filter": as_json, "filter-lang": "cql2-json", "limit": 1000})
    ids = [f["id"] for f in text["features"]]
    assert ids == [f["id"] for f in same["features"]]
    assert ids
    assert all(f["properties"]["ml"].startswith("169-") for f in text["features"])


def test_a_next_link_keeps_the_filter(client: TestClient) -> None:
    page = get(client, filter="ml LIKE '169-%'", limit=2)
    (following,) = [li["href"] for li in page["links"] if li["rel"] == "next"]
    assert parse_qs(urlsplit(following).query)["filter"] == ["ml LIKE '169-%'"]
    more = client.get(following).json()["features"]
    assert more
    assert all(f["properties"]["ml"].startswith("169-") for f in more)
    assert not {f["id"] for f in more} & {f["id"] for f in page["features"]}


def test_a_filter_and_a_box_say_the_same(client: TestClient) -> None:
    west, south, east, north = -71.12, 42.37, -71.11, 42.38
    boxed = get(client, bbox=f"{west},{south},{east},{north}", limit=10000)["features"]
    there = {f["id"] for f in boxed if f["geometry"] is not None}
    asked = {
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84": f"{west},{south},{east},{north}",
        "http://www.opengis.net/def/crs/EPSG/0/4326": f"{south},{west},{north},{east}",
    }
    for crs, box in asked.items():
        text = f"S_INTERSECTS(geometry, BBOX({box}))"
        found = get(client, **{"filter": text, "filter-crs": crs, "limit": 10000})["features"]
        assert {f["id"] for f in found} == there


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"filter": "ml = "}, "it ends too early"),
        ({"filter": ""}, "it is empty"),
        ({"filter": "ml = 1"}, "ml is a text"),
        ({"filter": "nothing = 1"}, "no parameter or property 'nothing'"),
        # Restricted: there is no such field for whoever shows nothing.
        ({"filter": "right_holder IS NULL"}, "no parameter or property 'right_holder'"),
        ({"filter": "ml='1'", "filter-lang": "cql"}, "cql2-text, cql2-json, cql-text"),
        ({"filter": "{", "filter-lang": "cql2-json"}, "it is no JSON"),
        ({"filter-lang": "cql2-text"}, "belongs to a filter"),
        ({"filter-crs": "EPSG:4326"}, "belongs to a filter"),
        ({"filter": "ml='1'", "filter-crs": "EPSG:999999"}, "filter-crs"),
        ({"filter": "ml='1'", "filter-crs": "EPSG:4978"}, "no horizontal plane"),
    ],
)
def test_what_was_wrong_is_said(client: TestClient, parameters: dict[str, str], why: str) -> None:
    assert why in refused(client, **parameters)


def test_a_long_filter_is_refused_before_it_is_read(client: TestClient) -> None:
    answer = client.get(PARCELS, params={"filter": "NOT " * 5000 + "ml='1'"})
    assert answer.status_code in (400, 414)
