"""Coordinates on their way into the store: moved right, said how, or refused with a remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from publishing import START, WRITER, layer, publish, schema_of
from pyproj import CRS, Geod, Transformer

from layers.errors import BadSource, UnknownLayer, UnstatedSystem
from layers.model import Mode
from layers.publish import Reload
from layers.sources import open_source
from layers.sourcing.frames import FrameSource
from layers.store import Store
from spatial.crs import parse_crs
from spatial.helmert import parse_helmert
from spatial.placement import Declared
from spatial.shifted import Shift
from spatial.similarity import Similarity

CHINA = {"crs": "EPSG:4490"}
# In the order of a survey's report: metres, seconds of arc, parts per million. Made up.
PARAMETERS = "-12.5,101.25,83.75,0.5,-1.25,2.0,-3.5"


def frame(places: list[tuple[float, ...]], crs: str | CRS | None) -> gpd.GeoDataFrame:
    """Points with a key."""
    numbers = [str(n) for n in range(len(places))]
    return gpd.GeoDataFrame({"no": numbers}, geometry=list(map(shapely.Point, places)), crs=crs)


def stored(store: Store) -> np.ndarray:
    """The coordinates of layer t, in its own system, row by row."""
    read = layer(store, "t").at().read().sort_values("no")
    return shapely.get_coordinates(read.geometry.array, include_z=True)


def told(report: Any) -> Mapping[str, Any]:
    """What a report says of the reference system."""
    system: Mapping[str, Any] = report.document()["reference_system"]
    return system


def metres(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance between points in longitude and latitude."""
    geod = Geod(ellps="WGS84")
    return float(np.max(geod.inv(one[:, 0], one[:, 1], other[:, 0], other[:, 1])[2]))


def helmert_by_hand(lon: np.ndarray, lat: np.ndarray, ellipsoid: CRS, text: str) -> np.ndarray:
    """EPSG 9606 written out: to X, Y, Z on one ellipsoid, rotated, and back on WGS 84."""
    dx, dy, dz, rx, ry, rz, ppm = map(float, text.split(","))
    a, b = ellipsoid.ellipsoid.semi_major_metre, ellipsoid.ellipsoid.semi_minor_metre
    phi, lam, e2 = np.radians(lat), np.radians(lon), 1 - (b / a) ** 2
    nu = a / np.sqrt(1 - e2 * np.sin(phi) ** 2)
    x, y = nu * np.cos(phi) * np.cos(lam), nu * np.cos(phi) * np.sin(lam)
    z = nu * (1 - e2) * np.sin(phi)
    rx, ry, rz = (np.radians(seconds / 3600) for seconds in (rx, ry, rz))
    m = 1 + ppm * 1e-6
    x, y, z = (
        m * (x - rz * y + ry * z) + dx,
        m * (rz * x + y - rx * z) + dy,
        m * (-ry * x + rx * y + z) + dz,
    )
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    p, phi = np.hypot(x, y), np.arctan2(z, np.hypot(x, y) * (1 - e2))
    for _ in range(20):
        nu = a / np.sqrt(1 - e2 * np.sin(phi) ** 2)
        phi = np.arctan2(z + e2 * nu * np.sin(phi), p)
    return np.degrees(np.column_stack((np.arctan2(y, x), phi)))


# Nobody says


def test_a_shapefile_without_a_prj_is_refused_with_what_would_fit(
    store: Store, shared: Path
) -> None:
    source = open_source(shared / "data" / "awkward" / "lake-man-epsg26943-noprj.shp")
    with pytest.raises(UnstatedSystem, match="states no reference system; give --crs") as caught:
        publish(store, "t", source, valid_from=START)
    assert "EPSG:3857" in str(caught.value)
    with pytest.raises(UnknownLayer):
        layer(store, "t")
    # Where the layer exists, its place leads to the zone of the state.
    around = gpd.GeoDataFrame(
        {"no": ["a"]}, geometry=[shapely.box(-122.52, 37.7, -122.35, 37.83)], crs=4326
    )
    publish(store, "t", around, schema_of(geometry="Polygon"))
    with pytest.raises(UnstatedSystem, match="EPSG:26943") as caught:
        publish(store, "t", source)
    assert all(c.near for c in caught.value.candidates)
    report = publish(store, "lakes", source, valid_from=START, crs=parse_crs("EPSG:26943"))
    assert report.created == 6
    assert told(report)["stated_by"] == "publisher"


def test_degrees_without_a_prj_are_not_taken_for_any(store: Store, shared: Path) -> None:
    source = open_source(shared / "data" / "awkward" / "bou2_4p.shp", encoding="GBK")
    with pytest.raises(UnstatedSystem) as caught:
        publish(store, "t", source, valid_from=START)
    codes = [c.code for c in caught.value.candidates]
    assert codes == ["OGC:CRS84", "EPSG:4490", "gcj02", "bd09"]
    assert caught.value.candidates[0].bounds == pytest.approx(
        (73.44696, 6.31864, 135.08583, 53.55793), abs=1e-5
    )


def test_rows_at_zero_do_not_spoil_the_bounds(store: Store) -> None:
    places = [(0, 0), (40_512_000, 3_344_000), (np.nan, np.nan), (40_540_000, 3_360_000)]
    with pytest.raises(UnstatedSystem, match="zone 40") as caught:
        publish(store, "t", frame(places, None), schema_of(**CHINA))
    assert [c.code for c in caught.value.candidates] == ["EPSG:4528"]


def test_what_fits_nothing_is_refused_as_well(store: Store) -> None:
    with pytest.raises(UnstatedSystem, match="ask whoever made it") as caught:
        publish(store, "t", frame([(1e12, 5)], None), schema_of(**CHINA))
    assert caught.value.candidates == ()


# Moved, and said how


@pytest.mark.parametrize(
    ("crs", "places", "storage"),
    [
        ("EPSG:4528", [(40_512_000.25, 3_344_000.5, 7.125), (40_540_000, 3_360_000, -3.5)], 4490),
        ("EPSG:4549", [(512_000.25, 3_344_000.5, 7.125)], 4490),
        ("EPSG:4498", [(20_512_000.25, 3_344_000.5, 7.125)], 4549),
        ("EPSG:4549", [(512_000.25, 3_344_000.5, 0.0015)], 4528),
        ("EPSG:32651", [(250_000.125, 3_344_000.5, 1234.567)], 4549),
        ("EPSG:4490", [(120.25, 30.5, 9999.001)], 4549),
        ("EPSG:4326", [(120.25, 30.5, 1.5)], 4513 + 15),
        ("EPSG:3547", [(5_000_000.5, 3_800_000.25, 612.503)], 3546),
        ("EPSG:2249", [(750_000.5, 2_950_000.25, 100.0)], 26986),
        ("EPSG:4267", [(-96.0, 30.0, 12.0), (-75.0, 44.0, 1.0)], 4326),
    ],
)
def test_coordinates_are_those_of_pyproj_to_a_millimetre(
    store: Store, crs: str, places: list[tuple[float, ...]], storage: int
) -> None:
    schema = schema_of(geometry="PointZ", crs=f"EPSG:{storage}")
    report = publish(store, "t", frame(places, crs), schema)
    array = np.array(places)
    # Axes as the authorities have them, so that nothing of ours is in it.
    start, end = CRS.from_user_input(crs), CRS.from_epsg(storage)
    first, second = (
        (1, 0) if c.axis_info[0].direction == "north" else (0, 1) for c in (start, end)
    )
    moved = Transformer.from_crs(start, end).transform(array[:, first[0]], array[:, first[1]])
    expected = np.column_stack([moved[second[0]], moved[second[1]]])
    found = stored(store)
    if end.is_geographic:
        assert metres(found, expected) < 1e-3
    else:
        unit = end.axis_info[0].unit_conversion_factor
        assert np.abs(found[:, :2] - expected).max() * unit < 1e-3
    assert found[:, 2].tolist() == array[:, 2].tolist(), "heights are kept to the last bit"
    system = told(report)
    assert (system["source"], system["storage"]) == (crs, f"EPSG:{storage}")
    assert system["operations"]


def test_us_survey_feet_are_no_feet(store: Store) -> None:
    # 5,000,000 ft differ by 10 ft from 5,000,000 US survey ft: 3.048 m on the ground.
    publish(store, "t", frame([(5_000_000, 3_800_000)], "EPSG:3547"), schema_of(crs="EPSG:3546"))
    assert stored(store)[0, :2] == pytest.approx(
        (5_000_000 * 1200 / 3937, 3_800_000 * 1200 / 3937), abs=1e-3
    )


def test_a_network_in_survey_feet_is_that_network_in_metres(store: Store, shared: Path) -> None:
    path = shared / "data" / "net" / "ky4_junctions.geojson"
    document = json.loads(path.read_text(encoding="utf-8"))
    feet = {f["properties"]["name"]: f["geometry"]["coordinates"] for f in document["features"]}
    schema = schema_of(crs="EPSG:3546")
    schema = replace(schema, fields=(replace(schema.fields[0], source=("name",)),))
    report = publish(store, "t", open_source(path), schema)
    assert (report.created, told(report)["source"]) == (len(feet), "EPSG:3547")
    read = layer(store, "t").at().read()
    expected = np.array([feet[no] for no in read["no"]]) * 1200 / 3937
    found = shapely.get_coordinates(read.geometry.array)
    assert np.abs(found - expected).max() < 1e-3
    west, south, east, north = layer(store, "t").extent().bounds
    # Kentucky, as EPSG has the area of 3547.
    assert -89.57 < west < east < -81.95
    assert 36.49 < south < north < 39.15


def test_the_report_says_how_good_the_way_is(store: Store) -> None:
    places = [(-96.0, 30.0), (-96.5, 30.5)]
    report = publish(store, "t", frame(places, "EPSG:4267"), schema_of(crs="EPSG:4326"))
    (operation,) = told(report)["operations"]
    # Of the United States west of the Mississippi; EPSG states 7 m.
    assert (operation["name"], operation["accuracy_m"]) == ("NAD27 to WGS 84 (6)", 7.0)
    assert not operation["ballpark"]
    assert operation["points_outside_area"] == 0
    # Where there are no grids, as on an intranet.
    assert operation["better"]["accuracy_m"] < 7.0
    assert "us_noaa_conus.tif" in operation["better"]["missing_grids"]


def test_a_table_without_geometry_has_no_system(store: Store) -> None:
    publish(store, "t", frame([(120.0, 30.0)], "EPSG:4490"), schema_of({"id": "a"}, **CHINA))
    table = FrameSource(pd.DataFrame({"no": ["0"], "a": ["x"]}))
    report = publish(store, "t", table, mode=Mode.UPSERT, crs=parse_crs("EPSG:2364"))
    assert (report.changed, report.document()["reference_system"]) == (1, None)


def test_a_way_that_is_not_made_for_the_place_is_said(store: Store) -> None:
    report = publish(store, "t", frame([(120.0, 30.0)], "EPSG:4269"), schema_of(crs="EPSG:4326"))
    (operation,) = told(report)["operations"]
    assert operation["points_outside_area"] == 1
    assert "North America" in operation["area"]


def test_cgcs2000_is_taken_for_wgs84_and_that_is_said(store: Store) -> None:
    report = publish(store, "t", frame([(120.0, 30.0)], "EPSG:4326"), schema_of(**CHINA))
    (operation,) = told(report)["operations"]
    assert (operation["ballpark"], operation["accuracy_m"]) == (True, None)
    assert stored(store)[0, :2] == pytest.approx((120.0, 30.0), abs=1e-9)


def test_coordinates_that_stay_are_moved_by_nothing(store: Store) -> None:
    report = publish(store, "t", frame([(120.0, 30.0)], "EPSG:4490"), schema_of(**CHINA))
    assert told(report)["operations"] == []
    assert "kept as they are" in report.placed.lines()[0]


# Local datums


@pytest.mark.parametrize("code", [4610, 2364, 4214, 2416])
@pytest.mark.parametrize("storage", ["EPSG:4490", "OGC:CRS84", "EPSG:4528"])
def test_a_local_datum_is_refused_without_parameters(store: Store, code: int, storage: str) -> None:
    place = (120.0, 30.0) if code in (4610, 4214) else (40_512_000.0, 3_344_000.0)
    with pytest.raises(BadSource, match="--towgs84"):
        publish(store, "t", frame([place], f"EPSG:{code}"), schema_of(crs=storage))
    with pytest.raises(BadSource, match="--towgs84"):
        publish(store, "t", frame([place], f"EPSG:{code}"), valid_from=START)
    with pytest.raises(UnknownLayer):
        layer(store, "t")


@pytest.mark.parametrize(("code", "projected"), [(4610, 2364), (4214, 2416)])
@pytest.mark.parametrize("storage", [4490, 4549, 3857])
def test_parameters_move_it_as_the_formula_has_it(
    store: Store, code: int, projected: int, storage: int
) -> None:
    lonlat = np.array([(120.1, 30.2), (119.4, 31.0), (120.9, 29.5)])
    geodetic = CRS.from_epsg(code)
    there = Transformer.from_crs(code, projected, always_xy=True).transform(*lonlat.T)
    declared = Declared(helmert=parse_helmert(PARAMETERS))
    report = publish(
        store,
        "t",
        frame(list(zip(*there, strict=True)), f"EPSG:{projected}"),
        schema_of(crs=f"EPSG:{storage}"),
        declared=declared,
    )
    true = helmert_by_hand(lonlat[:, 0], lonlat[:, 1], geodetic, PARAMETERS)
    assert metres(lonlat, true) > 30
    back = Transformer.from_crs(storage, 4326, always_xy=True)
    found = np.column_stack(back.transform(*stored(store)[:, :2].T))
    assert metres(found, true) < 1e-3
    system = told(report)
    assert system["towgs84"] == [float(p) for p in PARAMETERS.split(",")]
    assert system["rotations"] == "position vector"
    assert any("parameters" in note for note in system["notes"])


def test_a_layer_made_by_parameters_is_in_cgcs2000(store: Store) -> None:
    declared = Declared(helmert=parse_helmert("10,20,30"))
    source = frame([(40_512_000.0, 3_344_000.0)], "EPSG:2364")
    publish(store, "t", source, valid_from=START, declared=declared)
    assert layer(store, "t").record.schema.crs == "EPSG:4490"


def test_parameters_that_the_file_carries_are_taken(store: Store) -> None:
    wkt = CRS.from_epsg(4610).to_wkt("WKT1_GDAL")
    bound = CRS.from_wkt(
        wkt.replace(
            'AUTHORITY["EPSG","7049"]]', ('AUTHORITY["EPSG","7049"]],TOWGS84[' + PARAMETERS + "]")
        )
    )
    assert bound.is_bound
    report = publish(store, "t", frame([(120.1, 30.2)], bound), schema_of(**CHINA))
    lonlat = np.array([(120.1, 30.2)])
    true = helmert_by_hand(lonlat[:, 0], lonlat[:, 1], CRS.from_epsg(4610), PARAMETERS)
    assert metres(stored(store), true) < 1e-3
    assert told(report)["towgs84"] == [float(p) for p in PARAMETERS.split(",")]


def test_zeros_that_a_file_carries_for_xian_80_are_no_parameters(store: Store) -> None:
    wkt = CRS.from_epsg(4610).to_wkt("WKT1_GDAL")
    zeros = wkt.replace('AUTHORITY["EPSG","7049"]]', 'AUTHORITY["EPSG","7049"]],TOWGS84[0,0,0]')
    bound = CRS.from_wkt(zeros)
    assert bound.is_bound
    with pytest.raises(BadSource, match="--towgs84"):
        publish(store, "t", frame([(120.1, 30.2)], bound), schema_of(**CHINA))


@pytest.mark.parametrize("shift", ["0,0,0,0,0,0,0", PARAMETERS])
@pytest.mark.parametrize("storage", ["EPSG:4490", "OGC:CRS84"])
def test_a_city_s_own_system_is_led_by_its_parameters(
    store: Store, shift: str, storage: str
) -> None:
    # A transverse Mercator of a city's own, as no authority has it.
    own = "+proj=tmerc +lon_0=120.3 +x_0=50000 +y_0=-3000000 +a=6378140 +rf=298.257 +units=m"
    lonlat = np.array([(120.1, 30.2), (120.6, 30.5)])
    plain = CRS.from_user_input(own + " +type=crs")
    there = Transformer.from_crs(plain.geodetic_crs, plain, always_xy=True).transform(*lonlat.T)
    bound = CRS.from_user_input(f"{own} +towgs84={shift} +type=crs")
    places = list(zip(*there, strict=True))
    publish(store, "t", frame(places, bound), schema_of(crs=storage))
    true = helmert_by_hand(lonlat[:, 0], lonlat[:, 1], plain, shift)
    assert metres(stored(store), true) < 1e-3


@pytest.mark.parametrize("storage", ["EPSG:2364", "EPSG:4610", "EPSG:4214"])
def test_no_layer_is_stored_where_nobody_could_see_it(store: Store, storage: str) -> None:
    place = (40_512_000.0, 3_344_000.0) if storage == "EPSG:2364" else (120.0, 30.0)
    with pytest.raises(BadSource, match="nobody could see it"):
        publish(store, "t", frame([place], storage), schema_of(crs=storage))


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4549", "EPSG:4326"])
def test_parameters_of_a_datum_that_needs_none_are_refused(store: Store, crs: str) -> None:
    place = (512_000.0, 3_344_000.0) if crs == "EPSG:4549" else (120.0, 30.0)
    with pytest.raises(BadSource, match="needs no parameters"):
        publish(
            store,
            "t",
            frame([place], crs),
            schema_of(**CHINA),
            declared=Declared(helmert=parse_helmert("1,2,3")),
        )


def test_four_parameters_lead_into_the_system_that_is_named(store: Store) -> None:
    four = Similarity(450_000, 3_300_000, 0.25, 1.00002)
    places = [(12_000.5, 44_000.25, 7.5), (13_000, 45_000, -1)]
    report = publish(
        store,
        "t",
        frame(places, None),
        schema_of(geometry="PointZ", **CHINA),
        crs=parse_crs("EPSG:4549"),
        declared=Declared(similarity=four),
    )
    # By PROJ's own similarity, in seconds.
    similar = Transformer.from_pipeline(
        f"+proj=helmert +x=450000 +y=3300000 +theta={0.25 * 3600} +s=1.00002"
    )
    inverse = Transformer.from_crs(4549, 4490, always_xy=True)
    array = np.array(places)
    true = np.column_stack(inverse.transform(*similar.transform(*array[:, :2].T)))
    assert metres(stored(store), true) < 1e-3
    assert stored(store)[:, 2].tolist() == [7.5, -1]
    system = told(report)
    assert system["similarity"] == [450_000, 3_300_000, 0.25, 1.00002]
    assert system["source"] == "EPSG:4549"


# Shifted


@pytest.mark.parametrize("stated", [None, "EPSG:4326", "OGC:CRS84"])
@pytest.mark.parametrize("storage", ["EPSG:4490", "EPSG:4549"])
def test_gcj02_is_undone_and_never_stored(store: Store, stated: str | None, storage: str) -> None:
    # The point of Beijing and that of Shanghai of googollee/eviltransform.
    true = np.array([(116.377817, 39.911954), (121.5272106, 31.1774276)])
    shown = [
        (116.38404722455657, 39.91334545536069, 44.5),
        (121.531541859215, 31.17530398364597, 4.5),
    ]
    report = publish(
        store,
        "t",
        frame(shown, stated),
        schema_of(crs=storage, geometry="PointZ"),
        declared=Declared(shift=Shift.GCJ02),
    )
    found = stored(store)
    back = Transformer.from_crs(storage, 4490, always_xy=True)
    assert metres(np.column_stack(back.transform(*found[:, :2].T)), true) < 1e-3
    assert found[:, 2].tolist() == [44.5, 4.5]
    system = told(report)
    assert (system["source"], system["shift_undone"]) == ("gcj02", "gcj02")
    assert system["stated_by"] == "publisher"
    assert "corners" in " ".join(system["notes"])


def test_bd09_makes_a_layer_in_cgcs2000(store: Store) -> None:
    # Zhengzhou, as test/fixtures/china-cities.json of hujiulong/gcoord has it; its way back stops
    # within a metre.
    shown, true = (113.6317519, 34.7528605), np.array([(113.6192856, 34.7478004)])
    report = publish(
        store,
        "t",
        frame([shown], None),
        valid_from=START,
        declared=Declared(shift=Shift.BD09),
    )
    assert layer(store, "t").record.schema.crs == "EPSG:4490"
    assert metres(stored(store), true) < 1.0
    assert told(report)["shift_undone"] == "bd09"


def test_metres_are_not_shifted(store: Store) -> None:
    with pytest.raises(BadSource, match="longitudes and latitudes"):
        publish(
            store,
            "t",
            frame([(512_000.0, 3_344_000.0)], "EPSG:4549"),
            schema_of(**CHINA),
            declared=Declared(shift=Shift.GCJ02),
        )


def test_parameters_beside_a_shift_are_refused(store: Store) -> None:
    declared = Declared(shift=Shift.BD09, helmert=parse_helmert("1,2,3"))
    with pytest.raises(BadSource, match="leave --towgs84 out"):
        publish(store, "t", frame([(120.0, 30.0)], None), schema_of(**CHINA), declared=declared)


def test_an_unchanged_file_of_shifted_coordinates_writes_nothing(store: Store) -> None:
    declared = Declared(shift=Shift.GCJ02)
    shown = [(116.38404722455657, 39.91334545536069)]
    publish(store, "t", frame(shown, "OGC:CRS84"), schema_of(), declared=declared)
    again = publish(store, "t", frame(shown, "OGC:CRS84"), declared=declared)
    assert (again.revision, again.unchanged) == (None, 1)
    # The same numbers, not said to be shifted, are another place.
    assert publish(store, "t", frame(shown, "OGC:CRS84")).changed == 1


# Axes


def test_north_before_east_is_put_right(store: Store) -> None:
    report = publish(
        store,
        "t",
        frame([(3_344_000.5, 40_512_000.25, 5.5)], None),
        schema_of(crs="EPSG:4549", geometry="PointZ"),
        crs=parse_crs("EPSG:4528"),
        declared=Declared(north_first=True),
    )
    assert stored(store)[0] == pytest.approx((512_000.25, 3_344_000.5, 5.5), abs=1e-6)
    assert told(report)["axes"] == "north, east"


def test_the_report_is_kept_with_the_revision(store: Store) -> None:
    declared = Declared(shift=Shift.GCJ02)
    source = FrameSource(frame([(116.38404722455657, 39.91334545536069)], None))
    reload = Reload(source, schema_of(), valid_from=START, declared=declared)
    store.commit({"t": reload}, WRITER, "m")
    with store.database.inspect() as connection:
        kept = connection.exec_driver_sql("SELECT report FROM shikong.revision").scalar_one()
    assert kept["reference_system"]["shift_undone"] == "gcj02"


# Systems with heights


def test_a_system_with_heights_that_has_no_code(store: Store, shared: Path) -> None:
    """Stored in its plane, which has one; the heights stay, and the report says so."""
    path = shared / "data" / "awkward" / "us-ca-berkeley-excerpt.zip"
    with pytest.raises(BadSource, match="--crs says OGC:CRS84"):
        publish(store, "t", open_source(path), valid_from=START, crs=parse_crs("OGC:CRS84"))
    report = publish(store, "t", open_source(path), valid_from=START)
    assert report.created == 746
    assert layer(store, "t").record.schema.crs == "EPSG:32610"
    (note,) = told(report)["notes"]
    assert note == "heights (NAVD88 height) stay as they are: Z is not converted"
    again = publish(store, "t", open_source(path), valid_from=START, crs=parse_crs("EPSG:32610"))
    assert again.nothing_to_do
    kept = layer(store, "t").at().read()
    theirs = gpd.read_file(path)
    assert kept.geometry.union_all().symmetric_difference(theirs.union_all()).area == 0


@pytest.mark.parametrize(
    ("stated", "said", "storage"),
    [
        ("EPSG:4326+5703", None, "OGC:CRS84"),
        ("EPSG:4326+5703", "OGC:CRS84", "OGC:CRS84"),
        ("EPSG:4326", "OGC:CRS84", "OGC:CRS84"),
        ("EPSG:4549+5737", "EPSG:4549", "EPSG:4549"),
    ],
)
def test_what_agrees_but_for_heights_and_axes(
    store: Store, stated: str, said: str | None, storage: str
) -> None:
    places = [(500_000.5, 3_344_000.25, 7.5)] if "4549" in stated else [(120.5, 30.25, 7.5)]
    source = FrameSource(frame(places, stated))
    crs = parse_crs(said) if said else None
    report = publish(store, "t", source, valid_from=START, crs=crs)
    assert layer(store, "t").record.schema.crs == storage
    assert np.array_equal(stored(store), places)
    assert any("heights" in note for note in told(report)["notes"]) is ("+" in stated)


def test_a_table_in_longitude_and_latitude(store: Store, tmp_path: Path) -> None:
    """It states nothing, and CRS84 is what its publisher says: a new layer is stored in that."""
    path = tmp_path / "wells.csv"
    path.write_text("no,x,y\n1,120.5,30.25\n")
    source = open_source(path, coordinates=("x", "y"))
    publish(store, "t", source, valid_from=START, crs=parse_crs("OGC:CRS84"))
    assert layer(store, "t").record.schema.crs == "OGC:CRS84"
    assert stored(store)[0, :2].tolist() == [120.5, 30.25]


@pytest.mark.parametrize("said", ["EPSG:4490", "EPSG:32650", "EPSG:4269"])
def test_what_does_not_agree_is_refused(store: Store, said: str) -> None:
    source = FrameSource(frame([(120.5, 30.25, 7.5)], "EPSG:4326+5703"))
    with pytest.raises(BadSource, match=f"--crs says {said}"):
        publish(store, "t", source, valid_from=START, crs=parse_crs(said))
