"""The 10,335 real crashes of Cambridge as an event layer, and the precincts of two editions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import read_schema
from layers.sources import open_source
from layers.store import Store
from layers.writers import Writer
from spatial.assignment import assign
from spatial.crs import parse_crs

SCHEMA = Path(__file__).resolve().parents[1] / "fixtures" / "crashes.toml"


@pytest.fixture
def crashes(store: Store, shared: Path) -> Store:
    schema = read_schema(SCHEMA)
    path = shared / "data" / "cambridge" / "incidents" / "police_crash_data.csv"
    source = open_source(path, coordinates=schema.coordinates)
    done = store.commit(
        {"crashes": Reload(source, schema, crs=parse_crs("OGC:CRS84"))},
        Writer("test"),
        "real crashes",
    )
    report = done.reports["crashes"]
    assert report.findings.rows_read == 10_335
    assert report.findings.without_geometry.count == 1_225
    return store


@pytest.mark.parametrize(("edition", "share"), [("2015-01-01", 99.2), ("2024-01-01", 99.1)])
def test_shares_in_a_precinct_are_those_of_the_sources(
    crashes: Store, demo_store: Store, edition: str, share: float
) -> None:
    everything = crashes.layer("crashes", Reader.everything()).at().read()
    located = everything[~everything.geometry.isna()]
    assert len(located) == 9_110
    precincts = demo_store.layer("grids").at(edition).read(equal={"grid_type": "precinct"})
    table = assign(located, precincts, key="grid_code")
    assert len(table) == len(located)
    assert round(100 * (table.status != "unassigned").mean(), 1) == pytest.approx(share, abs=0.05)


def test_every_crash_is_there_at_its_own_time(crashes: Store) -> None:
    layer = crashes.layer("crashes", Reader.everything())
    frame = layer.at("2010-01-01/2010-12-31T23:59:59-05:00").read()
    assert (frame.reported_at.dt.tz_convert("America/New_York").dt.year == 2010).all()
    assert frame.reported_at.equals(frame.valid_from.rename("reported_at"))
    assert isinstance(frame.reported_at.iloc[0], pd.Timestamp)
