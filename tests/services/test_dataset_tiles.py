"""Tiles of several collections in one request, decoded by GDAL."""

from __future__ import annotations

from pathlib import Path

import pyogrio
import pytest
from starlette.testclient import TestClient

HERE = "/tiles/WebMercatorQuad/14/6060/4956"
EVERY = ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]
MVT = "application/vnd.mapbox-vector-tile"


def layers(content: bytes, folder: Path) -> dict[str, int]:
    """The layers of a tile and how many features each has."""
    file = folder / "tile.mvt"
    file.write_bytes(content)
    names = [str(row[0]) for row in pyogrio.list_layers(f"MVT:{file}")]
    options = {"X": 4956, "Y": 6060, "Z": 14}
    return {
        name: pyogrio.read_info(f"MVT:{file}", layer=name, force_feature_count=True, **options)[
            "features"
        ]
        for name in names
    }


def of_one(client: TestClient, layer: str, query: str = "") -> bytes:
    answer = client.get(f"/collections/{layer}{HERE}{query}")
    assert answer.status_code in (200, 204)
    return bytes(answer.content)


def test_a_tile_has_a_layer_for_each_collection(client: TestClient, tmp_path: Path) -> None:
    answer = client.get(f"{HERE}?collections=parcels,grids")
    assert answer.headers["content-type"] == MVT
    assert answer.headers["content-revision"] == "parcels=4, grids=4"
    found = layers(answer.content, tmp_path)
    assert list(found) == ["parcels", "grids"]
    for name, count in found.items():
        assert {name: count} == layers(of_one(client, name), tmp_path)
        assert count > 0
    assert client.head(f"{HERE}?collections=parcels,grids").status_code == 200
    # Said twice is said once.
    again = client.get(f"{HERE}?collections=parcels,grids,parcels")
    assert again.content == answer.content


def test_without_names_it_has_all_that_is_seen(client: TestClient, tmp_path: Path) -> None:
    answer = client.get(HERE)
    expected: dict[str, int] = {}
    for name in EVERY:
        alone = of_one(client, name)
        expected |= layers(alone, tmp_path) if alone else {}
    assert layers(answer.content, tmp_path) == expected
    assert len(expected) > 2
    used = answer.headers["content-revision"].split(", ")
    assert [one.partition("=")[0] for one in used] == EVERY


def test_layers_are_seen_at_one_instant(client: TestClient, tmp_path: Path) -> None:
    """Each as it was at the instant asked for, and the tiles of the single layers are the same."""
    query = "?collections=parcels,grids&datetime=2013-06-01T04:00:00Z"
    answer = client.get(f"{HERE}{query}")
    then = "?datetime=2013-06-01T04:00:00Z"
    assert answer.content == of_one(client, "parcels", then) + of_one(client, "grids", then)
    assert answer.content != client.get(f"{HERE}?collections=parcels,grids").content


def test_a_date_is_a_day_in_china(client: TestClient) -> None:
    """Several layers may have zones of their own, and a date must be one instant for all."""
    # Parcels change at midnight in Massachusetts, half a day after that of China.
    asked = "/tiles/WebMercatorQuad/12/1515/1239?collections=parcels,grids&datetime="
    day = client.get(f"{asked}2014-01-01").content
    assert day == client.get(f"{asked}2013-12-31T16:00:00Z").content
    assert day != client.get(f"{asked}2014-01-01T05:00:00Z").content


def test_a_commit_pins_every_layer(client: TestClient, tmp_path: Path) -> None:
    """What was published after it was not known, and is not there."""
    log = client.get("/commits?limit=1000").json()["commits"]
    known: dict[str, int] = {}
    for commit in sorted(log, key=lambda c: c["id"]):
        known |= {change["collection"]: change["revision"] for change in commit["layers"]}
        answer = client.get(f"{HERE}?commit={commit['id']}&datetime=2023-06-01")
        used = dict(one.split("=") for one in answer.headers["content-revision"].split(", "))
        assert used == {name: str(number) for name, number in known.items()}
        alone = [
            of_one(client, name, f"?revision={known[name]}&datetime=2023-05-31T16:00:00Z")
            for name in sorted(known)
        ]
        assert answer.content == b"".join(alone)
    assert sorted(known) == EVERY


def test_recorded_time_pins_every_layer(client: TestClient) -> None:
    first = client.get("/commits?limit=1000").json()["commits"][-1]
    answer = client.get(f"{HERE}?recorded={first['recorded']}")
    only = [change["collection"] for change in first["layers"]]
    used = answer.headers["content-revision"].split(", ")
    assert [one.partition("=")[0] for one in used] == only
    # Before anything was recorded there is nothing to see.
    before = client.get(f"{HERE}?recorded=1990-01-01")
    assert (before.status_code, before.content) == (204, b"")


def test_what_can_be_kept_for_ever(client: TestClient) -> None:
    pinned = f"{HERE}?collections=parcels,grids&datetime=2014-06-01&commit=6"
    answer = client.get(pinned)
    assert "immutable" in answer.headers["cache-control"]
    tag = answer.headers["etag"]
    again = client.get(pinned, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    # Another layer may come, and be in the tile of those who name none.
    for query in ("?datetime=2014-06-01&commit=6", "?collections=parcels&commit=6", ""):
        assert client.get(f"{HERE}{query}").headers["cache-control"] == "no-cache"


def test_an_empty_tile_is_204(client: TestClient) -> None:
    for address in (
        "/tiles/WebMercatorQuad/14/0/0",
        "/tiles/CGCS2000Quad/0/0/1",
        f"{HERE}?collections=parcels&datetime=2001-01-01",
    ):
        answer = client.get(address)
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("?collections=nowhere", 404, "nowhere"),
        ("?collections=parcels,nowhere", 404, "nowhere"),
        ("?collections=", 400, "commas"),
        ("?collections=parcels,", 400, "commas"),
        ("?revision=1", 400, "commit="),
        ("?collections=parcels&revision=1", 400, "commit="),
        ("?datetime=2013-01-01/2014-01-01", 400, "instant"),
        ("?datetime=soon", 400, "soon"),
        ("?commit=999999", 404, "999999"),
        ("?commit=6&recorded=2014-01-01", 400, "one of them"),
        ("?bbox=1,2,3,4", 400, "bbox"),
        ("?f=json", 406, "mvt"),
    ],
)
def test_what_is_refused(client: TestClient, query: str, status: int, word: str) -> None:
    answer = client.get(f"{HERE}{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (
        status, "application/problem+json",
    )  # fmt: skip
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/tiles/nowhere/0/0/0", 404),
        ("/tiles/Tianditu_c/0/0/0", 404),
        ("/tiles/WebMercatorQuad/0/0/1", 404),
        ("/tiles/WebMercatorQuad/a/0/0", 400),
    ],
)
def test_addresses_of_no_tile(client: TestClient, address: str, status: int) -> None:
    assert client.get(address).status_code == status
