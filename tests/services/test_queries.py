"""What one can ask of features beyond time and box: systems, orders, parts, pages."""

from __future__ import annotations

import functools
import itertools
import random
from typing import Any

import pytest
import shapely
from pyproj import Transformer
from starlette.testclient import TestClient

PARCELS = "/collections/parcels/items"
CASES = "/collections/incidents/items"
GRIDS = "/collections/grids/items"
NODES = "/collections/pipe_nodes/items"
PIPES = "/collections/pipe_segments/items"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


def get(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query or None)
    assert answer.status_code == 200, (address, query, answer.text)
    return answer.json()


def refused(client: TestClient, address: str, **query: Any) -> str:
    answer = client.get(address, params=query)
    assert answer.status_code == 400, (query, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def beside(page: Any, rel: str) -> str | None:
    found = [x["href"] for x in page["links"] if x["rel"] == rel]
    assert len(found) <= 1
    return found[0] if found else None


def walk(client: TestClient, first: Any, rel: str = "next") -> list[Any]:
    """The pages from one on, in one direction."""
    pages = [first]
    while (following := beside(pages[-1], rel)) is not None:
        pages.append(get(client, following))
    return pages


def ids(*pages: Any) -> list[str]:
    return [f["id"] for page in pages for f in page["features"]]


# Reference systems


@pytest.mark.parametrize(
    ("code", "flipped", "within"),
    [("4326", True, 1e-8), ("4490", True, 1e-5), ("3857", False, 1e-3)],
)
def test_coordinates_come_in_each_system_in_its_authoritys_order(
    client: TestClient, code: str, flipped: bool, within: float
) -> None:
    plain = client.get(PARCELS, params={"limit": 20})
    assert plain.headers["content-crs"] == f"<{CRS84}>"
    listed = get(client, "/collections/parcels")["crs"]
    if f"{EPSG}{code}" not in listed:
        pytest.fail(f"{code} is not among {listed}")
    answer = client.get(PARCELS, params={"limit": 20, "crs": f"{EPSG}{code}"})
    assert answer.headers["content-crs"] == f"<{EPSG}{code}>"
    to = Transformer.from_crs("OGC:CRS84", f"EPSG:{code}", always_xy=True)
    moved = zip(plain.json()["features"], answer.json()["features"], strict=True)
    for before, after in moved:
        x, y = shapely.get_coordinates(shapely.from_geojson(str_of(before))).T
        found = shapely.get_coordinates(shapely.from_geojson(str_of(after)))
        expected = to.transform(x, y)
        columns = found.T[::-1] if flipped else found.T
        for wanted, seen in zip(expected, columns, strict=True):
            assert abs(wanted - seen).max() < within


def str_of(feature: Any) -> str:
    return shapely.to_geojson(shapely.geometry.shape(feature["geometry"]))


def test_every_system_that_is_listed_is_answered(client: TestClient) -> None:
    for layer in ("parcels", "incidents", "pipe_segments"):
        for uri in get(client, f"/collections/{layer}")["crs"]:
            answer = client.get(f"/collections/{layer}/items", params={"limit": 1, "crs": uri})
            assert (answer.status_code, answer.headers["content-crs"]) == (200, f"<{uri}>")
            fid = answer.json()["features"][0]["id"]
            one = client.get(f"/collections/{layer}/items/{fid}", params={"crs": uri})
            assert one.headers["content-crs"] == f"<{uri}>"
            geometry = answer.json()["features"][0]["geometry"]
            assert one.json()["geometry"] == geometry


def test_a_box_may_be_of_another_system(client: TestClient) -> None:
    west, south, east, north = -71.12, 42.37, -71.11, 42.38
    plain = get(client, PARCELS, bbox=f"{west},{south},{east},{north}", limit=10000)
    assert len(plain["features"]) > 100
    flipped = f"{south},{west},{north},{east}"
    again = get(client, PARCELS, bbox=flipped, limit=10000, **{"bbox-crs": f"{EPSG}4326"})
    assert ids(again) == ids(plain)
    to = Transformer.from_crs("OGC:CRS84", "EPSG:3857", always_xy=True)
    corners = to.transform_bounds(west, south, east, north)
    metres = ",".join(map(str, corners))
    third = get(client, PARCELS, bbox=metres, limit=10000, **{"bbox-crs": f"{EPSG}3857"})
    assert ids(third) == ids(plain)


@pytest.mark.parametrize(
    "query",
    [
        {"crs": "EPSG:99999"},
        {"crs": f"{EPSG}2249"},
        {"crs": "nonsense"},
        {"bbox": "1,2,3,4", "bbox-crs": "nonsense"},
        {"bbox": "-200,2,3,4"},
        {"bbox": "1,9,3,4"},
        {"bbox": "95,0,99,1", "bbox-crs": f"{EPSG}4326"},
    ],
)
def test_systems_and_boxes_that_can_not_be_are_400(client: TestClient, query: Any) -> None:
    assert refused(client, PARCELS, **query)


# Orders


def by(features: list[Any], *names: str) -> list[str]:
    """The ids in an order, told a second time: NULL is the largest, ties go by id."""

    def compare(a: Any, b: Any) -> int:
        down = False
        for name in names:
            down = name.startswith("-")
            x, y = (f["properties"][name.lstrip("-")] for f in (a, b))
            if x != y:
                larger = x is None or (y is not None and x > y)
                return 1 if larger is not down else -1
        return (1 if a["id"] > b["id"] else -1) * (-1 if down else 1)

    return [f["id"] for f in sorted(features, key=functools.cmp_to_key(compare))]


@pytest.mark.parametrize(
    ("address", "names"),
    [
        (f"{PARCELS}?map=169", ("uyear",)),
        (f"{PARCELS}?map=169", ("-uyear",)),
        (f"{PARCELS}?map=169", ("-ml",)),
        (f"{PARCELS}?map=169", ("uyear", "-ml")),
        (f"{PARCELS}?map=169", ("-uyear", "ml")),
        (f"{CASES}?bbox=-71.12,42.37,-71.118,42.372", ("due_at",)),
        (f"{CASES}?bbox=-71.12,42.37,-71.118,42.372", ("-due_at",)),
        (f"{CASES}?bbox=-71.12,42.37,-71.118,42.372", ("state", "-reported_at")),
        (GRIDS, ("population",)),
        (GRIDS, ("-population",)),
        (GRIDS, ("grid_type", "name")),
    ],
)
def test_pages_come_in_order_forwards_and_back(
    client: TestClient, address: str, names: tuple[str, ...]
) -> None:
    joined = "&" if "?" in address else "?"
    every = get(client, f"{address}{joined}limit=10000")["features"]
    assert len(every) > 20
    expected = by(every, *names)
    asked = f"{address}{joined}sortby={','.join(names)}"
    assert ids(get(client, f"{asked}&limit=10000")) == expected
    pages = walk(client, get(client, f"{asked}&limit=7"))
    assert ids(*pages) == expected
    assert beside(pages[0], "prev") is None
    back = walk(client, pages[-1], "prev")
    assert ids(*reversed(back)) == expected
    assert [len(page["features"]) for page in back[:-1]][1:] == [7] * (len(back) - 2)


def test_a_sort_goes_up_with_a_plus_or_without(client: TestClient) -> None:
    plain = get(client, GRIDS, sortby="name", limit=20)
    assert ids(get(client, GRIDS, sortby="+name", limit=20)) == ids(plain)


@pytest.mark.parametrize(
    "text", ["title_deed", "nothing", "ml,ml", "", ",", "-", "right_holder", "geometry", "ml;drop"]
)
def test_orders_that_can_not_be_are_400(client: TestClient, text: str) -> None:
    assert "sortby" in refused(client, PARCELS, sortby=text)


# Pages


def test_from_any_page_back_is_the_page_that_was(client: TestClient) -> None:
    pages = walk(client, get(client, PARCELS, map="169", limit=9))
    for before, after in itertools.pairwise(pages):
        href = beside(after, "prev")
        assert href is not None
        back = get(client, href)
        assert ids(back) == ids(before)
        again = beside(back, "next")
        assert again is not None
        assert ids(get(client, again)) == ids(after)


def test_versions_are_paged_back_too(client: TestClient) -> None:
    first = get(client, PARCELS, map="169", limit=9, datetime="../..")
    pages = walk(client, first)
    assert len(pages) > 3
    back = walk(client, pages[-1], "prev")
    assert ids(*reversed(back)) == ids(*pages)


def test_offset_passes_over(client: TestClient) -> None:
    every = ids(get(client, PARCELS, map="169", limit=10000))
    for offset in (0, 1, 10, len(every) - 1, len(every), len(every) + 5):
        page = get(client, PARCELS, map="169", limit=10, offset=offset)
        assert ids(page) == every[offset : offset + 10]
    page = get(client, PARCELS, map="169", limit=10, offset=10, sortby="-ml")
    assert ids(page) == every[::-1][10:20]
    following, before = beside(page, "next"), beside(page, "prev")
    assert following is not None
    assert before is not None
    assert ids(get(client, following)) == every[::-1][20:30]
    assert ids(get(client, before)) == every[::-1][:10]


def test_counts_are_exact_where_asked_and_absent_where_dear(client: TestClient) -> None:
    whole = len(get(client, PARCELS, map="169", limit=10000)["features"])
    page = get(client, PARCELS, map="169", limit=5)
    assert "numberMatched" not in page
    counted = get(client, PARCELS, map="169", limit=5, count="exact")
    assert counted["numberMatched"] == whole
    following = beside(counted, "next")
    assert following is not None
    assert get(client, following)["numberMatched"] == whole
    # All of it is on the page.
    assert get(client, PARCELS, map="169", limit=10000)["numberMatched"] == whole


@pytest.mark.parametrize("layer", ["parcels", "incidents", "grids", "pipe_segments"])
def test_what_a_whole_layer_has_is_known(client: TestClient, layer: str) -> None:
    address = f"/collections/{layer}/items"
    plain = get(client, address, limit=1)
    assert plain["numberMatched"] == get(client, address, limit=1, count="exact")["numberMatched"]


@pytest.mark.parametrize(
    "query",
    [
        {"offset": "-1"},
        {"offset": "x"},
        {"offset": "99999999"},
        {"limit": "0"},
        {"count": "all"},
        {"token": "abc"},
        {"token": "WzEsMl0"},
        {"skipGeometry": "yes"},
        {"ids": ""},
        {"ids": "a,,b"},
        {"q": " , "},
    ],
)
def test_pages_that_can_not_be_are_400(client: TestClient, query: Any) -> None:
    assert refused(client, PARCELS, **query)


def test_a_token_is_of_its_order(client: TestClient) -> None:
    page = get(client, PARCELS, map="169", limit=5, sortby="uyear")
    href = beside(page, "next")
    assert href is not None
    token = href.partition("token=")[2].partition("&")[0]
    assert "token" in refused(client, PARCELS, map="169", token=token)
    assert "token" in refused(client, PARCELS, map="169", token=token, sortby="uyear,ml")
    assert "offset" in refused(client, PARCELS, token=token, sortby="uyear", offset=3)


# Parts of features


def test_chosen_properties_are_there_and_no_others(client: TestClient) -> None:
    whole = get(client, PARCELS, limit=20)["features"]
    # What is not chosen can be sorted by all the same.
    asked = {"map": "169", "sortby": "-uyear", "limit": 30}
    sorted_whole = get(client, PARCELS, **asked)
    assert ids(get(client, PARCELS, properties="lot", **asked)) == ids(sorted_whole)
    for query, names in (
        ({"properties": "ml,uyear"}, {"ml", "uyear"}),
        ({"properties": "title_deed"}, {"title_deed"}),
        ({"exclude-properties": "ml,lot,map"}, {"uyear", "title_deed"}),
    ):
        found = get(client, PARCELS, limit=20, **query)["features"]
        assert [f["id"] for f in found] == [f["id"] for f in whole]
        for f in found:
            assert set(f["properties"]) == names
            [same] = [w for w in whole if w["id"] == f["id"]]
            assert f["properties"] == {n: same["properties"][n] for n in names}
            assert f["geometry"] == same["geometry"]


def test_geometries_can_be_left_out(client: TestClient) -> None:
    found = get(client, PARCELS, limit=5, skipGeometry="true")["features"]
    assert [f["geometry"] for f in found] == [None] * 5
    assert ids(get(client, PARCELS, limit=5)) == [f["id"] for f in found]
    kept = get(client, PARCELS, limit=5, skipGeometry="false")["features"]
    assert all(f["geometry"] for f in kept)


@pytest.mark.parametrize(
    "query",
    [
        {"properties": "nothing"},
        {"properties": "right_holder"},
        {"exclude-properties": "right_holder"},
        {"properties": "ml", "exclude-properties": "lot"},
    ],
)
def test_properties_that_are_not_there_are_400(client: TestClient, query: Any) -> None:
    assert "propert" in refused(client, PARCELS, **query)


def test_features_are_had_by_their_ids(client: TestClient) -> None:
    every = ids(get(client, PARCELS, map="169", limit=10000))
    wanted = random.Random(5).sample(every, 12)
    assert ids(get(client, PARCELS, ids=",".join([*wanted, "no such"]))) == sorted(wanted)
    assert ids(get(client, PARCELS, ids=wanted[0])) == [wanted[0]]
    assert ids(get(client, PARCELS, ids="no such")) == []


def test_phrases_are_found_in_any_text(client: TestClient) -> None:
    every = get(client, GRIDS, limit=10000)["features"]

    def having(*phrases: str) -> list[str]:
        return [
            f["id"]
            for f in every
            if any(
                p.lower() in v.lower()
                for p in phrases
                for v in f["properties"].values()
                if isinstance(v, str)
            )
        ]

    name = next(f["properties"]["name"] for f in every if " " in (f["properties"]["name"] or ""))
    word = name.split()[0]
    for q, expected in (
        (word, having(word)),
        (word.upper(), having(word)),
        (name.lower(), having(name)),
        (f"{word},no such thing", having(word)),
        ("100%_", having("100%_")),
        ("no such thing", []),
    ):
        assert ids(get(client, GRIDS, q=q, limit=10000)) == expected
    assert having(word)


# Two ways to one answer


@pytest.mark.parametrize(
    "address", [PARCELS, CASES, GRIDS, NODES, "/collections/pipe_segments/items"]
)
def test_a_page_says_of_a_feature_what_it_says_of_itself(client: TestClient, address: str) -> None:
    page = get(client, address, limit=15)
    for f in page["features"]:
        alone = get(client, f"{address}/{f['id'].replace('/', '%2F')}")
        for member in ("id", "geometry", "properties", "time"):
            assert alone[member] == f[member]
    # What is asked in a way that is not kept says the same of the same features.
    again = get(client, address, ids=",".join(ids(page)), limit=15)
    assert again["features"] == page["features"]


def test_the_present_is_one_answer_until_something_happens(own_doors: Any) -> None:
    client = own_doors.client
    first, second = (client.get(f"{PARCELS}?limit=3") for _ in range(2))
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert not first.headers["etag"].startswith("W/")
    body = {"type": "Feature", "geometry": None, "properties": {"ml": "NEW-9"}}
    done = client.post(
        "/collections/parcels/revisions", json=body, headers=own_doors.key("publisher")
    )
    assert done.status_code == 201, done.text
    known = {"If-None-Match": first.headers["etag"]}
    third = client.get(f"{PARCELS}?limit=3", headers=known)
    assert third.status_code == 200
    assert third.json()["revision"] == first.json()["revision"] + 1
