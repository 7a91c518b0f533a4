"""What is read: boxes, reference systems, readers, and the encoding behind the hashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import START, layer, points, publish, schema_of

from layers.errors import BadQuery, FeatureGone, UnknownFeature, UnknownLayer, UnknownRevision
from layers.model import Field, FieldType, Mode, Title
from layers.readers import Reader, View
from layers.sameness import encoding
from layers.store import Store


def places(crs: str = "OGC:CRS84", **where: tuple[float, float]) -> gpd.GeoDataFrame:
    shapes = [shapely.Point(*xy) for xy in where.values()]
    return gpd.GeoDataFrame({"no": list(where)}, geometry=shapes, crs=crs)


def inside(store: Store, *bbox: float) -> list[str]:
    return list(layer(store, "t").at().read(bbox=bbox).index)


def test_a_box_has_what_it_meets_edges_included(store: Store) -> None:
    publish(store, "t", places(a=(0, 0), b=(1, 1), c=(2, 2)), schema_of())
    assert inside(store, 0, 0, 1, 1) == ["a", "b"]
    assert inside(store, 1.5, 1.5, 1.6, 1.6) == []


def test_a_box_may_cross_180_degrees(store: Store) -> None:
    publish(store, "t", places(east=(179, 0), west=(-179, 0), none=(0, 0)), schema_of())
    assert inside(store, 170, -10, -170, 10) == ["east", "west"]
    assert inside(store, -180, -90, 180, 90) == ["east", "none", "west"]


@pytest.mark.parametrize("crs", ["EPSG:4549", "EPSG:32650", "EPSG:4490", "EPSG:4326"])
def test_coordinates_are_stored_east_north_in_any_system(store: Store, crs: str) -> None:
    """EPSG:4549 and 4490 state north first; x stays east."""
    lonlat = places(a=(120.5, 31.25))
    publish(store, "t", lonlat, schema_of(crs=crs))
    frame = layer(store, "t").at().read()
    expected = lonlat.to_crs(crs).geometry.iloc[0]
    assert frame.crs == crs
    assert frame.geometry.iloc[0].distance(expected) < 1e-6
    assert inside(store, 120.4, 31.2, 120.6, 31.3) == ["a"]
    assert inside(store, 31.2, 120.4, 31.3, 120.6) == []
    (row,) = layer(store, "t").at().rows()
    assert shapely.from_geojson(row._geom).distance(shapely.Point(120.5, 31.25)) < 1e-7
    west, south, _, _ = layer(store, "t").extent().bounds or (0, 0, 0, 0)
    assert (round(west, 5), round(south, 5)) == (120.5, 31.25)


def test_the_extent_forgets_what_was_retracted(store: Store) -> None:
    publish(store, "t", places(a=(100, 80)), schema_of())
    publish(store, "t", places(a=(0, 1)), valid_from=START)
    bounds = layer(store, "t").extent().bounds
    assert bounds == (0, 1, 0, 1)


def test_readers_see_what_is_theirs(store: Store) -> None:
    fields = [{"id": "a"}, {"id": "i", "visibility": "internal"}]
    fields.append({"id": "r", "visibility": "restricted"})
    schema = schema_of(*fields, visibility="public")
    publish(store, "t", points(no=["1"], a=["x"], i=["y"], r=["z"]), schema)
    public, staff = Reader.anonymous(), Reader("s", (View(),))
    assert {"a", "i", "r"} & set(store.layer("t", public).at().read()) == {"a"}
    assert {"a", "i", "r"} & set(store.layer("t", staff).at().read()) == {"a", "i"}
    with pytest.raises(BadQuery, match="'i'"):
        store.layer("t", public).at().read(equal={"i": "y"})
    publish(store, "t", points(no=["1"], a=["x"], i=["other"], r=["z"]), valid_from=START)
    found = store.layer("t", public)
    assert not list(found.diff(found.at(revision=1), found.at()))
    publish(store, "u", points(no=["1"]), schema_of(visibility="internal"))
    with pytest.raises(UnknownLayer):
        store.layer("u", public)
    with pytest.raises(UnknownLayer):
        store.layer("t_of_nobody", staff)


def test_one_feature(store: Store) -> None:
    publish(store, "t", points(no=["1"]), schema_of())
    found = layer(store, "t")
    assert found.at().one("1")._fid == "1"
    with pytest.raises(FeatureGone):
        found.at(datetime(2019, 1, 1, tzinfo=UTC)).one("1")
    with pytest.raises(UnknownFeature):
        found.at().one("2")
    with pytest.raises(UnknownRevision, match="revisions 1 to 1"):
        found.at(revision=2)


def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    publish(store, "t", points(no=[str(n) for n in range(7)]), schema_of())
    publish(
        store, "t", points(no=["3"]), mode=Mode.UPSERT, valid_from=datetime(2021, 1, 1, tzinfo=UTC)
    )
    moment, seen, after = layer(store, "t").at("../.."), [], None
    while rows := moment.where(limit=2, after=after).rows():
        seen += [(r._fid, r._valid_from) for r in rows]
        after = seen[-1]
    assert seen == sorted(set(seen))
    assert len(seen) == moment.count()


def test_a_stream_has_what_a_read_has(store: Store) -> None:
    publish(store, "t", points(no=[str(n) for n in range(7)]), schema_of())
    snapshot = layer(store, "t").at()
    parts = list(snapshot.stream(3))
    assert [len(p) for p in parts] == [3, 3, 1]
    pd.testing.assert_frame_equal(pd.concat(parts), snapshot.read(), check_index_type=False)


def test_values_come_back_as_they_went_in(store: Store) -> None:
    values: dict[str, tuple[str, list[Any]]] = {
        "i": ("integer", [2**63 - 1, None, -(2**63)]),
        "f": ("number", [0.1 + 0.2, None, 5e-324]),
        "b": ("boolean", [True, None, False]),
        "s": ("text", ['"quoted", 逗号\nand\\.', None, ""]),
    }
    schema = schema_of(*({"id": k, "type": kind} for k, (kind, _) in values.items()))
    columns: dict[str, Any] = {k: pd.Series(v, dtype=object) for k, (_, v) in values.items()}
    columns["i"] = columns["i"].astype("Int64")
    publish(store, "t", points(no=["1", "2", "3"], **columns), schema)
    frame = layer(store, "t").at().read()
    for name, (_, expected) in values.items():
        found = [None if pd.isna(v) else v for v in frame[name]]
        assert found == expected
    assert publish(store, "t", points(no=["1", "2", "3"], **columns)).nothing_to_do


FIELDS = tuple(Field(name, FieldType.TEXT, Title(name, name)) for name in "abc")
letters = st.none() | st.text("aN|=V:1", max_size=4)
TYPED = [(f.id, f.type) for f in FIELDS]


@pytest.fixture(scope="module")
def module_store(empty_template: str) -> Any:
    from contextlib import closing

    from layers.store import open_store

    with closing(open_store(empty_template)) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(rows=st.sets(st.tuples(letters, letters, letters), min_size=2, max_size=40))
def test_rows_that_differ_are_encoded_differently(
    module_store: Store, rows: set[tuple[str | None, ...]]
) -> None:
    """NULL is no empty text, and no value can pass for two."""
    table = sa.values(*(sa.column(f.id, sa.Text) for f in FIELDS), name="v").data(list(rows))
    cast = sa.select(*(sa.cast(c, sa.Text).label(c.name) for c in table.c)).subquery()
    with module_store.database.read() as connection:
        found = connection.scalars(sa.select(encoding(TYPED, cast.c))).all()
    assert len({bytes(b) for b in found}) == len(rows)
