"""What was, over HTTP: changes, log, tags, lineage, change dates, counts; JSON and pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from layers.edits import Insert, split
from layers.model import Document
from layers.readers import Reader
from layers.writers import Writer

PARCELS, CASES = "/collections/parcels", "/collections/incidents"
EACH = [
    f"{PARCELS}/items/169-100/versions",
    f"{PARCELS}/items/169-100/lineage",
    f"{PARCELS}/changes?from=2&limit=20&f=json",
    f"{PARCELS}/changes?from=2&to=4&datetime=2014-05-20&f=json",
    f"{PARCELS}/changes?datetime=2013-06-01/2014-06-01&limit=5&f=json",
    f"{PARCELS}/change-dates",
    f"{PARCELS}/change-dates?axis=recorded",
    f"{CASES}/change-dates?limit=3",
    f"{PARCELS}/counts",
    f"{PARCELS}/counts?by=uyear&period=year",
    f"{CASES}/counts?period=day&limit=3",
    f"{CASES}/counts?by=state",
    f"{PARCELS}/revisions?limit=2",
    f"{PARCELS}/commits?limit=2",
    f"{PARCELS}/tags",
    "/commits?limit=2",
    "/commits/2",
    "/tags",
]


def links(document: dict[str, Any]) -> dict[str, str]:
    return {x["rel"]: x["href"] for x in document["links"]}


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


@pytest.mark.parametrize("address", EACH)
def test_each_is_a_document_and_a_page_and_its_links_lead_somewhere(
    client: TestClient, address: str
) -> None:
    document = client.get(address)
    assert document.status_code == 200, document.text
    page = client.get(address.replace("&f=json", ""), headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    for found in _links(document.json()):
        there = client.get(found["href"])
        assert there.status_code == 200, found
        assert there.headers["content-type"].removesuffix("; charset=utf-8") == found["type"], found
    tag = document.headers["etag"]
    again = client.get(address, headers={"If-None-Match": tag})
    if "datetime" not in document.json() or "datetime=" in address:
        assert again.status_code == 304


def _links(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [x for v in value for x in _links(v)]
    if not isinstance(value, dict):
        return []
    own = [x for x in value.get("links", ()) if "href" in x]
    return own + [x for k, v in value.items() if k != "links" for x in _links(v)]


# --- versions ----------------------------------------------------------------------------------

SOLD = f"{PARCELS}/items/169-100"
FIRST, SECOND = "2013-01-01T05%3A00%3A00Z", "2014-05-14T04%3A00%3A00Z"


def test_the_time_map_names_each_version(client: TestClient) -> None:
    document = client.get(f"{SOLD}/versions").json()
    mementos = [x for x in document["links"] if x["rel"] == "memento"]
    assert [x["href"].partition("?")[2] for x in mementos][-1] == f"datetime={SECOND}"
    assert mementos[-1]["datetime"] == "Wed, 14 May 2014 04:00:00 GMT"
    assert len(mementos) == len(document["features"]) == document["numberReturned"]
    by_rel = links(document)
    assert by_rel["latest-version"] == mementos[-1]["href"]
    assert by_rel["original"] == by_rel["timegate"] == f"http://testserver{SOLD}"
    for found, feature in zip(mementos, document["features"], strict=True):
        answer = client.get(found["href"])
        assert answer.headers["memento-datetime"] == found["datetime"]
        assert answer.json()["time"] == feature["time"]


@pytest.mark.parametrize(
    "asked", [{"params": {"f": "link-format"}}, {"headers": {"Accept": "application/link-format"}}]
)
def test_the_time_map_as_links(client: TestClient, asked: dict[str, Any]) -> None:
    answer = client.get(f"{SOLD}/versions", **asked)
    assert answer.headers["content-type"].startswith("application/link-format")
    written = answer.text.strip().split(",\n")
    assert sum('rel="memento"' in line for line in written) == 3
    assert f'<http://testserver{SOLD}>; rel="original"' in answer.text
    assert 'datetime="Wed, 14 May 2014 04:00:00 GMT"' in answer.text
    assert 'from="Tue, 01 Jan 2013 05:00:00 GMT"' in answer.text


def test_neighbours_of_a_version_in_the_body_and_in_headers(client: TestClient) -> None:
    answer = client.get(f"{SOLD}?datetime=2014-05-01")
    by_rel = links(answer.json())
    assert by_rel["predecessor-version"].endswith(f"?datetime={FIRST}")
    assert by_rel["successor-version"].endswith(f"?datetime={SECOND}")
    assert by_rel["latest-version"].endswith(f"?datetime={SECOND}")
    for rel in ("original", "timemap", "version-history", "predecessor-version"):
        assert f'<{by_rel[rel]}>; rel="{rel}"' in answer.headers["link"]
    first = links(client.get(f"{SOLD}?datetime=2013-06-01").json())
    assert "predecessor-version" not in first
    assert "successor-version" not in links(client.get(SOLD).json())


def test_what_was_known_is_kept_in_the_links(client: TestClient) -> None:
    for pin in ("revision=3", "recorded=2014-06-01"):
        document = client.get(f"{SOLD}?datetime=2014-05-20&{pin}").json()
        # At revision 3 nobody knew of the sale in May.
        assert "successor-version" not in links(document)
        for rel in ("original", "predecessor-version", "timemap", "latest-version"):
            assert "revision=3" in links(document)[rel], (pin, rel)
            assert client.get(links(document)[rel]).json()["revision"] == 3


def test_gone_says_where_it_is(client: TestClient) -> None:
    answer = client.get(f"{SOLD}?datetime=2012-01-01")
    assert answer.status_code == 410
    assert f'?datetime={SECOND}>; rel="latest-version"' in answer.headers["link"]
    assert f'<http://testserver{SOLD}/versions>; rel="timemap"' in answer.headers["link"]
    assert 'rel="version-history"' in answer.headers["link"]
    pinned = client.get(f"{SOLD}?datetime=2012-01-01&revision=1")
    assert f'?datetime={FIRST}&revision=1>; rel="latest-version"' in pinned.headers["link"]


def test_profiles_of_several_versions(client: TestClient) -> None:
    asked = f"{PARCELS}/items?ml=169-100&datetime=../.."
    ids = {
        "versions-as-features": ["169-100"] * 3,
        "nobody-knows-it,features-with-time-slices": ["169-100"],
        "http://www.opengis.net/def/profile/OGC/0/versions-as-features": ["169-100"] * 3,
    }
    for profile, expected in ids.items():
        answer = client.get(f"{asked}&profile={profile}")
        assert [f["id"] for f in answer.json()["features"]] == expected
        assert f"{profile.rpartition(',')[2].rpartition('/')[2]}>; rel=" in answer.headers["link"]
        assert answer.json()["numberReturned"] == len(expected)
    for unknown in ("", "&profile=nobody-knows-it"):
        assert "unique-ids>; rel=" in client.get(asked + unknown).headers["link"]


def test_time_slices_hold_what_the_versions_say(client: TestClient) -> None:
    asked = f"{PARCELS}/items?ml=169-100&datetime=../.."
    versions = client.get(asked).json()["features"]
    (one,) = client.get(f"{asked}&profile=features-with-time-slices").json()["features"]
    slices = {"/".join(v["time"]["interval"]): v["properties"] for v in versions}
    assert one["properties"] == slices
    assert one["time"]["interval"] == [versions[0]["time"]["interval"][0], ".."]


def test_pages_of_time_slices_have_whole_features(client: TestClient) -> None:
    asked = f"{PARCELS}/items?datetime=../..&bbox=-71.105,42.365,-71.1,42.37"
    versions = client.get(f"{asked}&limit=1000").json()["features"]
    address, found = f"{asked}&profile=features-with-time-slices&limit=5", []
    while address:
        answer = client.get(address)
        features = answer.json()["features"]
        if "time-slices>" in answer.headers["link"]:
            found += [(f["id"], p) for f in features for p in f["properties"]]
        else:
            told = [(f["id"].rsplit(".", 2)[0], f["time"]["interval"]) for f in features]
            found += [(i, "/".join(interval)) for i, interval in told]
        address = links(answer.json()).get("next")
    expected = [(v["id"].rsplit(".", 2)[0], "/".join(v["time"]["interval"])) for v in versions]
    assert sorted(found) == sorted(expected)


# --- changes -----------------------------------------------------------------------------------


def test_a_stream_says_what_it_is_and_that_it_is_whole(client: TestClient) -> None:
    answer = client.get(f"{PARCELS}/changes?from=3")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    heading, *changes, end = lines(answer)
    assert (heading["from"], heading["to"], heading["collection"]) == (3, 4, "parcels")
    assert heading["schemas"][0]["fields"]["uyear"] == "integer"
    assert end == {
        "type": "End",
        "numberReturned": len(changes),
        "token": changes[-1]["token"],
        "next": None,
    }
    assert {c["change"] for c in changes} == {"asserted", "retracted"}
    tag = answer.headers["etag"]
    again = client.get(f"{PARCELS}/changes?from=3", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in client.get(f"{PARCELS}/changes?from=3&to=4").headers["cache-control"]
    assert "immutable" not in answer.headers["cache-control"]


def test_the_whole_of_a_layer_can_be_had(client: TestClient) -> None:
    _, *changes, end = lines(client.get(f"{PARCELS}/changes"))
    assert end["numberReturned"] == len(changes) > 13_000
    there: dict[tuple[str, str], Any] = {}
    for c in changes:
        key = (c["id"], c["time"]["interval"][0])
        if c["change"] == "retracted":
            del there[key]
        else:
            there[key] = c["time"]["interval"][1]
    assert (
        len(there) == client.get(f"{PARCELS}/counts?datetime=../..").json()["buckets"][0]["count"]
    )


def test_shapes_come_in_the_layers_own_system_too(client: TestClient) -> None:
    asked = "/collections/pipe_segments/changes?limit=1&f=json"
    wanted = client.get("/collections/pipe_segments?f=html").text
    own = next(x for x in ("EPSG/0/4326", "EPSG/0/26986", "1.3/CRS84") if x in wanted)
    uri = f"http://www.opengis.net/def/crs/{own if own[0] == 'E' else 'OGC/' + own}"
    answer = client.get(asked, params={"crs": uri, "limit": "1", "f": "json"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["crs"] == uri
    assert client.get(f"{asked}&crs=EPSG:9999").status_code == 400


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("from=5", "from"),
        ("from=3&to=2", "from"),
        ("from=x", "from"),
        ("datetime=../2014-01-01", "begin"),
        ("token=x", "token"),
        ("token=WyIxNjAtNDgiXQ", "another kind"),
        ("bbox=0,0,1,1", "bbox"),
    ],
)
def test_what_changes_can_not_be(client: TestClient, asked: str, word: str) -> None:
    answer = client.get(f"{PARCELS}/changes?{asked}")
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


# --- the log -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "name", "key"),
    [("/commits", "commits", "id"), (f"{PARCELS}/revisions", "revisions", "number")],
)
def test_the_log_by_pages(client: TestClient, address: str, name: str, key: str) -> None:
    whole = [entry[key] for entry in client.get(address).json()[name]]
    found, following = [], f"{address}?limit=1"
    while following:
        document = client.get(following).json()
        assert len(document[name]) == 1
        found += [entry[key] for entry in document[name]]
        following = links(document).get("next")
    assert found == whole == sorted(whole, reverse=True)


def test_tags_are_internal(own_doors: Any) -> None:
    commit = own_doors.json(f"{PARCELS}/commits")["commits"][0]["id"]
    own_doors.store.tag("年终", commit, Writer("test"), "a note")
    for address in ("/tags", f"{PARCELS}/tags"):
        assert own_doors.json(address)["tags"] == []
        (tag,) = own_doors.json(address, headers=own_doors.key())["tags"]
        assert (tag["name"], tag["commit"], tag["note"]) == ("年终", commit, "a note")
    assert own_doors.json("/collections/grids/tags", headers=own_doors.key())["tags"] == []
    page = own_doors.client.get("/tags?f=html", headers=own_doors.key())
    assert "年终" in page.text
    one = own_doors.json(f"/commits/{commit}", headers=own_doors.key())
    assert (one["id"], one["tags"]) == (commit, ["年终"])
    assert "author" not in own_doors.json(f"/commits/{commit}")
    for wrong, status in (("999999", 404), ("x", 400), ("0", 400)):
        assert own_doors.client.get(f"/commits/{wrong}").status_code == status


# --- lineage -----------------------------------------------------------------------------------


def test_lineage_both_ways_and_at_any_time(own_doors: Any) -> None:
    store = own_doors.store
    shape = store.layer("parcels", Reader.everything()).at().read(ids=["169-100"]).geometry.iloc[0]
    into = [Insert({"ml": f"169-100{n}"}, shape) for n in "AB"]
    document = Document("CAD-2024-7")
    change: dict[str, Any] = {"parcels": [split("169-100", into, "2024-05-14")]}
    store.commit(change, Writer("test"), "a split", document=document)
    down = own_doors.json(f"{SOLD}/lineage")
    assert [x["descendant"] for x in down["descendants"]] == ["169-100A", "169-100B"]
    assert down["ancestors"] == []
    assert "document" not in down["descendants"][0]
    up = own_doors.json(f"{PARCELS}/items/169-100A/lineage", headers=own_doors.key())
    assert [(x["ancestor"], x["document"]) for x in up["ancestors"]] == [("169-100", "CAD-2024-7")]
    for pin in ("datetime=2024-05-01", "revision=4"):
        assert own_doors.json(f"{SOLD}/lineage?{pin}")["descendants"] == []
    unknown = own_doors.client.get(f"{PARCELS}/items/169-100A/lineage?revision=4")
    assert unknown.status_code == 404


# --- counts and change dates -------------------------------------------------------------------


def test_counts_name_values_by_the_code_list(client: TestClient) -> None:
    document = client.get(f"{CASES}/counts?by=state&period=month&limit=2").json()
    titles = {v["value"]: v["title"] for v in document["values"]}
    assert titles["closed"] == {"en": "Closed", "zh": "已结案"}
    assert document["counted"] == "reported-within"
    assert links(document)["next"]
    for bucket in document["buckets"]:
        assert sum(bucket["counts"]) == bucket["count"]


def test_counts_agree_with_the_items(client: TestClient) -> None:
    for when in ("2013-06-01", "2014-06-01"):
        asked = f"datetime={when}&bbox=-71.105,42.365,-71.1,42.37"
        items = client.get(f"{PARCELS}/items?{asked}&limit=10000").json()["features"]
        (bucket,) = client.get(f"{PARCELS}/counts?{asked}&by=uyear").json()["buckets"]
        assert bucket["count"] == sum(bucket["counts"]) == len(items)
    narrowed = client.get(f"{PARCELS}/counts?uyear=2000").json()["buckets"][0]["count"]
    assert (
        narrowed == len(client.get(f"{PARCELS}/items?uyear=2000&limit=1000").json()["features"]) > 0
    )


@pytest.mark.parametrize(
    "asked", ["by=nothing", "period=hour", "period=day&datetime=2014-01-01", "axis=valid", "by="]
)
def test_what_can_not_be_counted(client: TestClient, asked: str) -> None:
    assert client.get(f"{PARCELS}/counts?{asked}").status_code == 400


def test_rare_values_are_counted_together_and_that_is_said(client: TestClient) -> None:
    document = client.get(f"{PARCELS}/counts?by=ml").json()
    (bucket,) = document["buckets"]
    values = [v["value"] for v in document["values"]]
    # And besides these, last, how many have none.
    assert (len(values), values.index(None)) == (101, 100)
    assert bucket["other"] == bucket["count"] - sum(bucket["counts"]) > 0
    assert "most frequent" in document["notes"][0]
