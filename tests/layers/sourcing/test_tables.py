"""Tables: text with any separator and encoding, workbooks, and where their rows lie."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyogrio
import pytest
import shapely
from publishing import START, layer, points, publish

from layers.errors import BadSource
from layers.schemas.inference import Choices
from layers.sources import Source, open_source
from layers.sourcing.asked import Asked
from layers.store import Store
from spatial.crs import parse_crs

XY = Asked(coordinates=("x", "y"))


def rows_of(source: Source) -> list[dict[str, Any]]:
    """All rows of a source, with their shapes as text."""
    found = []
    for batch in source.batches():
        told = pa.table(dict(batch.columns)).to_pylist()
        shapes = [None] * len(told) if batch.geometries is None else batch.geometries
        found += [row | {"shape": s and s.wkt} for row, s in zip(told, shapes, strict=True)]
    return found


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_found_out(tmp_path: Path, separator: str, end: str, encoding: str) -> None:
    lines = [["no", "名称", "x", "y"], ["1", "井盖", "120.5", "31"], ["2", "", "", ""]]
    path = tmp_path / "a.csv"
    text = "".join(separator.join(line) + end for line in lines)
    path.write_bytes(text.encode(encoding))
    first, second = rows_of(open_source(path, XY))
    assert first == {
        "no": "1",
        "名称": "井盖",
        "x": "120.5",
        "y": "31",
        "shape": "POINT (120.5 31)",
    }
    assert (second["no"], second["名称"], second["shape"]) == ("2", None, None)


@pytest.mark.parametrize("encoding", ["GB18030", "GBK"])
def test_other_encodings_are_asked_for(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("no,名称\n1,井盖\n".encode("gbk"))
    with pytest.raises(BadSource, match="GB18030 'no,名称'"):
        _ = open_source(path).types
    assert rows_of(open_source(path, Asked(encoding=encoding)))[0]["名称"] == "井盖"
    with pytest.raises(BadSource, match="--encoding"):
        _ = rows_of(open_source(path, Asked(encoding="ascii")))
    with pytest.raises(BadSource, match="encoding"):
        _ = open_source(path, Asked(encoding="no-such")).types


def test_mixed_encodings(tmp_path: Path) -> None:
    """Half UTF-8, half GBK is neither, and is said to be none rather than guessed."""
    path = tmp_path / "a.csv"
    path.write_bytes("no,名称\n1,井盖\n".encode() + "2,街道\n".encode("gbk"))
    with pytest.raises(BadSource, match="no UTF-8"):
        _ = open_source(path).types


def test_utf16_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("no,名称\n1,井盖\n".encode("utf-16-le"))
    with pytest.raises(BadSource, match="UTF-16LE"):
        _ = open_source(path).types
    assert rows_of(open_source(path, Asked(encoding="UTF-16LE")))[0]["名称"] == "井盖"


def test_two_separators_that_would_do(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b,c\n1;2,3\n")
    with pytest.raises(BadSource, match="--separator"):
        _ = open_source(path).types
    assert list(open_source(path, Asked(separator=";")).types) == ["a", "b,c"]


def test_well_known_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('no,shape\n1,"LINESTRING Z (0 0 1, 2 2 3)"\n2,\n3,"POINT (1 x)"\n')
    with pytest.raises(BadSource, match=r"row 3: 'POINT \(1 x\)'"):
        rows_of(open_source(path, Asked(wkt="shape")))
    path.write_text('no,wkt\n1,"LINESTRING Z (0 0 1, 2 2 3)"\n2,\n')
    first, second = rows_of(open_source(path, Asked(wkt="wkt")))
    assert first["shape"] == "LINESTRING Z (0 0 1, 2 2 3)"
    assert second["shape"] is None


@pytest.mark.parametrize("asked", [Asked(coordinates=("lon", "y")), Asked(wkt="lon")])
def test_columns_that_are_not_there(tmp_path: Path, asked: Asked) -> None:
    path = tmp_path / "a.csv"
    path.write_text("no,x,y\n1,2,3\n")
    with pytest.raises(BadSource, match="no column 'lon'; it has: no, x, y"):
        _ = open_source(path, asked).types


@pytest.mark.parametrize("value", ["12,5", "N 31°", "0x1f"])
def test_coordinates_that_are_no_numbers(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'no;x;y\n1;120;31\n2;"{value}";31\n')
    with pytest.raises(BadSource, match="column 'x'"):
        rows_of(open_source(path, XY))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_coordinates_that_are_not_finite(store: Store, tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"no,x,y\n1,120,31\n2,{value},31\n")
    choices, crs = Choices(keys=("no",)), parse_crs("OGC:CRS84")
    source = open_source(path, XY)
    report = publish(
        store, "t", source, valid_from=START, choices=choices, crs=parse_crs("EPSG:4490")
    )
    assert report.findings.without_geometry.count == 1
    assert crs is not None
    assert layer(store, "t").at().read().loc["2"].geometry is None


def book(path: Path, **sheets: list[list[Any]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


ROWS = [
    [],
    ["编号", "x", "y", "since", "at", "ok", "mixed", "n"],
    [1001, 120.5, 31, date(2020, 1, 2), datetime(2020, 1, 2, 3, 4), True, 7, 1],
    [None, None, None, None, None, None, None, None],
    [1002, 120.6, 31.5, None, datetime(2021, 1, 1), False, "a", 2.5],
]


def test_a_workbook(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", 案件=ROWS, empty=[])
    source = open_source(path, XY)
    assert dict(source.types) == {
        "编号": pa.int64(), "x": pa.float64(), "y": pa.float64(), "since": pa.date32(),
        "at": pa.timestamp("us"), "ok": pa.bool_(), "mixed": pa.string(), "n": pa.float64(),
    }  # fmt: skip
    first, second = rows_of(source)
    assert first == {
        "编号": 1001, "x": 120.5, "y": 31.0, "since": date(2020, 1, 2),
        "at": datetime(2020, 1, 2, 3, 4), "ok": True, "mixed": "7", "n": 1.0,
        "shape": "POINT (120.5 31)",
    }  # fmt: skip
    assert (second["since"], second["mixed"]) == (None, "a")


def test_sheets_are_chosen(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", one=ROWS, two=[["no"], [1]])
    with pytest.raises(BadSource, match=r"--source-layer: one, two"):
        _ = open_source(path).types
    assert rows_of(open_source(path, Asked(layer="two")))[0]["no"] == 1
    with pytest.raises(BadSource, match="no sheet 'three'"):
        _ = open_source(path, Asked(layer="three")).types
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, "folder/a.xlsx")
    assert rows_of(open_source(packed, Asked(layer="two")))[0]["no"] == 1


def test_a_workbook_is_published(store: Store, tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", 案件=ROWS)
    how = {"crs": parse_crs("EPSG:4490"), "choices": Choices(keys=("编号",))}
    publish(store, "t", open_source(path, XY), valid_from=START, **how)
    frame = layer(store, "t").at().read()
    assert frame.loc["1001"].geometry == shapely.Point(120.5, 31)


def rewritten(path: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, was in kept.items():
            archive.writestr(name, content if name == member else was)
    return path


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'
)
CELL = '<row r="{0}"><c r="{1}{0}" t="inlineStr"><is><t>{2}</t></is></c></row>'


def test_hostile_workbooks(tmp_path: Path) -> None:
    """A bomb of entities, a cell at the far corner, more text than memory is for."""
    sheet = "xl/worksheets/sheet1.xml"
    plain = book(tmp_path / "a.xlsx", one=[["no"], [1]])
    bomb = '<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    rows = CELL.format(1, "A", "no") + CELL.format(2, "A", "&b;")
    rewritten(plain, sheet, (bomb + SHEET.format(f"<sheetData>{rows}</sheetData>")).encode())
    with pytest.raises(BadSource, match="entities"):
        _ = rows_of(open_source(plain))
    rows = CELL.format(1, "A", "no") + CELL.format(1048576, "A", "7")
    stated = '<dimension ref="A1:XFD1048576"/>'
    far = SHEET.format(f"{stated}<sheetData>{rows}</sheetData>").encode()
    assert [row["no"] for row in rows_of(open_source(rewritten(plain, sheet, far)))] == ["7"]
    rows = CELL.format(1, "XFD", "no")
    wide = SHEET.format(f"<sheetData>{rows}</sheetData>").encode()
    with pytest.raises(BadSource, match="more than 2,000 columns"):
        _ = open_source(rewritten(plain, sheet, wide)).types
    with zipfile.ZipFile(plain, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(300 << 20))
    with pytest.raises(BadSource, match=r"times its size|MB of text"):
        _ = open_source(plain).types


def test_what_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"no workbook")
    with pytest.raises(BadSource, match=r"save it as \.xlsx"):
        _ = open_source(path).types
    old = tmp_path / "a.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(BadSource, match=r"save it as \.xlsx"):
        open_source(old)


@pytest.mark.parametrize(
    ("written", "asked", "encoding", "separator"),
    [
        ("utf-8", Asked(), ("UTF-8", "found"), (";", "found")),
        ("utf-8-sig", Asked(), ("UTF-8", "source"), (";", "found")),
        ("utf-16", Asked(), ("UTF-16", "source"), (";", "found")),
        ("gbk", Asked(encoding="GBK"), ("GBK", "publisher"), (";", "found")),
        ("utf-8", Asked(separator=";"), ("UTF-8", "found"), (";", "publisher")),
    ],
)
def test_the_report_says_how_text_was_read(
    store: Store,
    tmp_path: Path,
    written: str,
    asked: Asked,
    encoding: tuple[str, str],
    separator: tuple[str, str],
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("no;名称;x;y\n1;井盖;120.5;31\n".encode(written))
    source = open_source(path, replace(asked, coordinates=("x", "y")))
    report = publish(store, "t", source, valid_from=START, crs=parse_crs("EPSG:4490"))
    told = report.document()["read_as"]
    assert told == {
        "encoding": dict(zip(("value", "stated_by"), encoding, strict=True)),
        "separator": dict(zip(("value", "stated_by"), separator, strict=True)),
    }
    assert layer(store, "t").at().read()["名称"].tolist() == ["井盖"]


@pytest.mark.parametrize(
    ("mark", "cpg", "asked", "told"),
    [
        (0, None, Asked(), None),
        (0, None, Asked(encoding="GBK"), ("GBK", "publisher")),
        (0, "GBK", Asked(), ("GBK", "source")),
        (0x4D, None, Asked(), ("mark 0x4D of the .dbf", "source")),
    ],
)
def test_the_report_says_how_a_shapefile_was_read(
    tmp_path: Path, mark: int, cpg: str | None, asked: Asked, told: tuple[str, str] | None
) -> None:
    path = tmp_path / "a.shp"
    plain = told is None
    frame = points(no=["1"], name=["plain" if plain else "井盖"])
    pyogrio.write_dataframe(frame, path, encoding="GBK")
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes()[:29] + bytes([mark]) + table.read_bytes()[30:])
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)
    source = open_source(path, asked)
    (batch,) = source.batches()
    assert batch.columns["name"].to_pylist() == frame["name"].tolist()
    (read,) = getattr(source, "read_as", ())
    assert (read.value, read.stated_by) == (told or ("UTF-8", "found"))
