"""The grids of cases written back: frozen as of their reports, in every development, reversible."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pandas as pd
import pytest

from layers.edits import Update
from layers.errors import FeatureChanged
from layers.model import Field, FieldType, Title
from layers.readers import Reader
from layers.schema_changes import SchemaChange
from layers.store import Store, open_store
from layers.writers import Writer
from services import grid_indexes
from services.arrivals import assign_arrival
from services.assignments import UnsuitableLayer, assign_cases
from services.errors import BadParameter
from services.grid_codes import codes_of, write_grid_codes
from spatial.errors import BadDistance
from tests.databases import Databases

EVERYTHING = Reader.everything()
CLERK = Writer("clerk", caller="shell:clerk", origin="shell")
QUARTER = "2021-11-01/2022-02-01"


@pytest.fixture(scope="module")
def cases_city(demo_template: str, make_database: Databases) -> Iterator[Store]:
    """The demo city, whose cases have a field for grid codes."""
    with make_database.passing(demo_template) as dsn, closing(open_store(dsn)) as store:
        schema = store.layer("incidents", EVERYTHING).record.schema
        codes = Field("grid_codes", FieldType.TEXT, Title("Grids", "网格"))
        wider = dataclasses.replace(schema, fields=(*schema.fields, codes))
        store.commit({"incidents": SchemaChange(wider)}, CLERK, "a field for grids")
        yield store


def write(store: Store, **options):
    found = assign_cases(store, EVERYTHING, cases="incidents", grids="grids", datetime=QUARTER)
    return found, write_grid_codes(store, EVERYTHING, CLERK, found, **options)


def written(store: Store, **at) -> pd.Series:
    return store.layer("incidents", EVERYTHING).at(**at).read()["grid_codes"]


def test_codes_are_written_frozen_reported_and_reverted(cases_city: Store) -> None:
    before = cases_city.layer("incidents", EVERYTHING).record.head
    found, planned = write(cases_city, dry_run=True)
    assert cases_city.layer("incidents", EVERYTHING).record.head == before
    expected = codes_of(found)
    assert planned.reports["incidents"].changed == len(expected) > 100

    found, done = write(cases_city)
    head = cases_city.layer("incidents", EVERYTHING).record.head
    assert head == before + 1
    assert done.reports["incidents"].changed == len(expected)
    now = written(cases_city)
    assert now[expected.index].to_dict() == expected.to_dict()
    assert now.drop(expected.index).isna().all()
    # each as the assignment says, system by system
    case = expected.index[0]
    rows = found.assignments[found.assignments["case"] == case].dropna(subset=["grid_code"])
    pairs = [f"{row.grid_type}={row.grid_code}" for row in rows.itertuples()]
    assert now[case] == ";".join(pairs)
    assert len(pairs) > 1
    # cases of both editions of the precincts, each in its own
    kinds = rows_of(found)
    assert len(kinds) == 2

    # in every development of a case, its first included
    layer = cases_city.layer("incidents", EVERYTHING)
    versions = layer.versions(case).read()
    assert len(versions) > 1
    assert versions["grid_codes"].eq(expected[case]).all()
    assert cases_city.provenances()[-1]["grids_revision"] == found.grids_revision

    # written once: what is there stays, and nothing more is to do
    assert write(cases_city)[1] is None
    cases_city.commit(
        {"incidents": [Update(case, {"grid_codes": "precinct=by hand"})]}, CLERK, "corrected"
    )
    assert write(cases_city)[1] is None
    assert write(cases_city, again=True)[1].reports["incidents"].changed == 1

    cases_city.revert(done.commit, CLERK, force=True)
    assert written(cases_city).drop(case).isna().all()
    assert written(cases_city, revision=head)[case] == expected[case]


def rows_of(found) -> set[bool]:
    edition = pd.Timestamp("2022-01-01", tz="America/New_York")
    return set((found.assignments["reported_at"] < edition).tolist())


def test_cases_that_changed_meanwhile_are_not_overwritten(cases_city: Store) -> None:
    found = assign_cases(cases_city, EVERYTHING, cases="incidents", grids="grids", datetime=QUARTER)
    cases_city.commit(
        {"incidents": [Update(found.assignments["case"][0], {"rework_count": 99})]}, CLERK, "news"
    )
    with pytest.raises(FeatureChanged):
        write_grid_codes(cases_city, EVERYTHING, CLERK, found, again=True)


def test_a_field_that_can_not_hold_codes_is_refused(cases_city: Store, demo_store: Store) -> None:
    with pytest.raises(BadParameter, match=r"no field 'nope' .* shikong layer schema"):
        write(cases_city, field="nope")
    with pytest.raises(BadParameter, match="is integer; grid codes are text"):
        write(cases_city, field="rework_count")
    with pytest.raises(BadParameter, match="no field 'grid_codes'"):
        write(demo_store)


# One case as it arrives


def test_an_arrival_is_placed_as_the_batch_places_it(demo_store: Store) -> None:
    found = assign_cases(
        demo_store, EVERYTHING, cases="incidents", grids="grids", datetime=QUARTER, tolerance_m=30
    )
    cases = demo_store.layer("incidents", EVERYTHING).at(found.datetime).read()
    rows = found.assignments.set_index(["case", "grid_type"])
    for case in cases.index[::37]:
        point = cases.geometry[case]
        placed = assign_arrival(
            demo_store, EVERYTHING, grids="grids", longitude=point.x, latitude=point.y,
            reported_at=cases["reported_at"][case], tolerance_m=30,
        )  # fmt: skip
        assert [one.system for one in placed] == list(found.systems)
        for one in placed:
            row = rows.loc[case, one.system]
            assert (one.grid, one.status) == (row["grid_code"], row["status"])


def test_arrivals_read_the_grids_once_a_revision(demo_store: Store, monkeypatch) -> None:
    reads = []
    whole = grid_indexes._read
    monkeypatch.setattr(grid_indexes, "_read", lambda *a: reads.append(a) or whole(*a))
    own = dataclasses.replace(demo_store, derived=type(demo_store.derived)())

    def arrive(year: int, revision: int | None = None) -> None:
        assign_arrival(
            own, EVERYTHING, grids="grids", longitude=-71.11, latitude=42.37,
            reported_at=datetime(year, 5, 1, tzinfo=UTC), revision=revision,
        )  # fmt: skip

    for year in (2024, 2019, 2024):
        arrive(year)
    assert len(reads) == 1
    arrive(2024, revision=1)
    assert len(reads) == 2
    # another reader has an index of what he may see
    assign_arrival(
        own, Reader.anonymous(), grids="grids", longitude=-71.11, latitude=42.37,
        reported_at=datetime(2024, 5, 1, tzinfo=UTC),
    )  # fmt: skip
    assert len(reads) == 3


def test_arrivals_without_a_place_or_grids(demo_store: Store) -> None:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    for longitude, latitude in ((float("nan"), 42.0), (float("inf"), 42.0), (0.0, 0.0), (1e9, 95)):
        placed = assign_arrival(
            demo_store, EVERYTHING, grids="grids", longitude=longitude, latitude=latitude,
            reported_at=at, tolerance_m=10,
        )  # fmt: skip
        assert {one.status for one in placed} == {"unassigned"}
        assert all(one.reason for one in placed)
    options = {"longitude": 0.0, "latitude": 0.0, "reported_at": at}
    with pytest.raises(UnsuitableLayer):
        assign_arrival(demo_store, EVERYTHING, grids="incidents", **options)
    with pytest.raises(BadDistance):
        assign_arrival(demo_store, EVERYTHING, grids="grids", tolerance_m=-1, **options)
