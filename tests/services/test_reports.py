"""Reports over HTTP: of uploads, and those that are kept with a revision, with their faults."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import pytest
import shapely
from pyproj import Transformer

from layers.access.grants import Role, Terms
from layers.edits import Update
from layers.kept_faults import keep_faults, read_faults
from layers.publish import Reload
from layers.report import Fault, Findings, Report
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.territories import Territory
from layers.writers import Writer

FIELDS = [{"id": "no", "role": "key"}, {"id": "depth", "type": "number", "unit": "m"}]
RULE = {"id": "depth", "check": "range", "fields": {"value": "depth"}, "params": {"least": 0}}


def _publish(doors: Any) -> None:
    """Publish three synthetic wells, one of a depth that can't be, into a public layer."""
    document = {"title": "Wells", "geometry": "Point", "visibility": "public", "fields": FIELDS}
    schema = parse_schema(document | {"rules": [RULE | {"outcome": "row"}]})
    frame = gpd.GeoDataFrame(
        {"no": ["a", "b", "c"], "depth": [1.0, -7.25, 3.0], "other": [1, 2, 3]},
        geometry=[shapely.Point(x, 1) for x in range(3)],
        crs="OGC:CRS84",
    )
    reload = Reload(
        FrameSource(frame, "wells.csv"), schema=schema, valid_from=datetime(2020, 1, 1, tzinfo=UTC)
    )
    doors.store.commit({"wells": reload}, Writer("test"), "wells")


def test_staff_read_the_report_of_a_revision_without_values(own_doors: Any) -> None:
    _publish(own_doors)
    where = "/collections/wells/revisions/1"
    found = own_doors.json(where, headers=own_doors.key())
    assert found["report"]["rules_broken"] == [
        {"rule": "depth", "fault": "range", "outcome": "row", "count": 1, "rows": [2]}
    ]
    assert (found["report"]["rows_read"], found["report"]["rows_refused"]) == (3, 1)
    assert found["report"]["columns_left_out"] == ["other"]
    assert "7.25" not in str(found)
    page = own_doors.client.get(f"{where}?f=html", headers=own_doors.key())
    assert page.status_code == 200
    assert "入库报告" in page.text
    assert "wells.csv" in page.text
    assert "7.25" not in page.text


def test_the_public_reads_no_report(own_doors: Any) -> None:
    _publish(own_doors)
    where = "/collections/wells/revisions/1"
    found = own_doors.json(where)
    assert found["created"] == 2
    assert "report" not in found
    page = own_doors.client.get(f"{where}?f=html")
    assert page.status_code == 200
    assert "入库报告" not in page.text
    assert "wells.csv" not in page.text


def test_where_a_field_is_hidden_so_is_what_tells_of_it(own_doors: Any) -> None:
    """A rule that looks at a restricted field is not named, nor are the source's own columns."""
    secret = {"id": "owed", "type": "number", "visibility": "restricted"}
    rules = [
        RULE | {"outcome": "row"},
        {"id": "owes", "check": "range", "fields": {"value": "owed"}, "params": {"most": 10}},
    ]
    document = {"title": "Wells", "geometry": "Point", "visibility": "public"}
    schema = parse_schema(document | {"fields": [*FIELDS, secret], "rules": rules})
    frame = gpd.GeoDataFrame(
        {"no": ["a", "b"], "depth": [1.0, -7.25], "owed": [5, 50], "owed_by": [1, 2]},
        geometry=[shapely.Point(x, 1) for x in range(2)],
        crs="OGC:CRS84",
    )
    when = datetime(2020, 1, 1, tzinfo=UTC)
    reload = Reload(FrameSource(frame, "wells.csv"), schema=schema, valid_from=when)
    done = own_doors.store.commit({"wells": reload}, Writer("test"), "wells")
    assert {b["rule"] for b in done.reports["wells"].document()["rules_broken"]} == {
        "depth",
        "owes",
    }
    answer = own_doors.client.get("/collections/wells/revisions/1", headers=own_doors.key())
    assert [b["rule"] for b in answer.json()["report"]["rules_broken"]] == ["depth"]
    assert "owe" not in answer.text


APART = {"id": "apart", "check": "overlap", "params": {}, "title": {"en": "Apart", "zh": "不重叠"}}
PLOT = {"title": "Plots", "geometry": "Polygon", "crs": "EPSG:4549", "visibility": "public"}
WEST, NORTH = 500_000.0, 3_000_000.0


def _plots(doors: Any, *rules: Any, fields: Any = (), outcome: str = "say") -> None:
    """Publish two synthetic plots that share 10 by 1 m, in metres of CGCS2000."""
    schema = parse_schema(
        PLOT | {"fields": [*FIELDS, *fields], "rules": [APART | {"outcome": outcome}, *rules]}
    )
    reload = Reload(_two(), schema=schema, valid_from=datetime(2020, 1, 1, tzinfo=UTC))
    doors.store.commit({"plots": reload}, Writer("test"), "plots")


def _two() -> FrameSource:
    boxes = [shapely.box(0, 0, 10, 10), shapely.box(9, 0, 20, 10)]
    moved = [shapely.affinity.translate(box, WEST, NORTH) for box in boxes]
    frame = gpd.GeoDataFrame({"no": ["a", "b"], "depth": [1.0, 2.0]}, geometry=moved)
    return FrameSource(frame.set_crs("EPSG:4549"), "plots.shp")


FAULTS = "/collections/plots/revisions/1/faults"


def test_the_faults_of_a_revision_are_a_layer_to_download(own_doors: Any) -> None:
    _plots(own_doors)
    key = own_doors.key()
    told = own_doors.json("/collections/plots/revisions/1", headers=key)
    [href] = [found["href"] for found in told["links"] if found["rel"] == "enclosure"]
    assert href.endswith(FAULTS)
    answer = own_doors.client.get(href, headers=key | {"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/geo+json"
    assert 'filename="plots-1-faults.geojson"' in answer.headers["content-disposition"]
    found = answer.json()
    assert (found["numberMatched"], found["numberReturned"]) == (1, 1)
    [fault] = found["features"]
    message = fault["properties"].pop("message")
    assert fault["properties"] == {
        "rule": "apart",
        "row": 2,
        "other_row": 1,
        "measured": pytest.approx(10.0),
        "allowed": "0",
        "unit": "m2",
    }
    assert "with row 1" in message
    # Where the two overlap, by pyproj's own way to longitude and latitude.
    [place] = gpd.read_file(answer.text).geometry
    move = Transformer.from_crs("EPSG:4549", "OGC:CRS84", always_xy=True).transform
    expected = shapely.transform(
        shapely.box(WEST + 9, NORTH, WEST + 10, NORTH + 10), move, interleaved=False
    )
    assert shapely.hausdorff_distance(place, expected) < 1e-8  # degrees: a millimetre
    page = own_doors.client.get("/collections/plots/revisions/1?f=html", headers=key).text
    assert FAULTS in page
    for query, status in (("f=json", 200), ("f=html", 406), ("limit=1", 400), ("bbox=", 400)):
        other = own_doors.client.get(f"{FAULTS}?{query}", headers=key)
        assert other.status_code == status, query


def test_faults_are_for_whoever_sees_all_of_the_layer(own_doors: Any) -> None:
    """For others they are not there, as revisions are not that keep none."""
    secret = {"id": "owner", "visibility": "restricted"}
    _plots(own_doors, fields=[secret])
    west = Territory(area=shapely.to_wkb(shapely.box(0, 0, 1, 1)))
    trusted = own_doors.granted(Terms(Role.READER, fields=("internal", "restricted")))
    partly = own_doors.granted(
        Terms(Role.READER, fields=("internal", "restricted"), territory=west)
    )
    assert len(own_doors.json(FAULTS, headers=trusted)["features"]) == 1
    for headers in ({}, own_doors.key(), own_doors.key("publisher"), partly):
        answer = own_doors.client.get(FAULTS, headers=headers)
        assert answer.status_code == 404, answer.text
        told = own_doors.client.get("/collections/plots/revisions/1", headers=headers).json()
        assert "enclosure" not in {found["rel"] for found in told["links"]}
    never = own_doors.client.get("/collections/plots/revisions/9/faults", headers=trusted)
    assert never.status_code == 404
    edited = own_doors.store.commit({"plots": [Update("a", {"depth": 2.0})]}, Writer("test"), "")
    assert edited.reports["plots"].revision == 2
    none = own_doors.client.get("/collections/plots/revisions/2/faults", headers=trusted)
    assert none.status_code == 404


def test_of_a_rule_beside_another_layer_they_are_for_who_sees_that_one_too(own_doors: Any) -> None:
    zones = {"title": "Zones", "geometry": "Polygon", "crs": "EPSG:4549", "visibility": "internal"}
    schema = parse_schema(zones | {"fields": [{"id": "no", "role": "key"}]})
    box = shapely.affinity.translate(shapely.box(0, 0, 5, 5), WEST, NORTH)
    frame = gpd.GeoDataFrame({"no": ["z"]}, geometry=[box], crs="EPSG:4549")
    when = datetime(2020, 1, 1, tzinfo=UTC)
    zone = Reload(FrameSource(frame), schema=schema, valid_from=when)
    own_doors.store.commit({"zones": zone}, Writer("test"), "")
    within = {"id": "within", "check": "outside", "params": {"boundary": "zones"}}
    _plots(own_doors, within | {"outcome": "say"})
    named = Terms(Role.READER, "layer:plots", fields=("internal",))
    for headers, rules in (
        (own_doors.key(), {"apart", "within"}),
        (own_doors.granted(named), {"apart"}),
    ):
        found = own_doors.json(FAULTS, headers=headers)
        assert {f["properties"]["rule"] for f in found["features"]} == rules
        assert found["numberMatched"] == found["numberReturned"] == len(found["features"])


def test_so_many_faults_are_kept_of_each_rule_and_large_shapes_as_boxes() -> None:
    round_one = shapely.Point(0, 0).buffer(10, quad_segs=50)
    many = [Fault("many", n, "m", place=shapely.Point(n, 0, 5)) for n in range(3000)]
    few = [Fault("few", n, "f", measured=float(n), place=round_one) for n in range(10)]
    findings = Findings(rows_read=3000, faults=[*many, *few, Fault("nowhere", 1, "n")])
    kept = read_faults(keep_faults(Report("x", "x", findings, crs="EPSG:4549"))["faults"])
    assert Counter(f.rule for f in kept.faults) == {"many": 989, "few": 10, "nowhere": 1}
    assert kept.count == 3011
    assert [f.row for f in kept.faults[:989]] == list(range(989))
    assert kept.faults[0].place == shapely.Point(0, 0)
    assert kept.faults[989].place is not None
    assert kept.faults[989].place.equals(shapely.box(-10, -10, 10, 10))
    assert kept.faults[-1].place is None


UPLOAD = "/collections/plots/revisions"


def _body(*plots: tuple[str, float, float]) -> dict[str, Any]:
    """Plots of 10 by 10 m as an upload has them, each with its number, depth and east."""
    move = Transformer.from_crs("EPSG:4549", "OGC:CRS84", always_xy=True).transform
    features = []
    for no, depth, east in plots:
        box = shapely.box(WEST + east, NORTH, WEST + east + 10, NORTH + 10)
        there = shapely.transform(box, move, interleaved=False)
        told = {"no": no, "depth": depth, "Teufe": 1.0}
        features.append(
            {"type": "Feature", "properties": told, "geometry": there.__geo_interface__}
        )
    return {"type": "FeatureCollection", "features": features}


def test_an_upload_answers_with_its_report(own_doors: Any) -> None:
    _plots(own_doors, RULE | {"outcome": "row"})
    key = own_doors.key("publisher")
    body = _body(("c", 1.0, 100), ("d", -7.25, 200), ("e", 2.0, 105))
    for dry_run, status in ((True, 200), (False, 201)):
        asked = f"{UPLOAD}?dry-run={str(dry_run).lower()}"
        answer = own_doors.client.post(asked, json=body, headers=key)
        assert answer.status_code == status, answer.text
        said = answer.json()
        report = said["report"]
        assert (said["created"], report["rows_read"], report["rows_refused"]) == (2, 3, 1)
        assert [(b["rule"], b["rows"]) for b in report["rules_broken"]] == [
            ("apart", [3]),
            ("depth", [2]),
        ]
        assert report["reference_system"]["storage"] == "EPSG:4549"
        assert report["mapping"]["columns"] == {"no": "no", "depth": "depth"}
        assert report["columns_left_out"] == ["Teufe"]
        assert "7.25" not in answer.text
    there = own_doors.json(answer.headers["location"], headers=key)
    assert there["report"] == report


def test_what_refuses_an_upload_gives_its_report_too(own_doors: Any) -> None:
    limits = {"refused_share": 0.1}
    schema = PLOT | {"fields": FIELDS, "rules": [RULE | {"outcome": "row"}], "limits": limits}
    reload = Reload(
        _two(), schema=parse_schema(schema), valid_from=datetime(2020, 1, 1, tzinfo=UTC)
    )
    own_doors.store.commit({"plots": reload}, Writer("test"), "plots")
    key = own_doors.key("publisher")
    body = _body(("c", -1.0, 100), ("d", 1.0, 200))
    for query in ("", "?dry-run=true"):
        limit = own_doors.client.post(f"{UPLOAD}{query}", json=body, headers=key)
        assert limit.status_code == 400, limit.text
        assert limit.json()["report"]["rules_broken"] == [
            {"rule": "depth", "fault": "range", "outcome": "row", "count": 1, "rows": [1]}
        ]
    consent = own_doors.client.post(
        f"{UPLOAD}?mode=reload", json=_body(("d", 1.0, 200)), headers=key
    )
    assert consent.status_code == 409, consent.text
    assert consent.json()["report"]["rows_read"] == 1
    refuse = parse_schema(schema | {"rules": [RULE | {"outcome": "refuse"}]})
    own_doors.store.commit({"plots": SchemaChange(refuse)}, Writer("test"), "")
    rule = own_doors.client.post(UPLOAD, json=body, headers=key)
    assert rule.status_code == 400
    assert "the rule depth" in rule.json()["detail"]
    assert rule.json()["report"]["rules_broken"][0]["outcome"] == "refuse"
    page = own_doors.client.post(UPLOAD, json=body, headers=key | {"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert own_doors.json("/collections/plots", headers=key)["revision"] == 2


def test_no_report_of_an_upload_tells_of_a_hidden_field(own_doors: Any) -> None:
    """Nor its rules, its columns, nor what refuses, where a field is kept from whoever uploads."""
    secret = {"id": "owed", "type": "number", "visibility": "restricted"}
    owes = {"id": "owes", "check": "range", "fields": {"value": "owed"}, "params": {"most": 10}}
    fields = [*FIELDS, secret]
    document = PLOT | {"fields": fields, "rules": [RULE | {"outcome": "row"}, owes]}
    schema = parse_schema(document)
    own = gpd.GeoDataFrame(
        {"no": ["a"], "depth": [1.0], "owed": [50.0]},
        geometry=[shapely.box(WEST, NORTH, WEST + 10, NORTH + 10)],
        crs="EPSG:4549",
    )
    when = datetime(2020, 1, 1, tzinfo=UTC)
    reload = Reload(FrameSource(own, "own.shp"), schema=schema, valid_from=when)
    own_doors.store.commit({"plots": reload}, Writer("test"), "")
    key = own_doors.key("publisher")
    body = _body(("a", 2.0, 0), ("d", -1.0, 200))
    body["features"][0]["properties"]["owed_by"] = "x"
    answer = own_doors.client.post(f"{UPLOAD}?dry-run=true", json=body, headers=key)
    assert answer.status_code == 200, answer.text
    report = answer.json()["report"]
    assert [b["rule"] for b in report["rules_broken"]] == ["depth"]
    assert (report["mapping"], report["suggested"]) == (None, [])
    assert "owe" not in answer.text
    trusted = own_doors.granted(Terms(Role.PUBLISHER, fields=("internal", "restricted")))
    shown = own_doors.client.post(f"{UPLOAD}?dry-run=true", json=body, headers=trusted)
    assert "owed" in shown.json()["report"]["fields_lacking"]
    refuse = parse_schema(document | {"rules": [owes | {"outcome": "refuse"}]})
    own_doors.store.commit({"plots": SchemaChange(refuse)}, Writer("test"), "")
    refused = own_doors.client.post(UPLOAD, json=_body(("a", 3.0, 0)), headers=key)
    assert refused.status_code == 400, refused.text
    assert refused.json()["report"]["rules_broken"] == []
    assert "owe" not in refused.text


def test_a_dry_run_suggests_which_columns_are_lacking_fields(own_doors: Any) -> None:
    """To whom no field is hidden from; what is taken is taken by names alone."""
    depth = {"id": "depth", "type": "number", "title": {"en": "Teufe", "zh": "深度"}}
    schema = parse_schema(PLOT | {"fields": [FIELDS[0], depth]})
    reload = Reload(_two(), schema=schema, valid_from=datetime(2020, 1, 1, tzinfo=UTC))
    own_doors.store.commit({"plots": reload}, Writer("test"), "plots")
    key = own_doors.key("publisher")
    body = _body(("c", 1.0, 100))
    del body["features"][0]["properties"]["depth"]
    answer = own_doors.client.post(f"{UPLOAD}?dry-run=true", json=body, headers=key)
    report = answer.json()["report"]
    [found] = report["suggested"]
    assert (found["field"], found["column"], found["score"]) == ("depth", "Teufe", 1.0)
    assert report["fields_lacking"] == ["depth"]
    done = own_doors.client.post(UPLOAD, json=body, headers=key)
    assert done.json()["report"]["suggested"] == []
    assert own_doors.json("/collections/plots/items/c")["properties"]["depth"] is None
