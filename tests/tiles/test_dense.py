"""Tiles that kernels draw, beside the same ones that PostGIS draws: feature by feature."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Snapshot, Store
from layers.writers import Writer
from tiles import vector
from tiles.content import content_of
from tiles.dense import is_dense
from tiles.grids import Place, place
from tiles.vector import tile

READER, WRITER = Reader.everything(), Writer("test")
START = datetime(2020, 1, 1, tzinfo=UTC)
LON, LAT = 114.3, 30.6
FIELDS: list[dict[str, Any]] = [
    {"id": "no", "role": "key"},
    {"id": "use", "codes": {"a": "A", "b": "B"}},
    {"id": "name", "role": "label"},
    {"id": "floors", "type": "integer"},
    {"id": "share", "type": "number"},
    {"id": "listed", "type": "boolean"},
    {"id": "built", "type": "date"},
]
NAMES = ("id", "use", "floors", "share", "listed", "built")
TileAt = Callable[[float, float, int], Place]
Decode = Callable[[bytes, Place], gpd.GeoDataFrame]


def publish(
    store: Store, shapes: list[Any], geometry: str = "MultiPolygon", crs: str = "OGC:CRS84"
) -> Snapshot:
    document = {"title": "t", "geometry": geometry, "crs": crs, "fields": FIELDS}
    rows = [
        {
            "no": f"{n:05}",
            "use": "ab"[n % 2] if n % 7 else None,
            "name": f"名 {n}",
            "floors": n - 5 if n % 3 else None,
            "share": n / 7,
            "listed": n % 2 == 0,
            "built": datetime(2000, 1, 1 + n % 28, tzinfo=UTC).date(),
        }
        for n in range(len(shapes))
    ]
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs=crs)
    reload = Reload(FrameSource(frame), schema=parse_schema(document), valid_from=START.date())
    store.commit({"things": reload}, WRITER, "publish")
    return store.layer("things", READER).at()


def both(
    found: Snapshot,
    where: Place,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...] | None = None,
) -> tuple[bytes, bytes]:
    """The tile by kernels, and by PostGIS."""
    content = content_of(found.schema, found.schema.fields, where.scale, names)
    assert is_dense(found.schema, where, content)
    drawn = tile(found, where, names)
    with monkeypatch.context() as patched:
        patched.setattr(vector, "is_dense", lambda *_: False)
        return drawn, tile(found, where, names)


def stars(dice: np.random.Generator, count: int, spread: float, sizes: list[float]) -> list[Any]:
    """Crooked polygons around the place, some with holes, some of two parts."""
    made = []
    for n in range(count):
        size = float(dice.choice(sizes))
        angles = np.sort(dice.random(int(dice.integers(3, 14)))) * 2 * np.pi
        radii = size * (0.4 + 0.6 * dice.random(len(angles)))
        x, y = LON + (dice.random(2) - 0.5) * spread + [0.0, LAT - LON]
        ring = np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
        shape = shapely.make_valid(shapely.Polygon(ring))
        if n % 5 == 0:
            shape = shape.difference(shapely.Point(x, y).buffer(size / 4, quad_segs=2))
        if n % 6 == 0:
            shape = shape.union(shapely.box(x + 1.5 * size, y, x + 2 * size, y + size / 2))
        parts = [p for p in shapely.get_parts(shapely.get_parts(shape)) if p.geom_type == "Polygon"]
        if parts:
            made.append(shapely.MultiPolygon(parts))
    return made


def compare(ours: gpd.GeoDataFrame, theirs: gpd.GeoDataFrame, unit: float) -> None:
    """The same features, with the same attributes, at the same place but for three units.

    PostGIS simplifies before it rounds: it leaves out more of what is hardly larger than a unit,
    and moves sides further than to the lattice.
    """
    assert set(ours.columns) == set(theirs.columns)
    ours, theirs = (f.set_index("id").sort_index() for f in (ours, theirs))
    more = ours[~ours.index.isin(theirs.index)]
    assert more.empty or more.area.max() <= 4.01 * unit**2
    ours = ours[ours.index.isin(theirs.index)]
    assert list(ours.index) == list(theirs.index)
    for name in set(ours.columns) - {"geometry", "mvt_id"}:
        assert ours[name].equals(theirs[name]), name
    a, b = ours.geometry.to_numpy(), theirs.geometry.to_numpy()
    for one, other in ((a, b), (b, a)):
        beyond = shapely.difference(one, shapely.buffer(other, 3 * unit))
        assert shapely.area(beyond).max() <= 4 * unit**2
    assert abs(shapely.area(a).sum() / shapely.area(b).sum() - 1) < 0.05


@pytest.mark.parametrize("grid", ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"])
@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:4490"])
def test_polygons_are_those_of_postgis(
    store: Store,
    tile_at: TileAt,
    monkeypatch: pytest.MonkeyPatch,
    decode: Decode,
    crs: str,
    grid: str,
) -> None:
    dice = np.random.default_rng(5)
    sizes = [0.00002, 0.0001, 0.0003, 0.001, 0.004, 0.03]
    shapes = stars(dice, 500, 0.12, sizes)
    found = publish(store, shapes, crs=crs)
    for zoom in (5, 9, 11, 12, 14, 18):
        where = tile_at(LON, LAT, zoom)
        if grid != "WebMercatorQuad":
            side = 180.0 / 2 ** (zoom - 1)
            where = place(grid, zoom - 1, int((90 - LAT) // side), int((180 + LON) // side))
        drawn, by_postgis = both(found, where, monkeypatch, NAMES)
        ours, theirs = (decode(body, where) for body in (drawn, by_postgis))
        compare(ours, theirs, where.unit if grid == "WebMercatorQuad" else 1.0)
        assert ours.is_valid.all()


def test_the_rule_says_the_same_of_each_thing(
    store: Store, tile_at: TileAt, monkeypatch: pytest.MonkeyPatch, decode: Decode
) -> None:
    """Counted, drawn, named, detailed: what PostGIS counts is counted, in the same cells."""
    dice = np.random.default_rng(11)
    sizes = [0.000008, 0.00002, 0.0001, 0.0003, 0.001, 0.004, 0.03]
    found = publish(store, stars(dice, 600, 0.12, sizes))
    for zoom in (4, 8, 10, 12, 14):
        where = tile_at(LON, LAT, zoom)
        ours, theirs = (decode(body, where) for body in both(found, where, monkeypatch))
        assert set(ours.columns) == set(theirs.columns)
        cells = [f[f["count"] > 0] for f in (ours, theirs)]
        pairs = [sorted(zip(f.geometry.to_wkt(), f["count"], strict=True)) for f in cells]
        assert pairs[0] == pairs[1]
        drawn = [f[f["count"].isna()] for f in (ours, theirs)]
        # Slivers: narrow, but long enough to be drawn. PostGIS makes nothing of some.
        assert len(drawn[1]) <= len(drawn[0]) <= len(drawn[1]) * 1.05
        if "id" in ours:
            compare(*(f[f["id"].notna()] for f in drawn), where.unit)


@pytest.mark.parametrize("geometry", ["LineString", "MultiLineString"])
def test_lines_are_those_of_postgis(
    store: Store,
    tile_at: TileAt,
    monkeypatch: pytest.MonkeyPatch,
    decode: Decode,
    geometry: str,
) -> None:
    dice = np.random.default_rng(3)
    where = tile_at(LON, LAT, 12)
    shapes: list[Any] = []
    for n in range(200):
        at = np.array([LON, LAT]) + (dice.random(2) - 0.5) * 0.15
        step = [0.00005, 0.0005, 0.02][n % 3]
        lines = [
            shapely.LineString(at + np.cumsum(dice.normal(0, step, (9, 2)), axis=0))
            for _ in range(3 if geometry == "MultiLineString" else 1)
        ]
        shapes.append(shapely.MultiLineString(lines) if len(lines) > 1 else lines[0])
    found = publish(store, shapes, geometry)
    for names in (NAMES, None):
        drawn, by_postgis = both(found, where, monkeypatch, names)
        ours, theirs = (decode(body, where) for body in (drawn, by_postgis))
        ours, theirs = (f[f["id"].notna()].set_index("id").sort_index() for f in (ours, theirs))
        assert set(theirs.index) <= set(ours.index)
        extra = ours[~ours.index.isin(theirs.index)]
        assert extra.empty or extra.length.max() <= 3 * where.unit
        a, b = ours.loc[theirs.index].geometry.to_numpy(), theirs.geometry.to_numpy()
        assert (shapely.hausdorff_distance(a, b) / where.unit).max() <= 3


@pytest.mark.parametrize("zoom", [7, 10, 12, 15, 18])
def test_nothing_lies_further_from_its_place_than_to_the_lattice(
    store: Store, tile_at: TileAt, decode: Decode, zoom: int
) -> None:
    """Against the stored shapes themselves, moved by PROJ and cut by GEOS."""
    dice = np.random.default_rng(zoom)
    where = tile_at(LON, LAT, zoom)
    unit = where.unit / 100000
    shapes = stars(dice, 400, 3000 * unit, [10 * unit, 40 * unit, 800 * unit])
    found = publish(store, shapes)
    ours = decode(tile(found, where, ("no",)), where).set_index("no").sort_index()
    frame = gpd.GeoSeries(shapes, crs=4326).to_crs(3857)
    frame.index = [f"{n:05}" for n in range(len(shapes))]
    west, south, east, north = where.bounds
    margin = 64 * where.unit
    box = shapely.box(west - margin, south - margin, east + margin, north + margin)
    truth = frame.loc[ours.index].intersection(box)
    # A side that is cut has its new corner rounded too.
    cut = ~frame.loc[ours.index].within(box).to_numpy()
    reach = np.where(cut, 1.3, 0.72) * where.unit
    there, here = truth.to_numpy(), ours.geometry.to_numpy()
    further = shapely.area(shapely.difference(here, shapely.buffer(there, reach)))
    assert further.max() < 0.05 * where.unit**2
    further = shapely.area(shapely.difference(there, shapely.buffer(here, reach)))
    assert further.max() < 2 * where.unit**2
    missing = frame[~frame.index.isin(ours.index)].intersection(box)
    assert missing.area.max() < where.unit**2 or missing.empty
    assert abs(ours.area.sum() / truth.area.sum() - 1) < 0.02


@pytest.mark.parametrize(
    "shape",
    [
        shapely.box(100, 60, 130, 90),
        shapely.box(-180, -90, 180, 90),
        shapely.Polygon([(100, 50), (110, 90), (120, 50)]),
        shapely.box(170, -20, 180, 20),
        shapely.Polygon(
            [(0, 0), (20, 0), (20, 20), (0, 20)], [[(5, 5), (5, 15), (15, 15), (15, 5)]]
        ),
    ],
)
def test_large_things_and_poles_are_cut_as_postgis_cuts_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, decode: Decode, shape: Any
) -> None:
    found = publish(store, [shapely.MultiPolygon([shape])])
    compared = 0
    places = [(0, 0, 0), (1, 0, 1), (2, 0, 3), (3, 3, 4), (4, 7, 8), (4, 2, 12)]
    # At the corners of the shapes, where a tile has the most of them.
    places += [(18, 2**17 - 1, 2**17), (18, 2**17 - 1, 2**17 + 14563), (16, 14563, 2**15 + 18204)]
    for zoom, row, column in places:
        where = place("WebMercatorQuad", zoom, row, column)
        bodies = both(found, where, monkeypatch, NAMES)
        assert bool(bodies[0]) == bool(bodies[1])
        if bodies[0]:
            ours, theirs = (decode(body, where) for body in bodies)
            compare(ours, theirs, where.unit)
            assert ours.is_valid.all()
            compared += 1
    assert compared


def test_what_is_drawn_of_one_depends_on_nothing_else(store: Store, tile_at: TileAt) -> None:
    """The bytes of some features drawn alone stand in the tile of all of them, in their order."""
    dice = np.random.default_rng(2)
    shapes = stars(dice, 300, 0.05, [0.0004, 0.004])
    found = publish(store, shapes)
    where = tile_at(LON, LAT, 12)
    whole = features(tile(found, where, ()))
    alone = [
        features(tile(found.where(ids=[f"{n:05}"]), where, ())) for n in range(0, len(shapes), 7)
    ]
    assert max(map(len, alone)) == 1
    places = [whole.index(one) for [one] in filter(None, alone)]
    assert places == sorted(places)
    some = found.where(ids=[f"{n:05}" for n in range(0, len(shapes), 7)])
    assert features(tile(some, where, ())) == [one for [one] in filter(None, alone)]
    assert tile(found, where) == tile(found, where)


def features(body: bytes) -> list[bytes]:
    """The features of a tile of one layer, as their bytes: protobuf read by hand."""
    if not body:
        return []
    [layer] = [told for tag, told in fields(body) if tag == 3]
    return [told for tag, told in fields(layer) if tag == 2]


def fields(body: bytes) -> list[tuple[int, bytes]]:
    found, place = [], 0

    def number() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = body[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(body):
        key = number()
        if key & 7 == 2:
            size = number()
            found.append((key >> 3, body[place : place + size]))
            place += size
        else:
            assert key & 7 == 0
            found.append((key >> 3, bytes([number() & 255])))
    return found


def test_shapes_of_very_many_corners_stay_where_they_are(
    store: Store, tile_at: TileAt, decode: Decode
) -> None:
    """Those that are stored in more than 64 KiB are thinned before they are sent."""
    dice = np.random.default_rng(8)
    angles = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    radii = 0.02 * (1 + 0.001 * dice.random(len(angles)))
    ring = np.column_stack([LON + radii * np.cos(angles), LAT + radii * np.sin(angles)])
    shape = shapely.MultiPolygon([shapely.Polygon(ring)])
    found = publish(store, [shape])
    where = tile_at(LON, LAT, 10)
    [ours] = decode(tile(found, where), where).geometry
    [truth] = gpd.GeoSeries([shape], crs=4326).to_crs(3857)
    assert ours.is_valid
    assert ours.symmetric_difference(truth).difference(truth.boundary.buffer(where.unit)).is_empty
