"""The report that is kept with a revision, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import shapely

from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
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
