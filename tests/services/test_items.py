"""Features over HTTP: paging, boxes, both axes of time, pins and validators."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import geopandas as gpd
import orjson
import pandas as pd
import psycopg
import pytest
import shapely
import sqlalchemy as sa
from starlette.testclient import TestClient

from layers.model import Mode
from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer

PARCELS = "/collections/parcels/items"
CASES = "/collections/incidents/items"
SOLD = f"{PARCELS}/169-100"
TURN = "2014-01-01T05:00:00Z"  # midnight in New York, when the second edition begins
BEFORE = "2014-01-01T04:59:59.999999Z"
BOX = "-71.12,42.37,-71.11,42.38"


def get(client: TestClient, address: str, **options: Any) -> Any:
    answer = client.get(address, **options)
    assert answer.status_code == 200, (address, answer.text)
    return orjson.loads(answer.content)


def count(client: TestClient, address: str) -> int:
    joined = "&" if "?" in address else "?"
    return int(get(client, f"{address}{joined}limit=1&count=exact")["numberMatched"])


def next_of(page: dict[str, Any]) -> str | None:
    found = [x["href"] for x in page["links"] if x["rel"] == "next"]
    assert len(found) <= 1
    return found[0] if found else None


def walk(client: TestClient, address: str, between: Callable[[], None] | None = None) -> list[Any]:
    """Every page, in order; `between` is called once, after the first."""
    pages = [get(client, address)]
    while following := next_of(pages[-1]):
        if between is not None and len(pages) == 1:
            between()
        pages.append(get(client, following))
    return pages


@lru_cache(maxsize=8)
def everything(client: TestClient, address: str) -> list[Any]:
    """Every feature that the demo city has at an address; it takes a while, so once is enough."""
    joined = "&" if "?" in address else "?"
    return features(walk(client, f"{address}{joined}limit=10000"))


def features(pages: list[Any]) -> list[Any]:
    return [f for page in pages for f in page["features"]]


# --- paging ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        f"{PARCELS}?bbox={BOX}&limit=97",
        f"{PARCELS}?bbox={BOX}&limit=97&datetime=2013-06-01/2014-06-01",
        f"{CASES}?bbox={BOX}&limit=97&datetime=2020-02-01/..",
        f"{PARCELS}?map=169&limit=7",
        "/collections/grids/items?datetime=../..&limit=11",
    ],
)
def test_pages_visit_each_feature_once(client: TestClient, asked: str) -> None:
    pages = walk(client, f"{asked}&count=exact")
    ids = [f["id"] for f in features(pages)]
    assert len(pages) > 1
    assert len(ids) == len(set(ids)) == pages[0]["numberMatched"]
    limit = int(re.search(r"limit=(\d+)", asked)[1])  # type: ignore[index]
    for page in pages:
        assert page["numberReturned"] == len(page["features"]) <= limit
        assert page["numberMatched"] == pages[0]["numberMatched"]
        assert page["datetime"] == pages[0]["datetime"]
    assert all(len(page["features"]) == limit for page in pages[:-1])
    whole = get(client, asked.replace(f"limit={limit}", "limit=10000"))
    if "/.." not in asked:
        assert [f["id"] for f in whole["features"]] == ids


def test_the_page_that_is_just_full_is_the_last(client: TestClient) -> None:
    asked = f"{PARCELS}?map=169"
    whole = count(client, asked)
    page = get(client, f"{asked}&limit={whole}")
    assert (page["numberReturned"], next_of(page)) == (whole, None)
    assert next_of(get(client, f"{asked}&limit={whole - 1}")) is not None


def test_next_pins_both_axes(client: TestClient) -> None:
    for asked, when in (
        (f"{PARCELS}?limit=1&bbox={BOX}&f=json", None),
        (f"{PARCELS}?limit=1&datetime=2013-06-01", "2013-06-01T04:00:00Z"),
        (f"{PARCELS}?limit=1&datetime=2013-06-01/..", "2013-06-01T04:00:00Z/.."),
        (f"{PARCELS}?limit=1&recorded=2014-03-01", None),
    ):
        page = get(client, asked)
        there = parse_qs(urlsplit(str(next_of(page))).query)
        assert there["revision"] == [str(page["revision"])]
        assert there["datetime"] == [page["datetime"]]
        assert when in (None, page["datetime"])
        assert there["limit"] == ["1"]
        assert "recorded" not in there
        assert there.get("bbox") == ([BOX] if "bbox" in asked else None)
        assert there.get("f") == (["json"] if "f=" in asked else None)


@pytest.mark.parametrize("query", ["limit=700", "limit=700&datetime=2013-06-01/2014-06-01"])
def test_paging_is_stable_while_others_commit(own_doors: Any, query: str) -> None:
    box = "-71.125,42.365,-71.105,42.385"
    asked = f"{PARCELS}?{query}&bbox={box}"
    quiet = walk(own_doors.client, asked)

    def commit() -> None:
        """Retire a parcel that is to come, change another, add one to the page that is past."""
        frame = gpd.GeoDataFrame(
            {"ml": ["--A", "169-100"], "title_deed": ["new", "changed"]},
            geometry=[shapely.box(-71.12, 42.37, -71.119, 42.371)] * 2,
            crs="OGC:CRS84",
        )
        reload = Reload(FrameSource(frame), mode=Mode.UPSERT)
        done = own_doors.store.commit({"parcels": reload}, Writer("other"), "between two pages")
        assert done.reports["parcels"].created == 1

    busy = walk(own_doors.client, asked, commit)
    assert len(busy) > 2
    assert features(busy) == features(quiet)
    assert {page["revision"] for page in busy} == {4}
    assert get(own_doors.client, asked)["revision"] == 5


def test_a_limit_above_the_largest_is_reduced_and_said(client: TestClient) -> None:
    page = get(client, f"{PARCELS}?limit=12000")
    assert page["numberReturned"] == 10_000
    assert "12000" in page["notes"][0]
    assert "10000" in page["notes"][0]
    assert next_of(page)
    assert "notes" not in get(client, f"{PARCELS}?map=169&limit=10000")


def test_the_default_limit(client: TestClient) -> None:
    assert get(client, PARCELS)["numberReturned"] == 100


# --- space -------------------------------------------------------------------------------------


def test_geometries_are_those_of_the_source(client: TestClient, data: Path) -> None:
    source = gpd.read_file(f"/vsigzip/{data / 'ASSESSING_ParcelsFY2013.topojson.gz'}")
    once = source[~source["ML"].duplicated(keep=False) & source["ML"].notna()].set_index("ML")
    once = once[once.geometry.is_valid]
    got = everything(client, f"{PARCELS}?datetime=2013-06-01&revision=1&bbox={BOX}")
    shapes = {f["id"]: shapely.geometry.shape(f["geometry"]) for f in got}
    common = [ml for ml in once.index if ml in shapes]
    assert len(common) > 300
    ours = shapely.normalize([shapes[ml] for ml in common])
    theirs = shapely.normalize(
        [shapely.multipolygons(shapely.get_parts(once.geometry[ml])) for ml in common]
    )
    distance = [
        abs(shapely.get_coordinates(a) - shapely.get_coordinates(b)).max()
        for a, b in zip(ours, theirs, strict=True)
        if shapely.get_num_coordinates(a) == shapely.get_num_coordinates(b)
    ]
    assert len(distance) == len(common)
    assert max(distance) <= 1e-9


def test_longitude_comes_first(client: TestClient) -> None:
    for layer in ("parcels", "incidents", "grids"):
        for f in get(client, f"/collections/{layer}/items?limit=20")["features"]:
            xy = shapely.get_coordinates(shapely.geometry.shape(f["geometry"]))
            assert ((xy[:, 0] > -72) & (xy[:, 0] < -71)).all()
            assert ((xy[:, 1] > 42) & (xy[:, 1] < 43)).all()
    answer = client.get(f"{PARCELS}?limit=1")
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"


def test_a_box_selects_what_meets_it(client: TestClient) -> None:
    box = shapely.box(*map(float, BOX.split(",")))
    inside = {f["id"] for f in everything(client, f"{PARCELS}?bbox={BOX}")}
    shapes = {
        f["id"]: shapely.geometry.shape(f["geometry"])
        for f in everything(client, PARCELS)
        if f["geometry"]
    }
    # As the store has nine decimals more than the wire, shapes that only touch may go either way.
    sure = {i for i, shape in shapes.items() if shape.intersection(box).area > 1e-16}
    perhaps = {i for i, shape in shapes.items() if shape.distance(box) < 1e-8}
    # A feature that is nowhere meets every box: /req/core/fc-bbox-response.
    nowhere = {f["id"] for f in everything(client, PARCELS) if not f["geometry"]}
    assert len(nowhere) == 1
    assert sure | nowhere <= inside <= perhaps | nowhere
    assert 300 < len(inside) < 5000


def test_boxes_of_every_form(client: TestClient) -> None:
    plain = count(client, f"{PARCELS}?bbox={BOX}")
    # The parcel whose source row has no geometry meets every box.
    whole, nowhere = count(client, PARCELS), 1
    west, south, east, north = BOX.split(",")
    assert count(client, f"{PARCELS}?bbox={west},{south},-100,{east},{north},100") == plain
    assert count(client, f"{PARCELS}?bbox=-180,-90,180,90") == whole
    # Across 180 degrees: from Asia eastwards to America, and from America to Asia.
    assert count(client, f"{PARCELS}?bbox=100,0,-60,80") == whole
    assert count(client, f"{PARCELS}?bbox=-60,0,100,80") == nowhere
    point = get(client, SOLD)["geometry"]["coordinates"][0][0][0]
    assert (
        count(client, f"{PARCELS}?bbox={point[0]},{point[1]},{point[0]},{point[1]}") <= 4 + nowhere
    )


@pytest.mark.parametrize(
    "box",
    ["", "1", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,nan,4", "1,2,inf,4", "0,10,1,5", "0,-91,1,1",
     "-181,0,0,1", "0,0,181,1", "1,2,3,4,5,6,7", "1;2;3;4", ",,,"],
)  # fmt: skip
def test_a_bad_box_is_400(client: TestClient, box: str) -> None:
    refused(client, f"{PARCELS}?bbox={box}", 400, "bbox")


# --- valid time --------------------------------------------------------------------------------


def refused(client: TestClient, address: str, status: int, word: str = "", **options: Any) -> Any:
    answer = client.get(address, **options)
    assert answer.status_code == status, (address, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert word in problem["detail"], problem
    return problem


def test_at_a_transition_the_later_version_is_valid(client: TestClient) -> None:
    """10 Church Street's deed: the second edition begins in the very instant the first ends."""
    assert get(client, f"{SOLD}?datetime={BEFORE}")["properties"]["title_deed"] is None
    assert "1200" in get(client, f"{SOLD}?datetime={TURN}")["properties"]["title_deed"]
    assert (count(client, f"{PARCELS}?datetime={BEFORE}"), 13_150) == (13_150, 13_150)
    assert count(client, f"{PARCELS}?datetime={TURN}") == 13_107


def test_a_plain_date_is_midnight_in_the_city(client: TestClient) -> None:
    for day, instant in (
        ("2014-01-01", TURN),
        ("2014-07-01", "2014-07-01T04:00:00Z"),
        ("2014-01-01", "2014-01-01T00:00:00-05:00"),
    ):
        a = get(client, f"{PARCELS}?datetime={day}&limit=10")
        b = get(client, f"{PARCELS}?datetime={quote(instant)}&limit=10")
        assert a["features"] == b["features"]
        assert a["datetime"] == b["datetime"]
        assert a["datetime"].endswith("Z")


def test_an_instant_gives_each_feature_once(client: TestClient) -> None:
    ids = [f["id"] for f in everything(client, f"{PARCELS}?datetime={TURN}")]
    assert len(ids) == len(set(ids))
    assert not any(re.search(r"\.\d{8}T", i) for i in ids)


def test_intervals_are_closed_and_periods_half_open(client: TestClient) -> None:
    versions = get(client, f"{SOLD}/versions")["features"]
    assert [v["time"]["interval"] for v in versions] == [
        ["2013-01-01T05:00:00Z", TURN],
        [TURN, "2014-05-14T04:00:00Z"],
        ["2014-05-14T04:00:00Z", ".."],
    ]
    for interval, expected in (
        (f"2013-06-01/{BEFORE}", [0]),
        (f"2013-06-01/{TURN}", [0, 1]),
        (f"{TURN}/2014-02-01", [1]),
        (f"{TURN}/..", [1, 2]),
        (f"../{TURN}", [0, 1]),
        ("../..", [0, 1, 2]),
        ("/2013-06-01", [0]),
        ("2015-01-01/", [2]),
        (f"{TURN}/{TURN}", [1]),
        ("../2012-12-31", []),
        ("2014-05-14/2014-05-14", [2]),
    ):
        page = get(client, f"{PARCELS}?ml=169-100&datetime={interval}")
        assert [f["id"] for f in page["features"]] == [versions[i]["id"] for i in expected]
        assert page["numberMatched"] == len(expected)


def test_versions_have_ids_of_their_own(client: TestClient) -> None:
    answer = client.get(f"{PARCELS}?ml=169-100&datetime=../..")
    assert "versions-as-features-unique-ids" in answer.headers["link"]
    assert 'rel="profile"' in answer.headers["link"]
    for f in answer.json()["features"]:
        assert re.fullmatch(r"169-100\.\d{8}T\d{6}\.\d{6}Z", f["id"])
        assert [x["rel"] for x in f.pop("links")] == ["original"]
        again = get(client, f"{PARCELS}/{f['id']}")
        assert {k: again[k] for k in f} == f
    assert "link" not in client.get(f"{PARCELS}?ml=169-100").headers


def test_an_interval_of_all_time_has_every_version(client: TestClient) -> None:
    assert count(client, f"{PARCELS}?datetime=../..") == 13_150 + 59 + 71 + 5 + 1


@pytest.mark.parametrize(
    "when",
    ["", "x", "2014", "2014-13-01", "2014-02-30", "2014-06-01T00:00:00", "2014-06-01 ",
     "2015-01-01/2014-01-01", "a/b", "1/2/3", "now", "2014-06-01T00:00:60Z", "infinity",
     "2014-06-01T00:00:00.1234567Z", "10000-01-01", "0000-01-01", "../../.."],
)  # fmt: skip
def test_a_bad_datetime_is_400(client: TestClient, when: str) -> None:
    refused(client, f"{PARCELS}?datetime={when}", 400, "datetime")
    refused(client, f"{SOLD}?datetime={when}", 400, "datetime")


def test_one_feature_is_asked_for_at_an_instant(client: TestClient) -> None:
    refused(client, f"{SOLD}?datetime=2013-01-01/2014-01-01", 400, "instant")


# --- events ------------------------------------------------------------------------------------


def test_events_accumulate(client: TestClient) -> None:
    assert count(client, CASES) == 10_000
    assert count(client, f"{CASES}?datetime=2010-01-01") == 0
    assert count(client, f"{CASES}?datetime=2030-01-01") == 10_000


def test_an_event_is_in_its_state_of_then(client: TestClient) -> None:
    case = "SYN-2020-000001"
    history = get(client, f"{CASES}/{case}/versions")["features"]
    for version in history:
        start = version["time"]["interval"][0]
        then = get(client, f"{CASES}/{case}?datetime={start}")
        assert then["properties"]["state"] == version["properties"]["state"]
    assert get(client, f"{CASES}/{case}")["properties"] == history[-1]["properties"]
    reported = history[0]["properties"]["reported_at"]
    assert reported == history[0]["time"]["interval"][0]


def test_an_interval_of_events_is_what_was_reported_within_it(client: TestClient) -> None:
    whole = {f["id"]: f for f in everything(client, CASES)}
    a, b = "2020-02-01T05:00:00Z", "2020-02-08T05:00:00Z"
    page = get(client, f"{CASES}?datetime=2020-02-01/2020-02-08&limit=10000")
    wanted = {i for i, f in whole.items() if a <= f["properties"]["reported_at"] <= b}
    assert {f["id"] for f in page["features"]} == wanted
    assert 10 < len(wanted) < 200
    at_end = {
        f["id"]: f["properties"]["state"] for f in everything(client, f"{CASES}?datetime={b}")
    }
    assert {f["id"]: f["properties"]["state"] for f in page["features"]} == {
        i: at_end[i] for i in wanted
    }
    assert any(at_end[i] != whole[i]["properties"]["state"] for i in wanted)
    assert not any(re.search(r"\.\d{8}T", f["id"]) for f in page["features"])


def test_open_intervals_of_events_end_now(client: TestClient) -> None:
    newest = {f["id"]: f["properties"]["state"] for f in everything(client, CASES)}
    found = everything(client, f"{CASES}?datetime=2024-12-01/..")
    assert found
    assert all(newest[f["id"]] == f["properties"]["state"] for f in found)
    assert count(client, f"{CASES}?datetime=../..") == 10_000
    edge = get(client, f"{CASES}/SYN-2020-000001")["properties"]["reported_at"]
    assert count(client, f"{CASES}?datetime={edge}/{edge}") == 1
    assert count(client, f"{CASES}?datetime=../{edge}") == 1


# --- recorded time -----------------------------------------------------------------------------


def test_the_question_that_the_sale_answers(client: TestClient) -> None:
    """Whose deed was it on 20 May, as known on 1 June, and on 10 June?"""
    asked = f"{SOLD}?datetime=2014-05-20"
    for pin, book, revision in (
        ("recorded=2014-06-01", "Book 1200, page 34", 3),
        ("recorded=2014-06-10", "Book 1315, page 208", 4),
        ("revision=3", "Book 1200, page 34", 3),
        ("revision=4", "Book 1315, page 208", 4),
    ):
        answer = client.get(f"{asked}&{pin}")
        assert book in answer.json()["properties"]["title_deed"]
        assert answer.json()["revision"] == revision
        assert answer.headers["content-revision"] == str(revision)
        listed = get(client, f"{PARCELS}?ml=169-100&datetime=2014-05-20&{pin}")
        assert book in listed["features"][0]["properties"]["title_deed"]
        assert listed["revision"] == revision


def test_versions_as_known_then(client: TestClient) -> None:
    for revision, n in ((1, 1), (2, 1), (3, 2), (4, 3)):
        page = get(client, f"{SOLD}/versions?revision={revision}")
        assert len(page["features"]) == n == page["numberReturned"]
        assert page["features"][-1]["time"]["interval"][1] == ".."
        assert page["revision"] == revision
    then = get(client, f"{SOLD}/versions?recorded=2014-04-01")
    assert then["revision"] == 3


def test_recorded_is_the_newest_by_then(client: TestClient) -> None:
    for instant, revision in (
        ("2014-02-03T14:00:00Z", 2),
        ("2014-02-03T13:59:59.999999Z", 1),
        ("2014-02-03T09:00:00-05:00", 2),
        ("2030-01-01", 4),
    ):
        assert get(client, f"{PARCELS}?limit=1&recorded={instant}")["revision"] == revision
    refused(client, f"{PARCELS}?recorded=2013-01-01", 404, "recorded")


@pytest.mark.parametrize("address", [PARCELS, SOLD, f"{SOLD}/versions"])
def test_bad_pins(client: TestClient, address: str) -> None:
    refused(client, f"{address}?revision=3&recorded=2014-06-01", 400, "one of them")
    for revision in ("", "0", "-1", "x", "1.0", "+1", "1e1", "¹", "٣", "9" * 30):
        refused(client, f"{address}?revision={quote(revision)}", 400, "revision")
    for revision in ("5", "2147483648", "999999999999999999"):
        refused(client, f"{address}?revision={revision}", 404, "1 to 4")
    for recorded in ("", "x", "2014", "../..", "2014-01-01/2015-01-01"):
        refused(client, f"{address}?recorded={recorded}", 400, "recorded")


# --- one feature -------------------------------------------------------------------------------


def test_one_feature_links_and_headers(client: TestClient) -> None:
    answer = client.get(SOLD)
    assert answer.headers["memento-datetime"] == "Wed, 14 May 2014 04:00:00 GMT"
    found = {x["rel"]: x["href"].removeprefix("http://testserver") for x in answer.json()["links"]}
    assert found["self"] == found["original"] == SOLD
    assert found["memento"] == f"{SOLD}?datetime=2014-05-14T04%3A00%3A00Z"
    assert found["timemap"] == found["version-history"] == f"{SOLD}/versions"
    assert found["collection"] == "/collections/parcels"
    memento = get(client, found["memento"])
    assert memento["geometry"] == answer.json()["geometry"]
    assert {x["rel"]: x["href"] for x in memento["links"]}["original"].endswith(SOLD)


def test_links_keep_the_revision_that_was_asked_for(client: TestClient) -> None:
    pinned = get(client, f"{SOLD}?revision=3")
    for found in pinned["links"]:
        if found["rel"] in ("memento", "timemap", "version-history", "self"):
            assert "revision=3" in found["href"], found
            assert get(client, found["href"])["revision"] == 3
    for v in get(client, f"{SOLD}/versions?revision=3")["features"]:
        assert get(client, v["links"][0]["href"])["revision"] == 3


def test_410_is_not_404(client: TestClient) -> None:
    refused(client, f"{SOLD}?datetime=2012-01-01", 410, "another time")
    refused(client, f"{PARCELS}/no-such", 404, "no-such")
    refused(client, f"{PARCELS}/no-such/versions", 404, "no-such")
    # Known at revision 4 only, hence unknown at revision 1.
    known = {f["id"] for f in everything(client, f"{PARCELS}?revision=1")}
    new = min({f["id"] for f in everything(client, PARCELS)} - known)
    assert client.get(f"{PARCELS}/{new}").status_code == 200
    assert client.get(f"{PARCELS}/{new}?datetime=2013-06-01").status_code == 410
    assert client.get(f"{PARCELS}/{new}/versions?revision=1").status_code == 404


def test_a_version_that_never_was_is_404(client: TestClient) -> None:
    for start in ("20140514T040000.000001Z", "99999999T999999.999999Z", "20140230T000000.000000Z"):
        refused(client, f"{SOLD}.{start}", 404)
    refused(client, f"{SOLD}.20140514T040000.000000Z?revision=3", 404)


def test_ids_may_have_any_character(store: Store, settings: Any) -> None:
    from services.app import create_app

    ids = ["a/b", "a b", "ä/ö/ü", "x?y#z", "宗地/1", "..", "a/versions/b", "v.1", "+", "a:b"]
    document = {
        "kind": "state", "title": "Odd", "geometry": "Point", "visibility": "public",
        "fields": [{"id": "no", "role": "key"}],
    }  # fmt: skip
    frame = gpd.GeoDataFrame(
        {"no": ids}, geometry=[shapely.Point(i, 1) for i in range(len(ids))], crs="OGC:CRS84"
    )
    reload = Reload(FrameSource(frame), schema=parse_schema(document), valid_from=_day(2020))
    store.commit({"odd": reload}, Writer("t"), "")
    with TestClient(create_app(store, settings), raise_server_exceptions=False) as client:
        listed = features(walk(client, "/collections/odd/items?limit=2"))
        assert sorted(f["id"] for f in listed) == sorted(ids)
        for i in ids:
            if i == "..":
                continue  # a client of HTTP resolves it away
            one = get(client, f"/collections/odd/items/{quote(i, safe='')}")
            assert one["id"] == i
            for found in one["links"]:
                there = client.get(found["href"])
                assert there.status_code == 200, found
            assert get(client, f"/collections/odd/items/{quote(i, safe='')}/versions")["id"] == i


def _day(year: int) -> Any:
    from datetime import date

    return date(year, 1, 1)


# --- filters -----------------------------------------------------------------------------------


def test_properties_filter(client: TestClient, data: Path) -> None:
    with (data / "title_deeds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for f in features(walk(client, f"{PARCELS}?map=169&limit=50")):
        assert f["properties"]["map"] == "169"
    deed = next(iter(v for k, v in rows[0].items() if k.lower() == "title_deed"))
    assert count(client, f"{PARCELS}?title_deed={quote(deed)}&datetime=2014-02-01") == 1
    assert count(client, f"{CASES}?state=closed&urgency=urgent") > 10
    assert count(client, f"{CASES}?rework_count=2") > 10
    assert count(client, "/collections/pipe_nodes/items?install_date=1911-01-01") >= 0
    refused(client, f"{CASES}?rework_count=two", 400, "rework_count")
    refused(client, "/collections/pipe_nodes/items?install_date=yesterday", 400, "install_date")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("colour=red", "colour"),
        ("BBOX=1,2,3,4", "BBOX"),
        ("offset=-1", "offset"),
        ("limit=1&limit=2", "limit"),
        ("datetime=2014-01-01&datetime=2015-01-01", "datetime"),
        ("map=1&map=2", "map"),
        ("=", ""),
        ("limit", "limit"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=abc", "limit"),
        ("limit=" + "9" * 40, "limit"),
        ("limit=%D9%A3", "limit"),
        ("token=x", "token"),
        ("token=", "token"),
        ("token=W10", "token"),
        ("token=WzEsMl0", "token"),
        ("map=" + "x" * 3000, "map"),
        ("datetime=0000-01-01", "1 to 9999"),
        ("datetime=../0000-12-31T23:59:59Z", "1 to 9999"),
        ("recorded=0000-01-01", "1 to 9999"),
        ("filter=uyear=year(DATE('0000-01-01'))", "1 to 9999"),
        ("datetime=0001-01-01T00:00:00%2B14:00", "0001"),
    ],
)
def test_bad_parameters_are_400(client: TestClient, query: str, word: str) -> None:
    refused(client, f"{PARCELS}?{query}", 400, word)


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/api",
        "/conformance",
        "/health",
        "/collections",
        "/collections/parcels",
        SOLD,
        f"{SOLD}/versions",
        "/collections/parcels/revisions",
        "/collections/parcels/revisions/1",
        "/collections/parcels/tiles",
        "/collections/parcels/tiles/WebMercatorQuad",
        "/collections/parcels/tiles/WebMercatorQuad/13/3030/2478",
        "/tileMatrixSets",
        "/tileMatrixSets/WebMercatorQuad",
    ],
)
def test_an_unknown_parameter_is_400_everywhere(client: TestClient, address: str) -> None:
    refused(client, f"{address}?nonsense=1", 400, "nonsense")
    if address != "/health":
        f = "mvt" if "/13/" in address else "json"
        again = client.get(f"{address}?f={f}&f={f}")
        assert again.status_code in (200, 204), again.text
        assert client.get(f"{address}?f={f}&f=csv").status_code in (400, 406)


# --- caching -----------------------------------------------------------------------------------

PINNED = [
    f"{PARCELS}?revision=3&datetime=2014-06-01&limit=50",
    f"{PARCELS}?revision=3&datetime=2013-06-01/2014-06-01&limit=50",
    f"{PARCELS}?revision=3&datetime=../2014-06-01&limit=50&bbox={BOX}",
    f"{SOLD}?revision=3&datetime=2014-05-20",
    f"{CASES}?revision=1&datetime=2020-01-01/2020-03-01&limit=20",
    "/collections/parcels/tiles/WebMercatorQuad/14/6060/4956?revision=3&datetime=2014-06-01",
]
OTHERS = [
    PARCELS,
    f"{PARCELS}?revision=3",
    f"{PARCELS}?datetime=2014-06-01",
    f"{PARCELS}?recorded=2014-06-01&datetime=2014-06-01",
    f"{PARCELS}?revision=3&datetime=2014-06-01/..",
    f"{CASES}?revision=1&datetime=2020-01-01/2999-03-01&limit=20",
    f"{SOLD}?revision=3",
    f"{SOLD}/versions?revision=3",
    "/",
    "/collections",
    "/collections/parcels",
    "/api",
    "/conformance",
    "/collections/parcels/revisions",
    "/collections/parcels/tiles/WebMercatorQuad/14/6060/4956",
]


def test_a_pinned_answer_never_changes(own_doors: Any) -> None:
    before = {address: own_doors.client.get(address) for address in PINNED}
    frame = gpd.GeoDataFrame(
        {"ml": ["169-100", "--A"], "title_deed": ["late", "late"]},
        geometry=[shapely.box(-71.12, 42.37, -71.119, 42.371)] * 2,
        crs="OGC:CRS84",
    )
    for year in (2013, 2014):
        # Backdated: what was believed stays what was believed.
        reload = Reload(FrameSource(frame), mode=Mode.UPSERT, valid_from=_day(year))
        done = own_doors.store.commit({"parcels": reload}, Writer("t"), "late")
        assert done.commit
        frame["title_deed"] = "later"
    assert (
        get(own_doors.client, f"{SOLD}?datetime=2014-05-20")["properties"]["title_deed"] == "later"
    )
    for address, old in before.items():
        new = own_doors.client.get(address)
        assert new.status_code == 200
        assert new.headers["cache-control"] == "public, max-age=31536000, immutable", address
        assert new.content == old.content, address
        assert new.headers["etag"] == old.headers["etag"]
        assert "Authorization" in new.headers["vary"]


@pytest.mark.parametrize("address", OTHERS)
def test_what_is_not_pinned_is_asked_for_again(client: TestClient, address: str) -> None:
    assert client.get(address).headers["cache-control"] == "no-cache"


def test_answers_to_keys_are_private(own_doors: Any) -> None:
    key = own_doors.key()
    for address in (PINNED[0], PINNED[-1]):
        said = own_doors.client.get(address, headers=key).headers["cache-control"]
        assert said == "private, max-age=31536000, immutable"
    for address in OTHERS:
        said = own_doors.client.get(address, headers=key).headers["cache-control"]
        assert said == "private, no-cache"


@pytest.mark.parametrize("address", [*PINNED, *OTHERS])
def test_304_where_nothing_changed(client: TestClient, address: str) -> None:
    first = client.get(address)
    etag = first.headers["etag"]
    assert re.fullmatch(r'(W/)?"[0-9a-f]{32}(-json[.0-9]*)?"', etag)
    for sent in (etag, f'"other", {etag}', f"W/{etag.removeprefix('W/')}", "*"):
        again = client.get(address, headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b""), sent
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
    other = client.get(address, headers={"If-None-Match": '"0000"'})
    assert other.status_code == 200


def test_a_commit_makes_another_etag(own_doors: Any) -> None:
    etag = own_doors.client.get(f"{PARCELS}?map=169").headers["etag"]
    frame = pd.DataFrame({"ml": ["169-100"], "title_deed": ["x"]})
    reload = Reload(FrameSource(frame), mode=Mode.UPSERT)
    own_doors.store.commit({"parcels": reload}, Writer("t"), "")
    again = own_doors.client.get(f"{PARCELS}?map=169", headers={"If-None-Match": etag})
    assert again.status_code == 200
    assert again.headers["content-revision"] == "5"


def test_pages_have_validators_of_their_own(client: TestClient) -> None:
    data, page = client.get("/collections?f=json"), client.get("/collections?f=html")
    assert data.headers["etag"] != page.headers["etag"]


def test_many_at_once(client: TestClient) -> None:
    asked = [PARCELS, SOLD, f"{CASES}?limit=50", OTHERS[-1], "/collections"] * 8
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda address: client.get(address).status_code, asked))
    assert set(codes) == {200}


def test_what_takes_too_long_is_no_fault_of_the_server(own_doors: Any) -> None:
    engine = own_doors.store.database.reading

    @sa.event.listens_for(engine, "begin")
    def set_timeout(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 100")

    address = own_doors.store.database.writing.url.set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as holding:
        # Until this ends, no statement that reads parcels comes to its end.
        holding.execute("LOCK TABLE live.parcels IN ACCESS EXCLUSIVE MODE")
        answer = own_doors.client.get("/collections/parcels/items?limit=1")
        assert answer.status_code == 422
        assert "ask for less" in answer.json()["detail"]
        assert own_doors.client.get("/collections/grids/items?limit=1").status_code == 200
    assert own_doors.client.get("/collections/parcels/items?limit=1").status_code == 200
