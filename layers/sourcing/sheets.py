"""Workbooks of Excel: a sheet as a table, its first row with anything in it the names.

By openpyxl, which reads row by row: the fast readers take a sheet's whole rectangle into memory,
and a cell at its far corner makes that 17 billion cells.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, first_line
from layers.errors import BadSource
from layers.sourcing.archives import Bounds
from layers.sourcing.asked import NOTHING, Asked
from layers.sourcing.places import Place
from layers.sourcing.positions import check_positions, has_positions, read_positions

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

_BOUNDS = Bounds(entries=5_000, unpacked_bytes=4 << 30)
# Texts that cells share are all in memory, and so are styles.
_KEPT_BYTES = 256 << 20
_KEPT = ("xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml")
_MOST_COLUMNS = 2_000
_MOST_BLANK = 10_000
# In order: a column is of the first that holds all of its values.
_KINDS: tuple[tuple[tuple[type, ...], pa.DataType], ...] = (
    ((bool,), pa.bool_()),
    ((int,), pa.int64()),
    ((int, float), pa.float64()),
    ((date,), pa.date32()),
    ((date, datetime), pa.timestamp("us")),
)
_LARGEST_INTEGER = 1 << 53


@dataclass(frozen=True)
class SheetSource:
    """A sheet of a workbook."""

    place: Place
    asked: Asked = NOTHING
    crs: CRS | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The columns, each of the type that holds all of its cells."""
        with self._rows() as (names, rows):
            check_positions(self.name, names, self.asked)
            found: list[set[type]] = [set() for _ in names]
            for row in rows:
                for kinds, value in zip(found, row, strict=True):
                    if value is not None:
                        kinds.add(_kind(value))
        return {name: _arrow_type(kinds) for name, kinds in zip(names, found, strict=True)}

    @property
    def rows(self) -> int | None:
        """Not known: what a sheet says of its size is no promise."""
        return None

    @property
    def has_geometry(self) -> bool:
        """Whether columns of coordinates, or of well-known text, are named."""
        return has_positions(self.asked)

    def batches(self) -> Iterator[Batch]:
        """Yield the rows that have anything in them."""
        types, number = list(self.types.values()), 1
        with self._rows() as (names, rows):
            while part := list(islice(rows, BATCH_ROWS)):
                values = zip(*part, strict=True)
                columns = {
                    name: _column(column, kind)
                    for name, column, kind in zip(names, values, types, strict=True)
                }
                found = read_positions(self.name, columns, self.asked, number)
                yield Batch(number, columns, found.shapes, repaired=found.repaired)
                number += len(part)

    @contextmanager
    def _rows(self) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
        with self.place.seekable() as file, _errors(self.name):
            check_workbook(self.name, self.place.path.stat().st_size, file)
            with _opened(file) as book:
                sheet = book[self._choose(book)]
                # What it says of its size is not asked for: rows are as long as they are.
                sheet.reset_dimensions()
                rows = _filled(self.name, sheet.iter_rows(values_only=True))
                header = next(rows, None)
                if header is None:
                    raise BadSource(f"{self.name} has no rows; choose another --source-layer")
                names = _names(self.name, header)
                yield names, (_fit(row, len(names)) for row in rows)

    def _choose(self, book: Workbook) -> str:
        names = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if self.asked.layer is not None:
            if self.asked.layer in book.sheetnames:
                return self.asked.layer
            raise BadSource(
                f"{self.name} has no sheet {self.asked.layer!r}; --source-layer is one of: "
                f"{', '.join(names)}"
            )
        if len(names) > 1:
            names = [n for n in names if _has_rows(book, n)] or names[:1]
        if len(names) != 1:
            raise BadSource(
                f"{self.name} holds several sheets; say which by --source-layer: {', '.join(names)}"
            )
        return str(names[0])


def check_workbook(name: str, packed: int, file: IO[bytes]) -> None:
    """Refuse a workbook that unpacks to more than one can be.

    Raises
    ------
    BadSource
        Where it does.
    """
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > _BOUNDS.entries:
            raise BadSource(f"{name} holds more than {_BOUNDS.entries:,} files; save it anew")
        _BOUNDS.check(name, sum(info.file_size for info in infos), packed)
        kept = sum(info.file_size for info in infos if info.filename in _KEPT)
        if kept > _KEPT_BYTES:
            raise BadSource(
                f"{name} has {kept >> 20} MB of text in its cells; save it as CSV, and publish that"
            )
    file.seek(0)


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[Workbook]:
    from openpyxl import load_workbook  # late: most publishes read no workbook

    with warnings.catch_warnings():
        # Of drawings and rules that it does not keep; nobody wants them here.
        warnings.simplefilter("ignore")
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    try:
        yield book
    finally:
        book.close()


@contextmanager
def _errors(name: str) -> Iterator[None]:
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        yield
    except (
        InvalidFileException, zipfile.BadZipFile, SyntaxError, KeyError, ValueError, TypeError,
        AttributeError, IndexError, OverflowError, EOFError,
    ) as error:  # fmt: skip
        if _declares_entities(error):
            raise BadSource(
                f"{name} declares entities, as no workbook needs; save it anew"
            ) from None
        raise BadSource(
            f"{name} is no workbook that can be read ({first_line(error)}); save it as .xlsx anew"
        ) from None


def _declares_entities(error: BaseException | None) -> bool:
    """Whether that is what an error, or one that it stands for, is about."""
    from defusedxml.common import DefusedXmlException

    while error is not None and not isinstance(error, DefusedXmlException):
        error = error.__cause__ or error.__context__
    return error is not None


def _has_rows(book: Workbook, name: str) -> bool:
    sheet = book[name]
    sheet.reset_dimensions()
    rows = islice(sheet.iter_rows(values_only=True), _MOST_BLANK)
    return any(any(value is not None for value in row) for row in rows)


def _filled(name: str, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if len(row) > _MOST_COLUMNS:
            raise BadSource(f"{name} has more than {_MOST_COLUMNS:,} columns; take out what is far")
        if any(value is not None and value != "" for value in row):
            yield tuple(None if value == "" else value for value in row)


def _names(name: str, header: Sequence[Any]) -> list[str]:
    last = max(n for n, value in enumerate(header) if value is not None)
    names = [
        f"column {n + 1}" if value is None else str(value).strip()
        for n, value in enumerate(header[: last + 1])
    ]
    repeated = {one for one in names if names.count(one) > 1}
    if repeated:
        raise BadSource(f"{name} has two columns {repeated.pop()!r}; rename one")
    return names


def _fit(row: tuple[Any, ...], width: int) -> tuple[Any, ...]:
    return (*row[:width], *(None,) * (width - len(row)))


def _kind(value: Any) -> type:
    if isinstance(value, datetime):
        return date if value.time() == time() else datetime
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_INTEGER:
        return int
    return type(value)


def _arrow_type(kinds: set[type]) -> pa.DataType:
    for held, kind in _KINDS if kinds else ():
        if kinds <= set(held):
            return kind
    return pa.string()


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([None if value is None else _text(value) for value in values], kind)
    if pa.types.is_date(kind):
        values = [value.date() if isinstance(value, datetime) else value for value in values]
    elif pa.types.is_integer(kind):
        values = [None if value is None else int(value) for value in values]
    return pa.array(values, kind)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(int(value)) if _kind(value) is int and not isinstance(value, bool) else str(value)
