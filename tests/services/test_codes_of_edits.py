"""Edits over HTTP where a code list has taken the place of another, both made up."""

from __future__ import annotations

from land import A1, FIELDS, LAND, OWNER, PATCH, Desk, feature, schema_of

from layers.schema_changes import SchemaChange


def test_edits_are_held_to_the_list_of_their_time(desk: Desk) -> None:
    newer = {"codes": {"03": "wood"}, "codes_since": "2021-01-01"}
    fields = [f | newer if f["id"] == "use" else f for f in FIELDS]
    desk.store.commit({"land": SchemaChange(schema_of(fields=fields))}, OWNER, "another list")
    # What a feature is of goes on.
    assert desk.send("PATCH", A1, {"properties": {"name": "Z"}}, PATCH).status_code == 204
    assert desk.get(A1)["properties"]["use"] == "01"
    refused = desk.send("PATCH", f"{LAND}/b2", {"properties": {"use": "02"}}, PATCH)
    assert refused.status_code == 400
    assert "code '02' (forest) of use is valid before 2021-01-01" in refused.json()["detail"]
    assert "shikong layer codes land use" in refused.json()["detail"]
    assert desk.send("POST", LAND, feature(use="02")).status_code == 400
    then = {"time": {"interval": ["2020-05-01T00:00:00Z", "2022-01-01T00:00:00Z"]}}
    assert desk.send("POST", LAND, feature(use="02") | then).status_code == 201
    new = desk.send("PATCH", f"{LAND}/b2", {"properties": {"use": "03"}}, PATCH)
    assert new.status_code == 204
    assert desk.send("POST", LAND, feature("d4", use="04")).status_code == 400
