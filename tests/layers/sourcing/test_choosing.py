"""Which file, which layer: the only one that there is, or the one that was asked for."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyogrio
import pytest
from publishing import points

from layers.errors import BadSource
from layers.sources import open_source
from layers.sourcing.asked import Asked

FRAME = points(no=["1", "2"], 名=["甲", "乙"])


def write(path: Path, layer: str | None = None, count: int = 2, append: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyogrio.write_dataframe(FRAME.head(count), path, layer=layer, append=append, encoding="utf-8")
    return path


def zip_up(folder: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return to


def tar_up(folder: Path, to: Path) -> Path:
    with tarfile.open(to, "w:gz" if to.suffix == ".tgz" else "w") as archive:
        archive.add(folder, ".")
    return to


def count(path: Path, layer: str | None = None) -> int:
    source = open_source(path, Asked(layer=layer))
    rows = sum(len(batch) for batch in source.batches())
    assert source.rows == rows
    assert source.crs is not None
    assert {"no", "名"} <= set(source.types)
    return rows


FORMATS = (
    "a.shp a.gpkg a.geojson a.fgb a.gdb a.kml a.gml a.tab a.mif a.dxf a.sqlite a.geojsonl a.jml "
    "a.dgn"
)
DRIVERS = {
    "a.gdb": "OpenFileGDB",
    "a.kml": "LIBKML",
    "a.sqlite": "SQLite",
    "a.tab": "MapInfo File",
    "a.mif": "MapInfo File",
    "a.geojsonl": "GeoJSONSeq",
}


@pytest.mark.parametrize("name", FORMATS.split())
@pytest.mark.parametrize("pack", [zip_up, tar_up])
def test_formats_are_read_in_archives_at_any_depth(
    tmp_path: Path, name: str, pack: Callable[[Path, Path], Path]
) -> None:
    drivers = {
        "a.gdb": "OpenFileGDB",
        "a.kml": "LIBKML",
        "a.sqlite": "SQLite",
        "a.tab": "MapInfo File",
    }
    drivers |= {"a.mif": "MapInfo File", "a.geojsonl": "GeoJSONSeq"}
    options = {"driver": drivers[name]} if name in drivers else {}
    where = tmp_path / "in" / "deep" / "数据" / name
    where.parent.mkdir(parents=True)
    frame = FRAME.rename(columns={"名": "mei"}) if name in ("a.gml", "a.tab", "a.mif") else FRAME
    frame = frame[["geometry"]] if name in ("a.dxf", "a.dgn") else frame
    pyogrio.write_dataframe(frame, where, encoding="utf-8", **options)
    (tmp_path / "in" / "read me.txt").write_text("not a table")
    (tmp_path / "in" / "__MACOSX").mkdir()
    (tmp_path / "in" / "__MACOSX" / "._a.shp").write_bytes(b"remark")
    packed = pack(tmp_path / "in", tmp_path / ("a.zip" if pack is zip_up else "a.tgz"))
    shutil.rmtree(tmp_path / "in")
    source = open_source(packed)
    if name == "a.gdb" and pack is tar_up:
        with pytest.raises(BadSource, match=r"pack it as \.zip"):
            _ = source.types
        return
    assert sum(len(batch) for batch in source.batches()) == 2
    assert [p.name for p in tmp_path.iterdir()] == [packed.name]


def test_several_files_are_asked_for(tmp_path: Path) -> None:
    for name in ("roads.shp", "rivers.geojson", "old/roads.shp"):
        write(tmp_path / "in" / name, count=1 if name.startswith("r") else 2)
    packed = zip_up(tmp_path / "in", tmp_path / "a.zip")
    with pytest.raises(BadSource, match=r"old/roads.shp, rivers.geojson, roads.shp"):
        open_source(packed)
    assert count(packed, "old/roads.shp") == 2
    assert count(packed, "rivers") == 1
    with pytest.raises(BadSource, match="no 'lakes' of its own"):
        open_source(packed, Asked(layer="lakes"))


def test_several_layers_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.gpkg", "roads")
    write(path, "rivers", count=1)
    with pytest.raises(BadSource, match=r"several layers; .* --source-layer: roads, rivers"):
        _ = open_source(path).types
    assert count(path, "rivers") == 1
    with pytest.raises(BadSource, match="no layer 'lakes'"):
        _ = open_source(path, Asked(layer="lakes")).types
    packed = zip_up(tmp_path / "in", tmp_path / "a.zip")
    assert count(packed, "a.gpkg/rivers") == 1
    assert count(packed, "roads") == 2


def test_layers_without_rows_are_no_choice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "roads")
    write(path, "empty", count=0)
    write(path, "layer_styles", count=1)
    assert count(path) == 2


def test_an_archive_without_geodata(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("picture.png", b"...")
    with pytest.raises(BadSource, match="holds no geodata"):
        open_source(tmp_path / "a.zip")


def test_other_archives_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.7z"
    path.write_bytes(b"7z\xbc\xaf\x27\x1c")
    with pytest.raises(BadSource, match=r"as \.zip"):
        open_source(path)


def test_a_shapefile_in_gbk_without_a_word_of_it(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.shp")
    pyogrio.write_dataframe(FRAME, tmp_path / "in" / "a.shp", encoding="GBK")
    (tmp_path / "in" / "a.cpg").unlink(missing_ok=True)
    table = tmp_path / "in" / "a.dbf"
    data = bytearray(table.read_bytes())
    for mark in (0, 0x57):
        data[29] = mark
        table.write_bytes(data)
        for path in (tmp_path / "in" / "a.shp", zip_up(tmp_path / "in", tmp_path / "a.zip")):
            with pytest.raises(BadSource, match="GB18030 '名'"):
                _ = open_source(path).types
            (batch,) = open_source(path, Asked(encoding="GBK")).batches()
            assert batch.columns["名"].to_pylist() == ["甲", "乙"]
    data[29] = 0x4D  # the mark of code page 936
    table.write_bytes(data)
    (batch,) = open_source(tmp_path / "in" / "a.shp").batches()
    assert batch.columns["名"].to_pylist() == ["甲", "乙"]


def test_names_in_the_encoding_of_a_chinese_windows(tmp_path: Path) -> None:
    """Zips of such machines have names in GBK, and say nothing of it."""
    write(tmp_path / "in" / "a.geojson")
    names = ["数据.geojson".encode("gbk"), "道路.geojson".encode("gbk")]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n, name in enumerate(names):
            archive.writestr(str(n) * len(name), (tmp_path / "in" / "a.geojson").read_bytes())
    data = (tmp_path / "a.zip").read_bytes()
    for n, name in enumerate(names):
        data = data.replace(str(n).encode() * len(name), name)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadSource, match=r"道路\.geojson, 数据\.geojson"):
        open_source(tmp_path / "a.zip")
    assert count(tmp_path / "a.zip", "道路") == 2


def test_objects_of_a_topology_are_asked_for(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [1, 2], "properties": {"no": "1", "名": "甲"}}
    one = {"type": "GeometryCollection", "geometries": [point]}
    path = tmp_path / "a.topojson"
    path.write_text(json.dumps({"type": "Topology", "arcs": [], "objects": {"a": one, "b": one}}))
    with pytest.raises(BadSource, match="--source-layer: a, b"):
        _ = open_source(path).types
    assert open_source(path, Asked(layer="b")).rows == 1
    path.write_text(json.dumps({"type": "Topology", "arcs": [], "objects": {"a": one}}))
    assert open_source(path).rows == 1


def test_a_folder_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "in" / "roads.shp")
    write(tmp_path / "in" / "rivers.geojson", count=1)
    with pytest.raises(BadSource, match=r"rivers\.geojson, roads\.shp"):
        open_source(tmp_path / "in")
    assert count(tmp_path / "in", "roads") == 2


@pytest.mark.parametrize(
    "name", ["a!b.geojson", "a#b?c.geojson", "a%20b.geojson", "a}b.zip", "a b.zip"]
)
def test_names_that_mean_something_elsewhere(tmp_path: Path, name: str) -> None:
    write(tmp_path / "in" / "a.geojson")
    path = tmp_path / name
    if name.endswith(".zip"):
        zip_up(tmp_path / "in", path)
    elif name.endswith(".gdb"):
        pyogrio.write_dataframe(FRAME, tmp_path / "b.gdb", driver="OpenFileGDB")
        (tmp_path / "b.gdb").rename(path)
    else:
        shutil.copy(tmp_path / "in" / "a.geojson", path)
    assert count(path) == 2


def test_a_table_has_no_layers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("no\n1\n")
    with pytest.raises(BadSource, match="leave --source-layer b out"):
        open_source(path, Asked(layer="b"))


def test_a_packed_kml(tmp_path: Path) -> None:
    pyogrio.write_dataframe(FRAME, tmp_path / "a.kmz", driver="LIBKML", layer="wells")
    assert count(tmp_path / "a.kmz") == 2
