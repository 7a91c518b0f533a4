"""What is hashed beside the reading of a source is what the database would hash of its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import START, layer, publish, schema_of

from layers.keeping.verify import verify
from layers.rows.columns import Conversion, match_names
from layers.sameness import family_hash
from layers.sources import open_source
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writing import staging
from tests.databases import Databases

# No other letter comes before these in any of the names: the order of the columns matters.
KINDS = {
    "zeta": "text",
    "alpha": "integer",
    "mid": "number",
    "beta": "boolean",
    "day": "date",
    "when": "instant",
}
SCHEMA = schema_of(
    *({"id": name, "type": kind} for name, kind in KINDS.items()),
    {"id": "owner", "visibility": "restricted"},
    {"id": "share", "type": "number", "visibility": "restricted"},
    geometry="MultiPolygon",
)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=6)
texts |= st.text("'\\E|=\n宗", max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False)
box = st.builds(lambda x: shapely.box(x, 1, x + 0.1, 2), st.floats(-170, 170))
pair = st.builds(lambda a: shapely.MultiPolygon([a, shapely.box(1, 3, 2, 4)]), box)
row = st.fixed_dictionaries(
    {
        "zeta": st.none() | texts,
        "alpha": st.none() | st.integers(-(2**63), 2**63 - 1),
        "mid": st.none() | numbers,
        "beta": st.none() | st.booleans(),
        "day": st.none() | st.dates(date(1, 1, 2), date(9999, 12, 30)),
        "when": st.none() | st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),
        "owner": st.none() | texts,
        "share": st.none() | numbers,
        "geometry": st.none() | box | pair,
    }
)


class _RolledBackError(Exception):
    pass


@pytest.fixture(scope="module")
def published(empty_template: str, make_database: Databases) -> Iterator[Store]:
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as store:
        frame = gpd.GeoDataFrame({"no": ["0"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
        publish(store, "t", frame, SCHEMA)
        yield store


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=8))
def test_the_hash_of_a_row_is_the_databases_own(published: Store, rows: list[Any]) -> None:
    record = layer(published, "t").record
    conversion = Conversion(
        record.schema,
        match_names(record.schema, ["no", *KINDS, "owner", "share"]),
        {},
        FrameSource(_frame(rows)).crs,
        start=START,
    )
    source = FrameSource(_frame(rows))
    try:
        with published.database.write() as connection:
            stage = staging.create_stage(connection, record)
            staging.copy_rows(connection, stage, source, conversion, lambda *_: None)
            raw = stage.raw.c
            assert stage.tables.restricted is not None
            hidden = family_hash(stage.tables.restricted, raw)
            says = sa.or_(raw.owner.is_not(None), raw.share.is_not(None))
            found = connection.execute(
                sa.select(
                    raw._hash,
                    family_hash(stage.tables.open, raw),
                    raw._hash_restricted,
                    sa.case((says, hidden)),
                )
            ).all()
            assert len(found) == len(rows)
            for ours, theirs, ours_hidden, theirs_hidden in found:
                assert ours == theirs
                assert ours_hidden == theirs_hidden
            raise _RolledBackError
    except _RolledBackError:
        pass


def _frame(rows: list[Any]) -> gpd.GeoDataFrame:
    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    types |= {"boolean": pa.bool_(), "date": pa.date32(), "instant": pa.timestamp("us", "UTC")}
    kinds = {**KINDS, "owner": "text", "share": "number"}
    columns: dict[str, Any] = {"no": [str(n) for n in range(len(rows))]}
    for name, kind in kinds.items():
        values = [r[name] for r in rows]
        if kind == "instant":
            values = [v and v.replace(tzinfo=UTC) for v in values]
        columns[name] = pd.Series(pa.array(values, types[kind]), dtype=pd.ArrowDtype(types[kind]))
    return gpd.GeoDataFrame(columns, geometry=[r["geometry"] for r in rows], crs=4326)


def test_shapes_with_heights(store: Store) -> None:
    schema = schema_of({"id": "a"}, geometry="MultiPointZ")
    shapes = [shapely.MultiPoint([(1, 2, 3), (4, 5, 6)]), shapely.Point(1, 2, 3)]
    frame = gpd.GeoDataFrame({"no": ["1", "2"], "a": ["x", None]}, geometry=shapes, crs=4326)
    publish(store, "t", frame, schema)
    assert verify(store.database) == []
    assert publish(store, "t", frame).nothing_to_do


def test_shapes_whose_parts_have_the_other_byte_order(store: Store, tmp_path: Path) -> None:
    square = shapely.box(0, 0, 1, 1)
    whole = shapely.MultiPolygon([square]).wkb
    header, other = whole[:9], shapely.to_wkb(square, byte_order=0)
    assert shapely.from_wkb(header + other).equals(square)
    two = shapely.MultiPolygon([square, shapely.box(2, 2, 3, 3)])
    shapes = [whole, header + other, two.wkb, other, square.wkb]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {}}}
    geo["columns"] = {"geometry": {"encoding": "WKB", "geometry_types": []}}
    table = pa.table({"no": list("abcde"), "geometry": pa.array(shapes, pa.binary())})
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "t.parquet")

    publish(store, "t", open_source(tmp_path / "t.parquet"), schema_of(geometry="MultiPolygon"))
    assert verify(store.database) == []
    read = layer(store, "t").at().read().geometry
    assert [shape.area for shape in read] == [1, 1, 2, 1, 1]
