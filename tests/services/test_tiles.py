"""Tiles over HTTP: status codes, pins and formats; what is in them is held in tests/tiles."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

HERE = "/collections/parcels/tiles/WebMercatorQuad"
FULL = f"{HERE}/14/6060/4956"


def test_a_tile(client: TestClient) -> None:
    answer = client.get(FULL)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    assert answer.headers["content-revision"] == "4"
    assert client.get(f"{FULL}?f=mvt").content == answer.content
    assert client.head(FULL).status_code == 200


def test_pins(client: TestClient) -> None:
    now = client.get(FULL).content
    then = client.get(f"{FULL}?datetime=2013-06-01").content
    assert now != then
    assert client.get(f"{FULL}?datetime=2013-06-01&revision=4").content == then
    first = client.get(f"{FULL}?revision=1")
    assert first.headers["content-revision"] == "1"
    assert client.get(f"{FULL}?recorded=2013-03-01").content == first.content
    assert first.content != now


def test_an_empty_tile_is_204(client: TestClient) -> None:
    for address in (f"{HERE}/5/0/0", f"{HERE}/22/0/0", f"{FULL}?datetime=2001-01-01"):
        answer = client.get(address)
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{HERE}/0/0/1", 404),
        (f"{HERE}/0/1/0", 404),
        (f"{HERE}/23/0/0", 404),
        (f"{HERE}/99999999999/0/0", 404),
        (f"{HERE}/a/0/0", 400),
        (f"{HERE}/1/-1/0", 400),
        (f"{HERE}/1/0.5/0", 400),
        (f"{HERE}/1/٣/0", 400),
        (f"{HERE}/999999999999/0/0", 400),
        ("/collections/parcels/tiles/UTM31WGS84Quad/1/0/0", 404),
        ("/collections/parcels/tiles/UTM31WGS84Quad", 404),
        ("/tileMatrixSets/UTM31WGS84Quad", 404),
        ("/collections/parcels/tiles/WorldCRS84Quad/0/0/2", 404),
        ("/collections/parcels/tiles/Tianditu_c/0/0/0", 404),
        ("/collections/parcels/tiles/Tianditu_w/19/0/0", 404),
        ("/collections/nope/tiles/WebMercatorQuad/0/0/0", 404),
        ("/collections/nope/tiles/WebMercatorQuad", 404),
        ("/collections/nope/tiles", 404),
        (f"{FULL}?datetime=2013-01-01/2014-01-01", 400),
        (f"{FULL}?datetime=../..", 400),
        (f"{FULL}?revision=9", 404),
        (f"{FULL}?revision=1&recorded=2014-01-01", 400),
        (f"{FULL}?bbox=1,2,3,4", 400),
        (f"{FULL}?map=169", 400),
        (f"{FULL}?f=json", 406),
        (f"{FULL}?f=html", 406),
    ],
)
def test_what_is_refused(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address, headers={"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    if "f=html" not in address:
        assert answer.headers["content-type"] == "application/problem+json"
