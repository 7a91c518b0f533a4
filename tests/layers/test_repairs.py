"""What a publish repairs because it was told to, and what it refuses because it was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from publishing import START, counts, layer, publish, schema_of

from layers.batches import Batch, close_rings
from layers.errors import BadSource, BadValue
from layers.model import Schema
from layers.sources import open_source
from layers.sourcing.asked import Asked
from layers.store import Store
from spatial.crs import parse_crs
from spatial.repairs import Remedy

ALL = frozenset(Remedy)
NOTHING: frozenset[Remedy] = frozenset()
DEGREES = parse_crs("OGC:CRS84")
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
TIE = "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"
FIJI = "POLYGON ((177 -19, -178 -19, -178 -16, 177 -16, 177 -19))"
BEYOND = "POLYGON ((177 -19, 182 -19, 182 -16, 177 -16, 177 -19))"
TWICE = "POLYGON ((0 0, 1 0, 1 0, 1 1, 0 0))"
PLAIN = "POLYGON ((5 5, 6 5, 6 6, 5 5))"


def frame(*texts: str, crs: str = "OGC:CRS84") -> gpd.GeoDataFrame:
    numbers = [str(n) for n in range(1, len(texts) + 1)]
    return gpd.GeoDataFrame({"no": numbers}, geometry=shapely.from_wkt(texts), crs=crs)


def areas(crs: str = "OGC:CRS84", geometry: str = "MultiPolygon") -> Schema:
    return schema_of(geometry=geometry, crs=crs)


def shapes(store: Store) -> dict[str, Any]:
    found = layer(store, "t").at().read()
    return dict(zip(found.index, found.geometry, strict=True))


def geojson(folder: Path, *rings: list[list[float]]) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"no": str(n)},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for n, ring in enumerate(rings, 1)
    ]
    path = folder / "rings.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_each_is_done_where_it_was_chosen_and_told(store: Store) -> None:
    given = frame(PLAIN, TIE, FIJI, BEYOND, TWICE)
    report = publish(store, "t", given, areas(), remedies=ALL)
    assert report.findings.repaired.count == 4
    assert dict(report.findings.repaired.named) == {
        2: "Self-intersection[1 1]",
        3: "split at 180 degrees",
        4: "split at 180 degrees",
        5: "1 repeated point dropped",
    }
    found = shapes(store)
    assert [len(found[n].geoms) for n in "12345"] == [1, 2, 2, 2, 1]
    assert found["3"].equals(found["4"])
    assert found["3"].area == pytest.approx(15)
    assert found["3"].bounds == (-180, -19, 180, -16)
    assert found["5"].geoms[0].wkt == "POLYGON ((0 0, 1 0, 1 1, 0 0))"


def test_without_being_chosen_it_is_as_it_came(store: Store) -> None:
    report = publish(store, "t", frame(PLAIN, FIJI, TWICE), areas())
    assert report.findings.repaired.count == 0
    assert {n: s.geoms[0].wkt for n, s in shapes(store).items()} == {
        "1": PLAIN, "2": FIJI, "3": TWICE,
    }  # fmt: skip
    with pytest.raises(BadValue, match=r"row 2 lies at 182 -19.* or say --repair antimeridian"):
        publish(store, "t", frame(PLAIN, BEYOND))


@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:4490"])
def test_what_was_published_before_it_was_chosen_is_repaired_then(
    store: Store, tmp_path: Path, crs: str
) -> None:
    path = tmp_path / "a.parquet"
    frame(PLAIN, FIJI, TWICE, crs=crs).to_parquet(path)
    publish(store, "t", open_source(path), areas(crs))
    again = publish(store, "t", open_source(path), remedies=ALL)
    assert counts(again) == (0, 2, 0)
    assert [row for row, _ in again.findings.repaired.named] == [2, 3]
    once_more = publish(store, "t", open_source(path), remedies=ALL)
    assert once_more.revision is None
    assert once_more.findings.repaired.count == 2


def test_a_layer_of_single_polygons_takes_no_halves(store: Store) -> None:
    with pytest.raises(BadValue, match="row 2 is a MultiPolygon, the layer holds Polygon"):
        publish(store, "t", frame(PLAIN, FIJI), areas(geometry="Polygon"), remedies=ALL)


def test_metres_have_no_antimeridian(store: Store) -> None:
    given = frame("POLYGON ((0 0, 400 0, 400 9, 0 0))", crs="EPSG:4549")
    report = publish(store, "t", given, areas("EPSG:4549"), remedies=ALL)
    assert report.findings.repaired.count == 0


def test_a_shape_in_metres_that_comes_to_lie_across_is_split(store: Store) -> None:
    # Of Mercator around 150 degrees east: some 177 to 183.
    given = frame("POLYGON ((3e6 0, 37e5 0, 37e5 1e5, 3e6 1e5, 3e6 0))", crs="EPSG:3832")
    report = publish(store, "t", given, areas("EPSG:4326"), remedies=ALL)
    assert report.findings.repaired.named == [(1, "split at 180 degrees")]
    east, west = sorted(shapes(store)["1"].geoms, key=lambda part: -part.bounds[0])
    assert east.bounds[2] == 180
    assert west.bounds[0] == -180
    width = east.bounds[2] - east.bounds[0] + west.bounds[2] - west.bounds[0]
    assert width == pytest.approx(7e5 / 6378137 * 57.29577951)


def test_an_orbit_is_refused_with_its_row(store: Store, shared: Path) -> None:
    source = open_source(shared / "data" / "awkward" / "antimeridian_issues-124.json")
    with pytest.raises(BadValue, match="row 1 has a ring around the earth on both sides"):
        publish(store, "t", source, valid_from=START, remedies=ALL)


def test_none_refuses_what_is_invalid_and_takes_all_else(store: Store) -> None:
    with pytest.raises(
        BadValue, match=r"row 2, 4: Self-intersection\[1 1\]; .* leave --repair none out"
    ):
        publish(store, "t", frame(PLAIN, TIE, TWICE, TIE), areas(), remedies=NOTHING)
    given = frame(PLAIN, TWICE, "POLYGON ((0 0, inf 1, 1 1, 0 0))", "POLYGON EMPTY")
    report = publish(store, "t", given, areas(), remedies=NOTHING)
    assert report.findings.repaired.count == 0
    assert [row for row, _ in report.findings.without_geometry.named] == [3, 4]


def test_rings_of_geojson_are_closed_where_it_was_chosen(store: Store, tmp_path: Path) -> None:
    path = geojson(tmp_path, [*SQUARE, SQUARE[0]], SQUARE, [[0, 0], [2, 2], [2, 0], [0, 2]])
    with pytest.raises(BadSource, match=r"geometry in row 2: .*closed.*; say --repair rings"):
        publish(store, "t", open_source(path), areas())
    report = publish(store, "t", open_source(path, Asked(rings=True)), areas())
    assert report.findings.repaired.count == 2
    assert report.findings.repaired.named == [
        (2, "ring closed"),
        (3, "ring closed; Self-intersection[1 1]"),
    ]
    found = shapes(store)
    assert found["2"].equals(found["1"])
    assert found["3"].area == 2


def test_rings_of_geojson_without_a_schema(store: Store, tmp_path: Path) -> None:
    source = open_source(geojson(tmp_path, SQUARE), Asked(rings=True))
    publish(store, "t", source, valid_from=START)
    (shape,) = layer(store, "t").at().read().geometry
    assert shape.equals(shapely.box(0, 0, 1, 1))


def test_rings_of_text_are_closed_where_it_was_chosen(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    wkt = ["POLYGON ((0 0, 1 0, 1 1, 0 0))", "POLYGON ((0 0, 2 0, 2 2, 0 2))", None]
    pd.DataFrame({"no": [1, 2, 3], "wkt": wkt}).to_csv(path, index=False)
    with pytest.raises(BadSource, match=r"row 2: .* say --repair rings"):
        publish(store, "t", open_source(path, Asked(wkt="wkt")), areas(), crs=DEGREES)
    source = open_source(path, Asked(wkt="wkt", rings=True))
    report = publish(store, "t", source, areas(), crs=DEGREES)
    assert report.findings.repaired.named == [(2, "ring closed")]
    assert shapes(store)["2"].equals(shapely.box(0, 0, 2, 2))


@pytest.mark.parametrize("text", ["POLYGON ((0 0, 1 0", "LINESTRING (0 0)", "CIRCULARSTRING(0 0)"])
def test_what_else_is_wrong_with_a_text_is_refused_as_ever(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'no;wkt\n1;"{text}"\n')
    source = open_source(path, Asked(wkt="wkt", rings=True))
    with pytest.raises(BadSource, match=r"row 1: .* is no well-known text") as raised:
        list(source.batches())
    assert "--repair" not in str(raised.value)


def test_bytes_of_what_is_closed_already_stay() -> None:
    """Rings of GeoParquet or PostGIS: big-endian or not, what can be read is as it came."""
    closed = shapely.to_wkb(shapely.box(0, 0, 1, 1), byte_order=0)
    # Of 5 points the last is cut off, and the number of points is 4.
    plain = shapely.to_wkb(shapely.from_wkt("POLYGON Z ((0 0 1, 1 0 2, 1 1 3, 0 1 4, 0 0 1))"))
    cut = plain[:9] + (4).to_bytes(4, "little") + plain[13:-24]
    batch = close_rings(Batch(7, {}, wkb=pa.array([closed, cut, None], pa.binary())))
    assert batch.repaired == ((8, "ring closed"),)
    assert batch.wkb is not None
    assert batch.wkb[0].as_py() == closed
    assert batch.wkb[2].as_py() is None
    assert batch.geometries is not None
    assert shapely.get_coordinates(batch.geometries[1], include_z=True)[:, 2].tolist() == [
        *(1, 2, 3, 4, 1)
    ]
    with pytest.raises(BadSource, match=r"geometry in row 9: .*leave that row out"):
        close_rings(Batch(7, {}, wkb=pa.array([closed, cut, plain[:40]], pa.binary())))
