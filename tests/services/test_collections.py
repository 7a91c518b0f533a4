"""The list of collections: of a place, of a time, in pages; as far as its reader sees them."""

from __future__ import annotations

from typing import Any

import pytest
from land import Desk
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.territories import Territory

# Where the features a1 and b2 of the land register lie.
A1, B2, NOWHERE = "1.5,1.5,1.6,1.6", "5.5,5.1,5.6,5.2", "100,10,101,11"
EVERY = ["bare", "guarded", "inner", "land", "past"]


def ask(desk: Desk, query: str, key: dict[str, str] | None = None) -> Any:
    answer = desk.client.get(f"/collections?{query}", headers=key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(document: Any) -> list[str]:
    assert document["numberReturned"] == len(document["collections"])
    return [c["id"] for c in document["collections"]]


def test_a_box_selects_by_the_extent(desk: Desk) -> None:
    key = desk.editor
    assert ids(ask(desk, "", key)) == EVERY
    # bare has one point, at (1, 1).
    assert ids(ask(desk, f"bbox={A1}", key)) == ["guarded", "inner", "land", "past"]
    assert ids(ask(desk, "bbox=1,1,1,1", key)) == EVERY
    assert ids(ask(desk, f"bbox={NOWHERE}", key)) == []
    assert ids(ask(desk, "bbox=1.5,1.5,-10,1.6,1.6,10", key)) == [
        "guarded",
        "inner",
        "land",
        "past",
    ]
    # Around the world the other way: from 5.5 east to 0.5 there is b2's east, and not a1.
    assert "bare" not in ids(ask(desk, "bbox=5.5,0,0.5,10", key))
    assert ask(desk, f"bbox={A1}", key)["numberMatched"] == 4


def test_a_time_selects_by_the_extent(desk: Desk) -> None:
    key = desk.editor
    for when in ("2019-12-31", "../2019-12-31T23:59:59Z", "2000-01-01/2001-01-01"):
        assert ids(ask(desk, f"datetime={when}", key)) == []
    for when in ("2020-01-01T00:00:00Z", "2020-01-01", "2019-01-01/..", "../2020-01-01", "../.."):
        assert ids(ask(desk, f"datetime={when}", key)) == EVERY
    assert ids(ask(desk, f"datetime=2020-01-01&bbox={B2}", key)) == EVERY[1:]


def test_it_is_the_extent_that_the_reader_sees(desk: Desk) -> None:
    some = desk.granted(Terms(Role.READER, territory=Territory(division="a")))
    assert "inner" in ids(ask(desk, f"bbox={A1}", some))
    assert "inner" in ids(ask(desk, f"bbox={B2}", desk.editor))
    hidden = ask(desk, f"bbox={B2}", some)
    assert ids(hidden) == ["guarded", "land", "past"]
    assert hidden["numberMatched"] == 3
    assert "inner" not in ids(ask(desk, ""))
    assert ids(ask(desk, "token=inner&limit=1")) == ["land"]


def test_pages_have_each_once(desk: Desk) -> None:
    key, found, address = desk.editor, [], f"/collections?limit=2&bbox={B2}"
    while address:
        answer = desk.client.get(address, headers=key).json()
        assert answer["numberMatched"] == 4
        assert len(answer["collections"]) <= 2
        found += ids(answer)
        address = next((x["href"] for x in answer["links"] if x["rel"] == "next"), "")
    assert found == EVERY[1:]
    reduced = ask(desk, "limit=5000", key)
    assert ids(reduced) == EVERY
    assert "5000" in reduced["notes"][0]


def test_a_page_leads_to_the_next(client: TestClient, browser: dict[str, str]) -> None:
    page = client.get("/collections?limit=1", headers=browser)
    assert 'rel="next"' in page.text
    assert "token=grids" in page.text


@pytest.mark.parametrize(
    "query",
    [
        "bbox=1,2,3",
        "bbox=1,2,3,x",
        "bbox=1,95,3,99",
        "bbox=1,9,3,2",
        "bbox-crs=EPSG:4326",
        "datetime=soon",
        "datetime=2021-01-01/2020-01-01",
        "limit=0",
        "limit=x",
        "q=parcels",
        "bbox=1,2,3,4&bbox=1,2,3,5",
    ],
)
def test_what_can_not_be_is_400(client: TestClient, query: str) -> None:
    answer = client.get(f"/collections?{query}")
    assert answer.status_code == 400, answer.text
