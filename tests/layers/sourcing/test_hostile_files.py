"""Files that are made to do harm: none ends the process, leads out of it, or leaves anything."""

from __future__ import annotations

import gzip
import io
import json
import math
import sqlite3
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import pytest
import shapely
import sqlalchemy as sa
from publishing import EVERYTHING, START, layer, points, publish

from layers.errors import BadRequest, BadSource, BadValue
from layers.schemas.inference import Choices
from layers.sources import open_source
from layers.sourcing import drivers, gdal, isolation
from layers.sourcing.archives import Bounds, look_into
from layers.sourcing.asked import Asked
from layers.sourcing.places import Packing
from layers.store import Store
from spatial.crs import parse_crs

POINT = {"type": "Point", "coordinates": [1.0, 2.0]}


def collection(*features: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def feature(geometry: object = POINT, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "properties": {"no": "1"} | properties, "geometry": geometry}


GOOD = collection(feature())


@pytest.fixture
def untouched(store: Store, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Refuses a file: nothing in the store, nothing beside the file, nothing of it read."""

    def refuse(path: Path, match: str, asked: Asked | None = None) -> None:
        beside = sorted(tmp_path.rglob("*"))
        with pytest.raises(BadRequest, match=match) as told:
            publish(store, "t", open_source(path, asked), valid_from=START)
        assert sorted(tmp_path.rglob("*")) == beside
        assert list(store.layers(EVERYTHING)) == []
        assert "secret" not in str(told.value)

    yield refuse
    with store.database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM shikong.revision")) == 0


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_every_driver_of_the_wheel_is_judged() -> None:
    assert not set(drivers.ALLOWED) & set(drivers.REFUSED)
    assert set(pyogrio.list_drivers()) <= set(drivers.ALLOWED) | set(drivers.REFUSED)
    page = (Path(__file__).resolve().parents[3] / "docs" / "publishing.md").read_text("utf-8")
    assert [title for title in drivers.ALLOWED.values() if title not in page] == []


@pytest.mark.parametrize(
    "name",
    ["../out.geojson", "a/../../out.geojson", "/out.geojson", "C:/out.geojson", "a\\out.geojson"],
)
def test_names_that_lead_out(untouched: Callable[..., None], tmp_path: Path, name: str) -> None:
    untouched(zipped(tmp_path / "a.zip", (name, GOOD)), "leads out of it")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(GOOD)
        archive.addfile(member, io.BytesIO(GOOD))
    untouched(tmp_path / "a.tgz", "leads out of it")


def test_links(untouched: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "other.geojson").write_bytes(collection(feature(no="secret")))
    link = zipfile.ZipInfo("a.geojson")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    untouched(zipped(tmp_path / "a.zip", (link, b"../other.geojson")), "a link")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            member = tarfile.TarInfo("a.geojson")
            member.type, member.linkname = kind, str(tmp_path / "other.geojson")
            archive.addfile(member)
        untouched(tmp_path / "a.tar", "a link")


def test_devices(untouched: Callable[..., None], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("a.geojson")
        member.type = tarfile.FIFOTYPE
        archive.addfile(member)
    untouched(tmp_path / "a.tar", "no plain file")


def test_an_archive_within_an_archive(untouched: Callable[..., None], tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", ("a.geojson", GOOD)).read_bytes()
    untouched(zipped(tmp_path / "a.zip", ("b/inner.zip", inner)), "archive within an archive")


def test_bombs_that_say_so(tmp_path: Path) -> None:
    bounds = Bounds(free_bytes=1 << 20, unpacked_bytes=8 << 20, entries=3)
    zeros = zipped(tmp_path / "zeros.zip", ("a.geojson", bytes(2 << 20)))
    with pytest.raises(BadSource, match="250 times its size"):
        look_into(zeros, Packing.ZIP, bounds)
    noise = np.random.default_rng(1).bytes(9 << 20)
    large = zipped(tmp_path / "large.zip", ("a.geojson", noise))
    with pytest.raises(BadSource, match="unpacked"):
        look_into(large, Packing.ZIP, bounds)
    many = zipped(tmp_path / "many.zip", *((f"{n}.geojson", GOOD) for n in range(4)))
    with pytest.raises(BadSource, match="more than 3 files"):
        look_into(many, Packing.ZIP, bounds)


@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.TAR])
def test_bombs_that_do_not(tmp_path: Path, packing: Packing) -> None:
    """What .gz states of its size is nothing to go by: it is measured, and not to the end."""
    bounds = Bounds(free_bytes=1 << 20)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        if packing is Packing.TAR:
            member = tarfile.TarInfo("a.geojson")
            member.size = 40 << 20
            file.write(member.tobuf())
        for _ in range(40):
            file.write(bytes(1 << 20))
    with pytest.raises(BadSource, match="250 times its size"):
        look_into(path, packing, bounds)


@pytest.mark.parametrize("stated", [10, 10_000_000])
def test_sizes_that_lie(untouched: Callable[..., None], tmp_path: Path, stated: int) -> None:
    path = zipped(tmp_path / "a.zip", ("a.geojson", GOOD))
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + place, stated)
    path.write_bytes(data)
    untouched(path, "a.zip")


def test_damaged_archives(untouched: Callable[..., None], tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", ("a.geojson", GOOD)).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-40])
    untouched(tmp_path / "a.zip", "no archive that can be read")
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(GOOD)[:-12])
    untouched(tmp_path / "a.geojson.gz", "no archive that can be read")
    (tmp_path / "a.tgz").write_bytes(gzip.compress(b"no tar" * 200))
    untouched(tmp_path / "a.tgz", "no archive that can be read")


def test_passwords(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a.geojson", GOOD))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    untouched(path, "password")


VRT = """<OGRVRTDataSource><OGRVRTLayer name="other"><SrcDataSource>{}</SrcDataSource>
</OGRVRTLayer></OGRVRTDataSource>"""
ALGORITHM = {"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {} ! write"}


@pytest.mark.parametrize("name", ["a.vrt", "a.gml", "a.geojson", "a.shp", "a.xml", "a.kml"])
def test_files_that_name_others(untouched: Callable[..., None], tmp_path: Path, name: str) -> None:
    other = tmp_path / "other.geojson"
    other.write_bytes(collection(feature(no="secret")))
    path = tmp_path / name
    path.write_text(VRT.format(other))
    untouched(path, name)
    path.write_text(json.dumps(ALGORITHM).replace("{}", str(other)))
    untouched(path, name)
    untouched(zipped(tmp_path / "a.zip", ("b.geojson", VRT.format(other).encode())), "a.zip")


def test_a_network_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    """A KML's link to another file, or to a server, is no feature of it."""
    link = (tmp_path / "other.kml").as_uri()
    body = "<Placemark><name>here</name><Point><coordinates>1,2</coordinates></Point></Placemark>"
    kml = '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}</Document></kml>'
    (tmp_path / "other.kml").write_text(kml.format(body.replace("here", "secret")))
    linked = f"<NetworkLink><Link><href>{link}</href></Link></NetworkLink>"
    path = tmp_path / "a.kml"
    path.write_text(kml.format(body + linked))
    (only,) = open_source(path).batches()
    names = [v for column in only.columns.values() for v in column.to_pylist()]
    assert "here" in names
    assert "secret" not in names


BOMB = """<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "aaaaaaaaaa">
{}]><gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml"><gml:name>&{};</gml:name>
</gml:FeatureCollection>"""


@pytest.mark.parametrize("name", ["a.gml", "a.kml", "a.gpx", "a.xml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities(untouched: Callable[..., None], tmp_path: Path, name: str, encoding: str) -> None:
    steps = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefgh"))
    path = tmp_path / name
    path.write_text(BOMB.format(steps, "h"), encoding=encoding)
    untouched(path, "entities")
    (tmp_path / "other.txt").write_text("secret")
    outside = f'<!ENTITY h SYSTEM "{(tmp_path / "other.txt").as_uri()}">'
    path.write_text(BOMB.format(outside, "h"), encoding=encoding)
    untouched(path, "entities")


def test_a_table_of_tables(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a.tab"
    path.write_text('!table\n!version 300\n\nOpen Table "/other"\nCreate View v As Select *\n')
    untouched(path, "other tables")


def test_deep_json(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    deep = b"[" * 200_000 + b"]" * 200_000
    path.write_bytes(GOOD.replace(b"[1.0, 2.0]", deep))
    untouched(path, "a.geojson")
    path.write_bytes(b'{"a":' * 200_000 + b"1" + b"}" * 200_000)
    untouched(path, "a.geojson")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(store: Store, tmp_path: Path, number: str) -> None:
    """No coordinate is invented for them: the row has no place, and the report says so."""
    path = tmp_path / "a.geojson"
    path.write_bytes(
        collection(feature(), feature(no="2")).replace(
            b"[1.0, 2.0]", f"[{number}, 2.0]".encode(), 1
        )
    )
    choices = Choices(keys=("no",))
    try:
        report = publish(store, "t", open_source(path), valid_from=START, choices=choices)
    except (BadSource, BadValue):
        assert list(store.layers(EVERYTHING)) == []
        return
    assert report.findings.without_geometry.count == 1
    shapes = layer(store, "t").at().read().geometry
    assert sum(shape is not None for shape in shapes) == 1
    assert all(math.isfinite(v) for s in shapes if s is not None for v in s.bounds)


def test_a_polygon_of_a_million_corners(store: Store, tmp_path: Path) -> None:
    turn = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    ring = np.column_stack([10 + np.cos(turn), 20 + np.sin(turn)]).round(9)
    ring = np.vstack([ring, ring[:1]])
    path = tmp_path / "a.geojson"
    shape = {"type": "Polygon", "coordinates": [ring.tolist()]}
    path.write_bytes(collection(feature(shape)))
    publish(store, "t", open_source(path), valid_from=START)
    (read,) = layer(store, "t").at().read().geometry
    assert shapely.get_num_coordinates(read) == 1_000_001


def test_a_row_of_two_gigabytes(untouched: Callable[..., None], tmp_path: Path) -> None:
    """Sparse files: they take no room on the disk, and may take none in memory."""
    text = tmp_path / "a.csv"
    with text.open("wb") as file:
        file.write(b"no,x,y\n1,")
        file.truncate(2 << 30)
    untouched(text, "NUL characters")
    text.write_text("no,x,y\n1," + "x" * (12 << 20) + ",3\n")
    untouched(text, "no table that can be read")
    shape = tmp_path / "a.shp"
    size = 2 << 30
    with shape.open("wb") as file:
        file.write(struct.pack(">7i", 9994, 0, 0, 0, 0, 0, size // 2))
        file.write(struct.pack("<2i8d", 1000, 3, *[0.0] * 8))
        file.write(struct.pack(">2i", 1, (size - 108) // 2))
        file.write(struct.pack("<i4d2i", 3, 0, 0, 1, 1, 1, 100_000_000))
        file.truncate(size)
    with (tmp_path / "a.shx").open("wb") as file:
        file.write(struct.pack(">7i", 9994, 0, 0, 0, 0, 0, 54))
        file.write(struct.pack("<2i8d", 1000, 3, *[0.0] * 8))
        file.write(struct.pack(">2i", 50, (size - 108) // 2))
    untouched(shape, "a.shp")
    flat = tmp_path / "a.fgb"
    with flat.open("wb") as file:
        file.write(b"fgb\x03fgb\x00" + struct.pack("<I", (2 << 30) - 20))
        file.truncate(2 << 30)
    untouched(flat, "a.fgb")


def test_the_reader_breaks(
    untouched: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no test can plant in a file: a fault of a parser that ends its process."""
    script = tmp_path / "broken.py"
    script.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    monkeypatch.setattr(isolation, "_SCRIPT", script)
    path = tmp_path / "a.geojson"
    path.write_bytes(GOOD)
    untouched(path, "broke the program that reads it .signal 6.")


def test_names_of_fields(store: Store, tmp_path: Path) -> None:
    """Words of SQL, of the API and of the store itself are names like any others."""
    names = [
        'a"; DROP TABLE shikong.layer; --', "a'b", "select", "user", "id", "geometry",
        "datetime", "bbox", "limit", "token", "f", "filter", "revision", "_fid", "_geom",
        "wkb_geometry", "properties", "type", "名称", "%s", ":x", "{}", "x" * 200,
    ]  # fmt: skip
    path = tmp_path / "a.geojson"
    told = {name: f"value {n}" for n, name in enumerate(names)}
    path.write_bytes(collection({"type": "Feature", "properties": told, "geometry": POINT}))
    report = publish(store, "t", open_source(path), valid_from=START)
    assert report.created == 1
    read = layer(store, "t").at().read()
    assert set(told.values()) <= set(read.iloc[0].astype(str))
    with store.database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM shikong.layer")) == 1


def test_two_fields_of_one_name(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("no,x,no\n1,2,3\n")
    untouched(path, "two columns 'no'")


def test_nothing_of_our_own_environment_is_shown(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that reads strangers' files does not know where the database is."""
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, os, sys\njob = json.loads(sys.stdin.readline())\n"
        "os.write(job['tell'], json.dumps({'kind': 'data', 'text': ' '.join(os.environ)}).encode())"
    )
    monkeypatch.setattr(isolation, "_SCRIPT", script)
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere")
    path = tmp_path / "a.geojson"
    path.write_bytes(GOOD)
    with pytest.raises(BadSource, match="OGR_SKIP") as told:
        publish(store, "t", open_source(path), valid_from=START)
    assert "DATABASE_URL" not in str(told.value)


def test_good_points_are_published(store: Store) -> None:
    """What the other tests call refused is not refused for another reason."""
    assert publish(store, "t", points(no=["1"]), valid_from=START).created == 1


def test_a_database_that_counts_for_ever(
    untouched: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view without an end is ended with the time that its file may take."""
    monkeypatch.setattr(gdal, "_SECONDS", 3)
    path = tmp_path / "a.gpkg"
    pyogrio.write_dataframe(points(no=["1"]), path, layer="wells")
    with closing(sqlite3.connect(path)) as file:
        file.execute("ALTER TABLE wells RENAME TO kept")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        file.execute(f"CREATE VIEW wells AS {endless} SELECT k.* FROM kept AS k, n")
        file.execute("DELETE FROM gpkg_ogr_contents")
        file.commit()
    untouched(path, "takes more than 3 s of work")


def test_a_database_that_reads_other_files(tmp_path: Path) -> None:
    """GDAL's virtual tables name files to open; a database of somebody has none of them."""
    other = tmp_path / "other.geojson"
    other.write_bytes(collection(feature(no="secret")))
    path = tmp_path / "a.sqlite"
    pyogrio.write_dataframe(points(no=["1"]), path, driver="SQLite", layer="wells")
    planted = f"CREATE VIRTUAL TABLE v USING VirtualOGR('{other}', 0, 'other')"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA writable_schema = ON")
        file.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) "
            "VALUES ('table', 'v', 'v', 0, ?)",
            [planted],
        )
        file.commit()
    for name in (None, "v"):
        try:
            batches = list(open_source(path, Asked(layer=name)).batches())
        except BadSource as error:
            batches, told = [], str(error)
            assert "secret" not in told
        values = [v for b in batches for c in b.columns.values() for v in c.to_pylist()]
        assert "secret" not in values


def test_a_packed_kml(untouched: Callable[..., None], tmp_path: Path) -> None:
    """It is looked at as an archive, and its parts as XML."""
    untouched(zipped(tmp_path / "a.kmz", ("../doc.kml", b"<kml/>")), "leads out of it")
    bomb = BOMB.format('<!ENTITY h "hhhh">', "h").encode()
    untouched(zipped(tmp_path / "b.kmz", ("doc.kml", b"<kml/>"), ("a/b.kml", bomb)), "entities")
    linked = "<kml><NetworkLink><Link><href>/etc/hostname</href></Link></NetworkLink></kml>"
    untouched(zipped(tmp_path / "c.kmz", ("doc.kml", linked.encode())), "c.kmz")


def nested(levels: int) -> bytes:
    """A point in a collection in a collection ... as WKB."""
    return struct.pack("<BII", 1, 7, 1) * levels + struct.pack("<BIdd", 1, 1, 1.0, 2.0)


LEVELS = 200_000


def test_deep_text(untouched: Callable[..., None], tmp_path: Path) -> None:
    """What reads shapes here does it by recursion, and would end with us."""
    path = tmp_path / "a.csv"
    text = "GEOMETRYCOLLECTION (" * LEVELS + "POINT (1 2)" + ")" * LEVELS
    path.write_text(f'no,shape\n1,POINT (1 2)\n2,"{text}"\n')
    untouched(path, "row 2: its parts are nested too deep", Asked(wkt="shape"))


def test_deep_binary(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    points(no=["1", "2"]).to_parquet(path)
    table = pyarrow.parquet.read_table(path)
    # Flat parts first, so that the depth does not stand at the beginning.
    flat = struct.pack("<BII", 1, 7, 2) + struct.pack("<BII2d", 1, 2, 1, 0.0, 0.0)
    shapes = pa.array([nested(0), flat + nested(LEVELS)], pa.binary())
    place = table.column_names.index("geometry")
    pyarrow.parquet.write_table(table.set_column(place, "geometry", shapes), path)
    untouched(path, "row 2: its parts are nested too deep")


def test_a_deep_shape_in_a_geopackage(untouched: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    pyogrio.write_dataframe(points(no=["1"]), path, layer="wells", geometry_type="Unknown")
    header = b"GP\0\1" + struct.pack("<i", 4326)
    with closing(sqlite3.connect(path)) as file:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (name,) in file.execute(triggers).fetchall():
            file.execute(f'DROP TRIGGER "{name}"')
        file.execute("UPDATE wells SET geom = ?", [header + nested(LEVELS)])
        file.commit()
    untouched(path, "a.gpkg|nested too deep")


def test_a_bomb_of_a_usual_size(untouched: Callable[..., None], tmp_path: Path) -> None:
    """By the bounds that are in force: 300 MB in 300 kB."""
    path = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.geojson", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(1 << 20))
    untouched(path, "times its size")


PLACES = {
    "a.csv": ("no,x,y\n1,{},2\n2,3,4\n", Asked(coordinates=("x", "y"))),
    "b.csv": ('no,shape\n1,"POINT ({} 2)"\n2,"POINT (3 4)"\n', Asked(wkt="shape")),
}


@pytest.mark.parametrize("name", [*PLACES, "a.gpkg", "a.parquet", "a.shp"])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_places_that_are_none(store: Store, tmp_path: Path, name: str, number: str) -> None:
    """As of a GeoJSON: refused, or a row without a place, and nothing in between."""
    path, asked = tmp_path / name, None
    if name in PLACES:
        text, asked = PLACES[name]
        path.write_text(text.format(number))
    else:
        frame = points(no=["1", "2"])
        frame.geometry = [shapely.Point(77.25, 2), shapely.Point(3, 4)]
        if name == "a.parquet":
            frame.to_parquet(path, compression=None)
        else:
            pyogrio.write_dataframe(frame, path)
        # Programs that write these refuse such numbers.
        was, becomes = struct.pack("<d", 77.25), struct.pack("<d", float(number))
        assert was in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(was, becomes))
    how = {"valid_from": START, "choices": Choices(keys=("no",)), "crs": parse_crs("OGC:CRS84")}
    try:
        report = publish(store, "t", open_source(path, asked), **how)
    except (BadRequest, BadValue):
        assert list(store.layers(EVERYTHING)) == []
        return
    assert report.findings.without_geometry.count == 1
    read = layer(store, "t").at().read().geometry
    assert read["1"] is None
    assert read["2"].wkt == "POINT (3 4)"


def test_two_encodings_in_one_file(untouched: Callable[..., None], tmp_path: Path) -> None:
    """Neither is right for all of it; which rows are which, nobody can know."""
    path = tmp_path / "a.csv"
    rows = [b"no,name\n", "1,黑龙江省\n".encode(), "2,黑龙江省\n".encode("gb18030")]
    path.write_bytes(b"".join(rows))
    untouched(path, "no UTF-8; state its --encoding")
    untouched(path, "no table that can be read", Asked(encoding="UTF-8"))
    frame = points(no=["1", "2"], name=["黑龙江省", "x" * 12])
    shape = tmp_path / "b.shp"
    pyogrio.write_dataframe(frame, shape, encoding="UTF-8")
    table = shape.with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace(b"x" * 8, "黑龙江省".encode("gb18030")))
    shape.with_suffix(".cpg").unlink()
    untouched(shape, "no UTF-8; state its --encoding")


def test_a_file_that_states_an_encoding_that_is_not_its_own(
    untouched: Callable[..., None], tmp_path: Path
) -> None:
    shape = tmp_path / "a.shp"
    pyogrio.write_dataframe(points(no=["1"], name=["黑龙江省"]), shape, encoding="GB18030")
    shape.with_suffix(".cpg").write_text("UTF-8")
    untouched(shape, "not in the encoding which it states.*--encoding")
