"""A source published again: rows that the layer holds are taken as they came, and nothing shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import START, counts, layer, publish, schema_of

from layers.keeping.verify import verify
from layers.sources import open_source
from layers.store import Store, open_store
from layers.writing import staging
from tests.databases import Databases

CRS = "EPSG:4490"  # of the files as of the layer: else every shape is transformed
SCHEMA = schema_of(
    {"id": "a"}, {"id": "owner", "visibility": "restricted"}, geometry="MultiPolygon", crs=CRS
)
SQUARE = shapely.box(0, 0, 1, 1)
SHAPES = {
    "square": SQUARE,
    "other": shapely.box(2, 0, 3, 1),
    "wound the other way": SQUARE.reverse(),
    "two": shapely.MultiPolygon([SQUARE, shapely.box(5, 5, 6, 6)]),
    "bow tie": shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1), (0, 0)]),
    "empty": shapely.Polygon(),
    "none": None,
}
row = st.tuples(
    st.sampled_from([None, "x", "y"]),
    st.sampled_from([None, "p", "q"]),
    st.sampled_from(list(SHAPES)),
)
editions = st.lists(st.lists(row, min_size=1, max_size=6), min_size=2, max_size=3)


@pytest.fixture(scope="module")
def stores(empty_template: str, make_database: Databases) -> Iterator[list[Store]]:
    with (
        closing(open_store(make_database(empty_template))) as one,
        closing(open_store(make_database(empty_template))) as other,
    ):
        yield [one, other]
        assert verify(one.database) == []


def frame_of(rows: list[tuple[str | None, str | None, str]]) -> gpd.GeoDataFrame:
    columns = {
        "no": [str(n) for n in range(len(rows))],
        "a": [a for a, _, _ in rows],
        "owner": [owner for _, owner, _ in rows],
    }
    return gpd.GeoDataFrame(columns, geometry=[SHAPES[s] for _, _, s in rows], crs=CRS)


@settings(max_examples=20, deadline=None)
@given(editions=editions, ending=st.sampled_from(["parquet", "gpkg"]))
def test_it_comes_to_the_same_with_every_row_read_anew(
    stores: list[Store],
    tmp_path_factory: pytest.TempPathFactory,
    editions: list[list[tuple[str | None, str | None, str]]],
    ending: str,
) -> None:
    folder = tmp_path_factory.mktemp("editions")
    name = f"t{folder.name.removeprefix('editions')}"
    for n, rows in enumerate(editions):
        source = _write(frame_of(rows), folder / f"{n}.{ending}")
        how: dict[str, Any] = {"valid_from": START + timedelta(n), "consent": True}
        schema = None if n else SCHEMA
        taken = publish(stores[0], name, source, schema, **how)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(staging, "read_known", lambda *_: None)
            anew = publish(stores[1], name, source, schema, **how)
        assert counts(taken) == counts(anew)
        assert taken.unchanged == anew.unchanged
        for told in ("repaired", "without_geometry"):
            assert getattr(taken.findings, told) == getattr(anew.findings, told)
    ours, theirs = (layer(s, name).at(revision=layer(s, name).record.head) for s in stores)
    assert ours.rows() == theirs.rows()


def _write(frame: gpd.GeoDataFrame, path: Path) -> Any:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return open_source(path)


def test_a_restricted_value_that_alone_has_changed_is_seen(store: Store, tmp_path: Path) -> None:
    rows = [("x", "p", "square"), ("x", "p", "other")]
    publish(store, "t", _write(frame_of(rows), tmp_path / "1.parquet"), SCHEMA)
    rows[1] = ("x", "q", "other")
    report = publish(store, "t", _write(frame_of(rows), tmp_path / "2.parquet"))
    assert (counts(report), report.restricted_only) == ((0, 0, 0), 1)
    assert publish(store, "t", open_source(tmp_path / "2.parquet")).nothing_to_do
    assert verify(store.database) == []
