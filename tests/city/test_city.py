"""The synthetic city: the same for the same seed, as its standards want it, and publishable."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from city.editions import edited
from city.files import write_gpkg, write_parquet
from city.grids import grids
from city.incidents import STATES, incidents
from city.parcels import parcels
from city.pipes import pipe_nodes, pipe_segments
from city.schemas import synthetic_schemas

from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import read_schema
from layers.schemas.profiles import profile_schemas
from layers.sources import open_source
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer

Make = Callable[..., Iterator[gpd.GeoDataFrame]]
METRIC = "EPSG:4547"
SMALL = 600
# More than a district has, so that what two districts share is looked at too.
LARGE = 16_000
# Enough for a thousand cases.
CASES = 10_000
MAKERS: dict[str, Make] = {
    "parcels": parcels,
    "grids": grids,
    "pipe_nodes": pipe_nodes,
    "pipe_segments": pipe_segments,
    "incidents": incidents,
}
CN = profile_schemas("cn")


def whole(make: Make, n: int, crs: str = METRIC, seed: int = 1) -> gpd.GeoDataFrame:
    """All of a layer as one frame."""
    return pd.concat(list(make(seed, n, crs)), ignore_index=True)


@pytest.fixture(scope="module")
def lots() -> gpd.GeoDataFrame:
    """The parcels of a small city, in metres."""
    return whole(parcels, SMALL)


@pytest.fixture(scope="module")
def systems() -> gpd.GeoDataFrame:
    """The grids of a small city, in degrees."""
    return whole(grids, SMALL, "EPSG:4490")


@pytest.fixture(scope="module", params=["JS", "PS"])
def network(request: pytest.FixtureRequest) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Nodes and segments of one network of a city of two districts, in degrees."""
    nodes, segments = (whole(make, LARGE, "EPSG:4490") for make in (pipe_nodes, pipe_segments))
    return (
        nodes[nodes["pipe_class"] == request.param].set_index("exp_no"),
        segments[segments["pipe_class"] == request.param],
    )


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("write", "ending", "crs"),
    [(write_gpkg, "gpkg", "EPSG:4490"), (write_parquet, "parquet", METRIC)],
)
def test_the_same_seed_writes_the_same_bytes(
    name: str, write: Callable[..., None], ending: str, crs: str, tmp_path: Path
) -> None:
    written = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / folder / f"{name}.{ending}"
        path.parent.mkdir()
        write(MAKERS[name](seed, 300, crs), path, "synthetic")
        written.append(path.read_bytes())
    assert written[0] == written[1] != written[2]


@pytest.mark.parametrize("name", MAKERS)
def test_a_source_has_every_required_field_and_its_reference_system(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.gpkg"
    write_gpkg(MAKERS[name](1, SMALL, METRIC), path, f"Synthetic {name}")
    source = open_source(path)
    required = {f.id for f in CN[name].fields if f.required}
    assert required <= set(source.types) <= {f.id for f in CN[name].fields}
    assert source.crs is not None
    assert source.crs.to_authority() == ("EPSG", "4547")
    assert pyogrio.read_info(path)["layer_metadata"]["IDENTIFIER"] == f"Synthetic {name}"


def test_a_city_has_as_many_parcels_as_asked_for_and_begins_like_a_larger_one() -> None:
    large = whole(parcels, LARGE)
    assert [len(whole(parcels, n)) for n in (1, 17, SMALL, LARGE)] == [1, 17, SMALL, LARGE]
    pd.testing.assert_frame_equal(whole(parcels, SMALL), large.iloc[:SMALL])
    assert large["parcel_code"].is_unique


def test_parcels_are_as_the_standard_wants_them(lots: gpd.GeoDataFrame) -> None:
    assert lots["parcel_code"].str.fullmatch(r"\d{12}[GJZ][ABSXCDEFWY]\d{5}").all()
    assert lots["real_estate_unit_no"].str.fullmatch(r".{19}[FLQW]\d{8}").all()
    for name in ("land_use_code", "right_type", "right_nature"):
        assert set(lots[name]) <= set(CN["parcels"].find(name).codes)  # type: ignore[union-attr]
    assert lots["right_holder"].str.startswith("合成").all()


def test_parcels_share_their_edges_and_nothing_more(lots: gpd.GeoDataFrame) -> None:
    shapes = lots.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    corners = shapely.get_num_coordinates(shapes) - 1
    assert corners.min() >= 5
    assert corners.max() <= 22
    east = lots["bound_e"].isin(lots["parcel_code"])
    beside = lots.set_index("parcel_code").geometry.loc[lots.loc[east, "bound_e"]]
    shared = shapely.shared_paths(
        shapely.boundary(shapes[east]), shapely.boundary(beside.to_numpy())
    )
    assert (shapely.length(shared) > 10).all()


@pytest.mark.parametrize("crs", [METRIC, "EPSG:4490"])
def test_a_parcel_states_the_area_of_its_shape(crs: str) -> None:
    frame = whole(parcels, SMALL, crs)
    assert np.allclose(frame.to_crs(METRIC).area, frame["area_m2"], rtol=0, atol=0.0051)


def test_the_next_edition_changes_a_share_and_says_where_parcels_came_from() -> None:
    before = list(parcels(1, LARGE, METRIC))
    old = pd.concat(before).set_index("parcel_code")
    new = pd.concat(list(edited(before, 0.1, 7))).set_index("parcel_code")
    again = pd.concat(list(edited(before, 0.1, 7))).set_index("parcel_code")
    pd.testing.assert_frame_equal(new, again)
    gone, made = old.index.difference(new.index), new.index.difference(old.index)
    kept = old.index.intersection(new.index)
    moved = ~shapely.equals_exact(
        old.geometry.loc[kept].to_numpy(), new.geometry.loc[kept].to_numpy()
    )
    told = old.loc[kept, "floor_area_ratio"] != new.loc[kept, "floor_area_ratio"]
    assert min(len(gone), len(made), moved.sum(), told.sum()) > 100
    assert 0.09 < (len(gone) + (moved | told).sum()) / len(old) < 0.11
    named = new.loc[made, "predecessor_codes"].str.split(",").explode()
    assert set(named) == set(gone)
    # The land of those that are gone is that of their successors.
    assert old.loc[gone].area.sum() == pytest.approx(new.loc[made].area.sum(), rel=1e-9)
    assert np.allclose(new.area, new["area_m2"], rtol=0, atol=0.0051)


def test_a_number_is_never_given_twice() -> None:
    edition, seen = list(parcels(1, 3000, METRIC)), set()
    current: set[str] = set()
    for seed in range(5):
        listed = pd.concat(edition)["parcel_code"]
        assert listed.is_unique
        codes = set(listed)
        assert not (codes - current) & seen
        current, seen = codes, seen | codes
        edition = list(edited(edition, 0.3, seed))


def test_grid_codes_have_fifteen_digits(systems: gpd.GeoDataFrame) -> None:
    assert systems["grid_code"].str.fullmatch(r"\d{15}").all()
    assert systems["grid_code"].is_unique
    units = systems[systems["grid_type"] == "unit"].head(30)
    centres = units.geometry.representative_point()
    west_to_east, north_to_south = centres.x[:6].to_numpy(), centres.y[::6].to_numpy()
    assert (np.diff(west_to_east) > 0).all()
    assert (np.diff(north_to_south) < 0).all()


@pytest.mark.parametrize("grid_type", ["unit", "duty", "community", "evaluation"])
def test_a_grid_system_has_no_gap_and_no_overlap(systems: gpd.GeoDataFrame, grid_type: str) -> None:
    shapes = systems.geometry[systems["grid_type"] == grid_type].to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    whole_city = shapely.coverage_union_all(shapes)
    assert shapely.get_num_geometries(whole_city) == 1
    assert shapely.get_num_interior_rings(shapely.get_geometry(whole_city, 0)) == 0
    # Four edges of about 100 points, or more of them.
    assert shapely.get_num_coordinates(shapes).min() >= 401


def test_unit_grids_of_two_districts_share_their_edges() -> None:
    frames = list(grids(1, LARGE, "EPSG:4490", ("unit",)))
    assert len(frames) == 2
    shapes = pd.concat(frames).geometry.to_numpy()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.get_num_geometries(shapely.coverage_union_all(shapes)) == 1


def test_grids_are_nested_exactly(systems: gpd.GeoDataFrame) -> None:
    by_code = systems.set_index("grid_code")
    counted = ["area_m2", "population", "households"]
    for inner, outer in (("unit", "duty"), ("duty", "community"), ("community", "evaluation")):
        parts = by_code[by_code["grid_type"] == inner]
        wholes = by_code[by_code["grid_type"] == outer]
        assert set(parts["parent_code"]) == set(wholes.index)
        for code, children in parts.groupby("parent_code"):
            union = shapely.coverage_union_all(children.geometry.to_numpy())
            outline = shapely.normalize(shapely.get_geometry(union, 0))
            assert outline == shapely.normalize(wholes.geometry[code])
        sums = parts.groupby("parent_code")[counted].sum().sort_index()
        pd.testing.assert_frame_equal(
            sums, wholes[counted].sort_index(), check_names=False, rtol=1e-12
        )


def test_every_parcel_lies_in_one_unit_grid(lots: gpd.GeoDataFrame) -> None:
    units = whole(lambda *a: grids(*a, types=("unit",)), SMALL)
    found = shapely.STRtree(units.geometry).query(lots.geometry, predicate="within")
    assert found[0].tolist() == list(range(len(lots)))


def ends(segments: gpd.GeoDataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the first and the last point of each segment."""
    points = shapely.get_coordinates(segments.geometry, include_z=True).reshape(-1, 2, 3)
    return points[:, 0], points[:, 1]


def test_segments_end_in_nodes_at_their_depth(
    network: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame],
) -> None:
    nodes, segments = network
    assert nodes.index.is_unique
    places = pd.DataFrame(shapely.get_coordinates(nodes.geometry, include_z=True), nodes.index)
    assert np.array_equal(places[2], nodes["ground_elev"])
    for which, points in zip(("start", "end"), ends(segments), strict=True):
        node = places.loc[segments[f"{which}_no"]].to_numpy()
        assert np.array_equal(points[:, :2], node[:, :2])
        assert np.array_equal(points[:, 2], segments[f"{which}_elev"])
        ground = segments[f"{which}_depth"] + segments[f"{which}_elev"]
        assert np.allclose(ground, node[:, 2], rtol=0, atol=1e-9)
    metric = shapely.get_coordinates(segments.to_crs(METRIC).geometry, include_z=True)
    lengths = np.linalg.norm(np.diff(metric.reshape(-1, 2, 3), axis=1)[:, 0], axis=1)
    assert lengths.min() > 0.05
    assert lengths.max() < 75


def test_a_network_is_connected_and_its_nodes_say_what_they_are(
    network: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame],
) -> None:
    nodes, segments = network
    pairs = segments[["start_no", "end_no"]]
    assert not pd.DataFrame(np.sort(pairs.to_numpy(), axis=1)).duplicated().any()
    degree = pairs.stack().value_counts().reindex(nodes.index, fill_value=0)
    features = degree.groupby(nodes["feature"]).unique()
    assert {k: sorted(v) for k, v in features.items() if k not in ("source", "outfall")} == {
        k: [d]
        for k, d in {"straight": 2, "end": 1, "tee": 3, "cross": 4}.items()
        if k in features.index
    }
    beside: dict[str, list[str]] = {}
    for a, b in pairs.itertuples(index=False):
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    reached = {nodes.index[0]}
    front = list(reached)
    while front:
        front = [n for at in front for n in beside[at] if n not in reached and not reached.add(n)]
    assert len(reached) == len(nodes)


def test_drains_run_downhill_to_one_outfall() -> None:
    nodes, segments = whole(pipe_nodes, LARGE), whole(pipe_segments, LARGE)
    drains = segments[segments["pipe_class"] == "PS"]
    assert (drains["start_elev"] > drains["end_elev"]).all()
    assert drains["start_no"].is_unique
    (outfall,) = nodes.loc[nodes["feature"] == "outfall", "exp_no"]
    assert set(drains["end_no"]) - set(drains["start_no"]) == {outfall}


@pytest.fixture(scope="module")
def cases() -> gpd.GeoDataFrame:
    """The cases of a city large enough to have all kinds, in degrees."""
    return whole(incidents, CASES, "EPSG:4490")


def test_a_case_goes_through_its_states_in_order(cases: gpd.GeoDataFrame) -> None:
    some = cases[cases["case_no"].isin(cases["case_no"].unique()[:60])]
    for _, rows in some.groupby("case_no"):
        assert rows["state"].tolist() == list(STATES[: len(rows)])
        assert rows["changed_at"].is_monotonic_increasing
        assert rows["changed_at"].is_unique
        last = rows.iloc[-1]
        reached = [last[f"{state}_at"] for state in rows["state"]]
        assert reached == rows["changed_at"].tolist()
        assert rows.iloc[:, :18].nunique(dropna=False).max() == 1
    assert set(cases["state"]) == set(STATES)


def test_some_cases_are_reported_at_midnight(cases: gpd.GeoDataFrame) -> None:
    local = cases["reported_at"].dt.tz_convert(ZoneInfo("Asia/Shanghai"))
    assert (local == local.dt.normalize()).sum() > 10
    assert local.min() >= pd.Timestamp("2023-01-01", tz="Asia/Shanghai")
    assert local.max() < pd.Timestamp("2025-01-01", tz="Asia/Shanghai")


def test_a_case_names_the_grid_that_holds_it_and_the_lowest_of_two(
    cases: gpd.GeoDataFrame,
) -> None:
    systems = whole(grids, CASES, "EPSG:4490")
    first = cases.drop_duplicates("case_no").reset_index(drop=True)
    for grid_type in ("unit", "duty", "community", "evaluation"):
        own = systems[systems["grid_type"] == grid_type]
        at, grid = shapely.STRtree(own.geometry).query(first.geometry, predicate="intersects")
        found = pd.Series(own["grid_code"].to_numpy()[grid]).groupby(at)
        expected = found.min().reindex(first.index, fill_value="unassigned")
        named = first["grid_codes"].str.extract(rf"{grid_type}=(\w+)")[0]
        assert named.tolist() == expected.tolist()
        assert (expected == "unassigned").sum() > 5
        if grid_type == "unit":
            assert (found.size() == 2).sum() > 10


@pytest.mark.parametrize("name", MAKERS)
def test_the_city_is_published_by_its_profile(name: str, store: Store) -> None:
    schema = synthetic_schemas()[name]

    def publish(frame: gpd.GeoDataFrame) -> tuple[int, int | None]:
        start = None if name == "incidents" else datetime(2020, 1, 1, tzinfo=UTC)
        reload = Reload(FrameSource(frame), schema=schema, valid_from=start)
        report = store.commit({name: reload}, Writer("test"), "synthetic").reports[name]
        assert not report.findings.repaired.count
        assert not report.findings.left_out
        return report.created, report.revision

    frame = whole(MAKERS[name], 200, "EPSG:4490")
    features = frame["case_no"].nunique() if name == "incidents" else len(frame)
    assert publish(frame) == (features, 1)
    assert publish(frame) == (0, None)
    read = store.layer(name, Reader.everything()).at().read()
    assert len(read) == features
    if name == "incidents":
        assert (read["state"] == frame.groupby("case_no")["state"].last()).all()


def test_the_command_writes_what_the_functions_give(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "city"
    asked = "--parcels 50 --format both --crs EPSG:4547 --layers parcels incidents"
    command = [sys.executable, str(script), "--out", str(tmp_path), *asked.split()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.search(r"parcels\.gpkg: 50 rows", done.stderr)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "incidents.gpkg",
        "incidents.parquet",
        "incidents.toml",
        "parcels.gpkg",
        "parcels.parquet",
        "parcels.toml",
    ]
    schema = read_schema(tmp_path / "parcels.toml")
    assert schema == synthetic_schemas()["parcels"]
    assert (schema.synthetic, schema.title.zh) == (True, "宗地（合成数据）")
    read = gpd.read_parquet(tmp_path / "parcels.parquet")
    expected = whole(parcels, 50)
    assert read.geometry.geom_equals_exact(expected.geometry, 0).all()
    assert read["parcel_code"].tolist() == expected["parcel_code"].tolist()
