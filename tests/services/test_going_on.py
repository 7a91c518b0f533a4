"""Clients that add their own parameters to a next link, again or anew: no list is made of two."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

PARCELS = "/collections/parcels/items"
CASES = "/collections/incidents/items"
BOX = "-71.12,42.37,-71.11,42.38"


def beside(page: Any, rel: str = "next") -> str:
    href = next(link["href"] for link in page["links"] if link["rel"] == rel)
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}"


def get(client: TestClient, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    return answer.json()


def ids(page: Any) -> list[str]:
    return [f["id"] for f in page["features"]]


def commit_of(client: TestClient, revision: int) -> str:
    made = get(client, "/collections/parcels/commits")["commits"]
    return next(str(c["id"]) for c in made if c["layers"][0]["revision"] == revision)


def refused(client: TestClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 400, (address, answer.text)
    return str(answer.json()["detail"])


@pytest.mark.parametrize(
    "own",
    [
        "limit=5",
        f"limit=5&bbox={BOX}",
        "limit=5&datetime=2014-06-01",
        "limit=5&datetime=2014-06-01T00%3A00%3A00-04%3A00",
        "limit=5&datetime=../2014-06-01&profile=versions",
        "limit=5&revision=2",
        "limit=5&recorded=2100-01-01",
        "limit=5&commit=OF_REVISION_2&datetime=2014-06-01",
        "limit=5&sortby=-uyear&filter=uyear%3E2000&filter-lang=cql2-text&count=exact&f=json",
    ],
)
def test_what_a_client_says_again_changes_nothing(client: TestClient, own: str) -> None:
    """GDAL adds the query of its connection to every address; so do others to next links."""
    own = own.replace("OF_REVISION_2", commit_of(client, 2))
    following = beside(get(client, f"{PARCELS}?{own}"))
    plain, again = get(client, following), get(client, f"{following}&{own}")
    assert ids(again) == ids(plain) != []
    for name in ("revision", "datetime"):
        assert again[name] == plain[name]
    third = beside(again)
    assert ids(get(client, f"{third}&{own}")) == ids(get(client, beside(plain)))
    assert ids(get(client, f"{beside(again, 'prev')}&{own}")) == ids(
        get(client, f"{PARCELS}?{own}")
    )


def test_two_ways_of_writing_an_instant_are_one_value(client: TestClient) -> None:
    one, other = "2014-06-01", "2014-06-01T04:00:00Z"
    twice = get(client, f"{PARCELS}?limit=3&datetime={one}&datetime={other}")
    assert twice["datetime"] == other
    assert ids(twice) == ids(get(client, f"{PARCELS}?limit=3&datetime={one}"))
    assert "twice" in refused(client, f"{PARCELS}?datetime={one}&datetime=2014-06-01T00:00:00Z")
    assert refused(client, f"{PARCELS}?datetime={one}&datetime=soon")


def test_a_list_of_one_time_goes_on_with_no_other(client: TestClient) -> None:
    following = beside(get(client, f"{PARCELS}?limit=5&datetime=2014-06-01&revision=2"))
    alone = re.sub(r"&(datetime|revision)=[^&]*", "", following)
    assert "datetime" not in alone
    commit = f"commit={commit_of(client, 3)}"
    for own in ("datetime=2013-06-01", "datetime=2014-06-01/..", "revision=3", commit):
        assert "begin anew" in refused(client, f"{alone}&{own}")
    assert "begin anew" in refused(client, f"{following}&datetime=2013-06-01")
    assert "twice" in refused(client, f"{following}&limit=7")
    # What is left out is that of the list, not now.
    found = client.get(alone)
    assert (ids(found.json()), found.json()["revision"]) == (ids(get(client, following)), 2)
    assert found.json()["datetime"] == "2014-06-01T04:00:00Z"
    assert "immutable" in found.headers["cache-control"]


def test_events_go_on_likewise(client: TestClient) -> None:
    own = "limit=4&datetime=2020-01-01/2020-03-01"
    following = beside(get(client, f"{CASES}?{own}"))
    assert ids(get(client, f"{following}&{own}")) == ids(get(client, following))
    assert refused(client, f"{following}&datetime=2020-01-01/2020-04-01")


def test_an_offset_is_another_way_to_go_on(client: TestClient) -> None:
    following = beside(get(client, f"{PARCELS}?limit=5&offset=10"))
    assert "offset" in refused(client, f"{following}&offset=10")
    assert ids(get(client, f"{following}&offset=0")) == ids(get(client, following))
