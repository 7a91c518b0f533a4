"""The city's own files over the years: four censuses as one layer, and taxes joined to parcels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely
from publishing import counts, layer, points, publish, schema_of

from layers.errors import BadKey, BadSchema, BadSource, LimitPassed, NeedsConsent
from layers.mapping.stated import Stated, parse_pairs
from layers.model import Duplicates, Mode, Schema
from layers.report import Report
from layers.schemas.documents import parse_schema
from layers.schemas.inference import Choices
from layers.sources import open_source
from layers.store import PublishedLayer, Store
from spatial.crs import parse_crs

# Of each decade: what its key, tract and land area are called. Each has names of its own.
DECADES: Mapping[int, Mapping[str, str]] = {
    1990: {"geoid": "BLKGRPID"},
    2000: {"geoid": "STFID", "tract": "TRACT"},
    2010: {"geoid": "GEOID10", "tract": "TRACTCE10", "land_m2": "ALAND10"},
    2020: {"geoid": "GEOID20", "tract": "TRACTCE20", "land_m2": "ALAND20"},
}
BLOCK_GROUPS = {
    "title": {"en": "Census block groups", "zh": "普查街区组"},
    "geometry": "MultiPolygon",
    "time_zone": "America/New_York",
    "fields": [
        {"id": "geoid", "role": "key"},
        {"id": "tract"},
        {"id": "land_m2", "type": "number"},
    ],
}


# The four censuses


def census(shared: Path, decade: int) -> Path:
    folder = shared / "data" / "cambridge" / "census_by_decade"
    return folder / f"DEMOGRAPHICS_BlockGroups{decade}.geojson"


def mapped(names: Mapping[str, str]) -> Stated:
    return Stated(parse_pairs(f"{field}={column}" for field, column in names.items()))


def reload(store: Store, shared: Path, decade: int, **how: Any) -> Report:
    """Publish a decade as all that there is from its census day on."""
    schema = parse_schema(BLOCK_GROUPS) if decade == 1990 else None
    how = {"mapping": mapped(DECADES[decade]), "consent": True} | how
    day = date(decade, 4, 1)
    source = open_source(census(shared, decade))
    return publish(store, "block_groups", source, schema, valid_from=day, **how)


def theirs(shared: Path, decade: int) -> gpd.GeoDataFrame:
    """A decade as pyogrio reads it, by its key."""
    read = pyogrio.read_dataframe(census(shared, decade))
    read.index = read[DECADES[decade]["geoid"]].astype(str)
    return read.sort_index()


@pytest.fixture
def decades(store: Store, shared: Path) -> PublishedLayer:
    """Each census after the other."""
    for decade in DECADES:
        reload(store, shared, decade)
    return layer(store, "block_groups")


def test_each_edition_is_what_its_file_says(decades: PublishedLayer, shared: Path) -> None:
    for decade, names in DECADES.items():
        for year in (decade, decade + 5, decade + 9):
            now = decades.at(f"{year}-04-01").read().sort_index()
            file = theirs(shared, decade)
            assert list(now.index) == list(file.index)
            assert shapely.equals(now.geometry.array, file.geometry.array).all()
            if "tract" in names:
                assert now["tract"].tolist() == file[names["tract"]].tolist()
            else:
                assert now["tract"].isna().all()
    assert decades.at("1990-03-31").read().empty
    assert len(decades.at("2026-01-01").read()) == 87


def test_history_says_what_began_and_ended(decades: PublishedLayer, shared: Path) -> None:
    for old, new in ((1990, 2000), (2000, 2010), (2010, 2020)):
        before, after = theirs(shared, old), theirs(shared, new)
        found: dict[str, set[str]] = {"created": set(), "changed": set(), "retired": set()}
        for change in decades.diff(decades.at(f"{old + 5}-01-01"), decades.at(f"{new + 5}-01-01")):
            found[change.kind].add(change.id)
        assert found["created"] == set(after.index) - set(before.index)
        assert found["retired"] == set(before.index) - set(after.index)
        both = sorted(set(before.index) & set(after.index))
        moved = ~shapely.equals(before.geometry[both].array, after.geometry[both].array)
        assert {name for name, is_so in zip(both, moved, strict=True) if is_so} <= found["changed"]
        assert found["changed"] <= set(both)
    ended = decades.lifeline("35502")
    assert ended.periods == ((midnight(1990), midnight(2000)),)


def midnight(decade: int) -> datetime:
    """When a census day begins, in Cambridge."""
    # Neither 1990-04-01 nor 2000-04-01 was in summer time yet as it began.
    return datetime(decade, 4, 1, 5, tzinfo=UTC)


def test_an_edition_that_retires_all_asks_first(store: Store, shared: Path) -> None:
    reload(store, shared, 1990)
    with pytest.raises(NeedsConsent, match="retire 94 of the 94 features"):
        reload(store, shared, 2000, consent=False)
    assert len(layer(store, "block_groups").at("2005-01-01").read()) == 94


def test_an_edition_again_is_no_revision(store: Store, shared: Path) -> None:
    reload(store, shared, 1990)
    reload(store, shared, 2000)
    # Said once, its columns are known.
    again = reload(store, shared, 2000, mapping=Stated())
    assert again.nothing_to_do
    assert again.mapped is not None
    assert again.mapped.origin == "saved"


# Taxes joined to parcels

PARCELS = {
    "title": {"en": "Parcels", "zh": "宗地"},
    "geometry": "MultiPolygon",
    "crs": "OGC:CRS84",
    "duplicates": "merge",
    "placeholder_keys": ["---", "--", "-", "--MD", "--R", "ROAD"],
    "fields": [
        {"id": "ml", "source": ["ML"], "role": "key"},
        {"id": "uyear", "source": ["UYEAR"], "type": "integer"},
        {"id": "assessed_value", "type": "integer"},
    ],
}
VALUE = mapped({"assessed_value": "TotalAppraisedParcelValue"})


@pytest.fixture
def parcels(store: Store, shared: Path) -> Path:
    """The parcels of 2014 in layer `parcels`; the file of their taxes."""
    folder = shared / "data" / "cambridge" / "parcels"
    source = open_source(folder / "ASSESSING_ParcelsFY2014.topojson")
    crs = parse_crs("OGC:CRS84")
    year = date(2013, 1, 1)
    publish(store, "parcels", source, parse_schema(PARCELS), crs=crs, valid_from=year)
    return folder / "TaxFY14.csv"


def join(store: Store, taxes: Path, **how: Any) -> Report:
    """Publish the table of taxes to the parcels."""
    how = {"mapping": VALUE, "mode": Mode.UPSERT, "valid_from": date(2014, 1, 1)} | how
    return publish(store, "parcels", open_source(taxes), **how)


SUM = {"choices": Choices(duplicates=Duplicates.SUM), "leave_unknown": True}


def test_taxes_are_joined_to_parcels(store: Store, parcels: Path) -> None:
    """27,528 assessments, one a unit: each parcel has the sum of its units."""
    report = join(store, parcels, **SUM)
    taxes = pd.read_csv(parcels, dtype=str)
    known = set(layer(store, "parcels").at("2013-06-01").read().index)
    finds = taxes["ML"].isin(known)
    assert (len(taxes), round(100 * finds.mean(), 1)) == (27_528, 99.8)
    sums = taxes[finds].astype({"TotalAppraisedParcelValue": "int64"})
    sums = sums.groupby("ML")["TotalAppraisedParcelValue"].sum()
    before = layer(store, "parcels").at("2013-06-01").read()
    after = layer(store, "parcels").at("2014-06-01").read()
    assert before["assessed_value"].isna().all()
    assert after["assessed_value"].dropna().astype("int64").to_dict() == sums.to_dict()
    # What the table does not speak of stays as it was.
    assert after["uyear"].equals(before["uyear"].reindex(after.index))
    # Byte by byte: some are no valid polygons, and one is none.
    assert after.geometry.to_wkb().equals(before.geometry.to_wkb().reindex(after.index))
    assert (report.created, report.changed, report.retired) == (0, len(sums), 0)
    assert report.findings.rows_read == 27_528
    several = taxes[finds]["ML"].value_counts()
    assert {k.id for k in report.findings.repeated} == set(several[several > 1].index)
    assert join(store, parcels, **SUM).nothing_to_do


def test_rows_that_find_no_parcel_are_named(store: Store, parcels: Path) -> None:
    report = join(store, parcels, **SUM)
    taxes = pd.read_csv(parcels, dtype=str)
    file = pyogrio.read_dataframe(parcels.with_name("ASSESSING_ParcelsFY2014.topojson"))
    lost = taxes[~taxes["ML"].isin(set(file["ML"].dropna()))]
    (broken,) = report.document()["rules_broken"]
    assert (broken["rule"], broken["outcome"], broken["count"]) == ("unknown-key", "row", len(lost))
    named = {one["row"]: one["cause"] for one in broken["rows"]}
    # Row 1 is the first below the names of the columns.
    assert named == {
        n + 1: "no key" if pd.isna(ml) else f"no feature {ml!r}" for n, ml in lost["ML"].items()
    }
    assert report.findings.rows_refused == len(lost) == 51


def test_without_being_told_nothing_is_joined(store: Store, parcels: Path) -> None:
    with pytest.raises(BadKey, match=r"51 of 27528 rows are of no feature .* \(--leave-unknown\)"):
        join(store, parcels)
    with pytest.raises(BadKey, match="keys are repeated"):
        join(store, parcels, leave_unknown=True)
    assert layer(store, "parcels").record.head == 1


# Made up, and small

LOTS = schema_of(
    {"id": "units", "type": "integer"}, {"id": "share", "type": "number"}, {"id": "use"}
)


def table(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "table.csv"
    path.write_text(text)
    return open_source(path)


def sum_up(store: Store, source: Any, schema: Schema | None = None, **how: Any) -> Report:
    choices = Choices(duplicates=Duplicates.SUM)
    return publish(store, "t", source, schema, mode=Mode.UPSERT, choices=choices, **how)


def test_only_numbers_that_the_table_states_are_summed(store: Store, tmp_path: Path) -> None:
    publish(store, "t", points(no=["a", "b"], units=[7, 7], share=[0.5, 0.5], use=["x", "y"]), LOTS)
    source = table(tmp_path, "no,share,use\na,0.1,p\na,0.2,q\na,,r\nb,0.25,s\n")
    report = sum_up(store, source)
    assert counts(report) == (0, 2, 0)
    read = layer(store, "t").at().read()
    assert read["units"].tolist() == [7, 7]
    assert read["share"].tolist() == [pytest.approx(0.3), 0.25]
    assert read["use"].tolist() == ["p", "s"]
    (told,) = report.findings.repeated
    assert (told.outcome, told.differing) == ("sum", ["share", "use"])
    assert sum_up(store, source).nothing_to_do


def test_there_is_no_sum_of_shapes(store: Store) -> None:
    with pytest.raises(BadSource, match="no sum; choose --duplicates merge"):
        sum_up(store, points(no=["a", "a"]), schema_of())
    with pytest.raises(BadSchema, match="--duplicates sum"):
        schema_of(duplicates="sum")


def test_a_table_of_which_no_row_finds_a_feature(store: Store, tmp_path: Path) -> None:
    publish(store, "t", points(no=["a", "b"]), LOTS)
    source = table(tmp_path, "no,units\nA,1\nB,2\n")
    with pytest.raises(BadKey, match="2 of 2 rows"):
        publish(store, "t", source, mode=Mode.UPSERT, leave_unknown=True)


def test_a_limit_counts_rows_that_find_nothing(store: Store, tmp_path: Path) -> None:
    limited = schema_of({"id": "units", "type": "integer"}, limits={"refused_share": 0.3})
    publish(store, "t", points(no=["a", "b"]), limited)
    source = table(tmp_path, "no,units\na,1\nB,2\n")
    with pytest.raises(LimitPassed, match="1 of 2 rows"):
        publish(store, "t", source, mode=Mode.UPSERT, leave_unknown=True)
    assert layer(store, "t").at().read()["units"].isna().all()
