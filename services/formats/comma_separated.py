"""CSV: a header, then a feature a line, its geometry as WKT; RFC 4180, UTF-8.

``csv`` is data for programs: every value is as it is. ``csv-excel`` is for people with a
spreadsheet: a byte order mark says that it is UTF-8 (or Chinese comes out as noise), and a text
that would be run as a formula gets an apostrophe before it. Numbers are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from layers.reading.streams import Part
from services.formats.columns import PERIOD, names_of
from services.formats.texts import as_csv, joined_lines
from services.negotiation import Format
from spatial.crs import CRS84, parse_crs

_MARK = "\ufeff".encode()


def write(snapshot: Snapshot, crs: CRS | None, *, for_excel: bool = False) -> Iterator[bytes]:
    """Yield the lines of a snapshot's features.

    Parameters
    ----------
    crs : CRS, optional
        Longitude and latitude where absent; else in the order of axes that its authority has.
    for_excel : bool
        Whether people will open it with a spreadsheet.
    """
    first = True
    target = parse_crs(CRS84) if crs is None else crs
    for part in snapshot.parts(Form.WKT, target):
        body = _lines(part, guarded=for_excel)
        yield _header(part, marked=for_excel) + body if first else body
        first = False


def _header(part: Part, *, marked: bool) -> bytes:
    names = pa.array([*PERIOD, *names_of(part.fields), "geometry"])
    line = ",".join(as_csv(names).to_pylist()) + "\r\n"
    return (_MARK if marked else b"") + line.encode()


def _lines(part: Part, *, guarded: bool) -> bytes:
    if not len(part):
        return b""
    columns = [part.ids, part.starts, part.ends, *(part.values[f.id] for f in part.fields)]
    pieces: list[pa.Array | str] = []
    for column in columns:
        pieces += [as_csv(column, guarded=guarded), ","]
    return joined_lines([*pieces, as_csv(part.geometry), "\r\n"])


CSV = Format("csv", "text/csv; header=present; charset=utf-8", "CSV", ".csv", write)
CSV_EXCEL = Format(
    "csv-excel",
    "text/csv; header=present; charset=utf-8",
    "CSV for Excel",
    ".csv",
    partial(write, for_excel=True),
    by_name=True,
)
