"""Publishes that a slip of the pen makes wrong are refused, and write nothing."""

from __future__ import annotations

import pandas as pd
import pytest
import shapely
from publishing import counts, layer, points, publish, schema_of

from layers.errors import BadKey, BadValue, SchemaConflict, UnknownLayer
from layers.model import Duplicates, Kind, Mode
from layers.schemas.inference import Choices
from layers.sourcing.frames import FrameSource
from layers.store import Store


def test_a_table_row_of_no_feature_makes_none(store: Store) -> None:
    publish(store, "t", points(no=["1", "2"], a=["x", "y"]), schema_of({"id": "a"}))
    table = FrameSource(pd.DataFrame({"no": ["2", "3"], "a": ["new", "new"]}))
    with pytest.raises(BadKey, match="'3'"):
        publish(store, "t", table, mode=Mode.UPSERT)
    assert layer(store, "t").record.head == 1
    known = FrameSource(pd.DataFrame({"no": ["2"], "a": ["new"]}))
    assert counts(publish(store, "t", known, mode=Mode.UPSERT)) == (0, 1, 0)
    assert not layer(store, "t").at().read().geometry.isna().any()


@pytest.mark.parametrize("choices", [Choices(keys=("a",)), Choices(kind=Kind.EVENT)])
def test_a_layer_keeps_its_key_and_kind(store: Store, choices: Choices) -> None:
    fields = ({"id": "a"}, {"id": "at", "type": "instant"})
    publish(store, "t", points(no=["1"], a=["x"], at=["2020-01-01"]), schema_of(*fields))
    if choices.kind:
        choices = Choices(kind=choices.kind, valid_from="at")
    with pytest.raises(SchemaConflict):
        publish(store, "t", points(no=["1"], a=["x"], at=["2020-01-01"]), choices=choices)


def test_what_becomes_of_repeats_is_no_part_of_the_layer(store: Store) -> None:
    schema = schema_of({"id": "a"})
    first = Choices(duplicates=Duplicates.FIRST)
    publish(store, "t", points(no=["1", "1"], a=["x", "y"]), schema, choices=first)
    report = publish(store, "t", points(no=["1"], a=["z"]), schema)
    assert counts(report) == (0, 1, 0)
    merge = Choices(duplicates=Duplicates.MERGE)
    with pytest.raises(BadKey, match="no pieces"):
        publish(store, "t", points(no=["1", "1"], a=["x", "y"]), choices=merge)


def test_metres_are_no_degrees(store: Store) -> None:
    frame = points(no=["1", "2"])
    frame.loc[1, "geometry"] = shapely.Point(500_000, 4_400_000)
    with pytest.raises(BadValue, match=r"row 2.*no longitude"):
        publish(store, "t", frame, schema_of())
    with pytest.raises(UnknownLayer):
        layer(store, "t")


def test_a_value_of_any_length_is_told_in_short(store: Store) -> None:
    schema = schema_of({"id": "n", "type": "integer"})
    with pytest.raises(BadValue) as caught:
        publish(store, "t", points(no=["1"], n=["x" * 100_000]), schema)
    assert "row 1, field n" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert publish(store, "t", points(no=["1"], n=["7"]), schema).created == 1
