"""Tables as text: CSV and its kin, with any of the usual separators and encodings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.csv
from pyproj import CRS

from layers.batches import Batch, columns_of, first_line
from layers.errors import BadSource
from layers.readings import ReadAs
from layers.sourcing.asked import NOTHING, Asked
from layers.sourcing.encodings import has_mark, text_encoding
from layers.sourcing.places import Place
from layers.sourcing.positions import check_positions, has_positions, read_positions

SEPARATORS = ",;\t|"
# A row must fit: a field of gigabytes is an error, and no memory.
_BLOCK_BYTES = 4 << 20
_SAMPLE_BYTES = 1 << 16
_SAMPLE_ROWS = 20


@dataclass(frozen=True)
class TextSource:
    """A table of text: every column is read as text, and the schema says what it means."""

    place: Place
    asked: Asked = NOTHING
    crs: CRS | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The columns, all text."""
        with self._reader() as reader:
            names = reader.schema.names
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise BadSource(f"{self.name} has two columns {repeated.pop()!r}; rename one")
        check_positions(self.name, names, self.asked)
        return {name: pa.string() for name in names}

    @property
    def rows(self) -> int | None:
        """Not known before the file is read."""
        return None

    @property
    def has_geometry(self) -> bool:
        """Whether columns of coordinates, or of well-known text, are named."""
        return has_positions(self.asked)

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict(self.types), strings_can_be_null=True, null_values=[""]
        )
        row = 1
        with self._reader(convert) as reader:
            for batch in reader:
                columns = columns_of(pa.Table.from_batches([batch]), ())
                found = read_positions(self.name, columns, self.asked, row)
                yield Batch(row, columns, found.shapes, repaired=found.repaired)
                row += batch.num_rows

    @property
    def read_as(self) -> tuple[ReadAs, ...]:
        """How its text was read: encoding and separator."""
        found = "source" if has_mark(self._encoding) else "found"
        encoding = ("encoding", self._encoding.upper().removesuffix("-SIG"))
        separator = ("separator", "tab" if self._separator == "\t" else self._separator)
        return (
            ReadAs(*encoding, found if self.asked.encoding is None else "publisher"),
            ReadAs(*separator, "found" if self.asked.separator is None else "publisher"),
        )

    @cached_property
    def _encoding(self) -> str:
        return self.asked.encoding or text_encoding(self.place)

    @cached_property
    def _separator(self) -> str:
        if self.asked.separator is not None:
            return self.asked.separator
        head = self.place.head(_SAMPLE_BYTES)
        try:
            text = head.decode(self._encoding, "replace")
        except LookupError:
            raise BadSource(f"{self._encoding!r} is no encoding; write GB18030, say") from None
        return find_separator(self.name, text, len(head) == _SAMPLE_BYTES)

    @contextmanager
    def _reader(
        self, convert: pyarrow.csv.ConvertOptions | None = None
    ) -> Iterator[pyarrow.csv.CSVStreamingReader]:
        # Arrow passes over UTF-8's mark by itself.
        encoding = "utf-8" if self._encoding == "utf-8-sig" else self._encoding
        read = pyarrow.csv.ReadOptions(encoding=encoding, block_size=_BLOCK_BYTES)
        parse = pyarrow.csv.ParseOptions(delimiter=self._separator, newlines_in_values=True)
        try:
            with (
                self.place.opened() as file,
                pyarrow.csv.open_csv(file, read, parse, convert) as reader,
            ):
                yield reader
        except (pa.ArrowInvalid, UnicodeError, LookupError) as error:
            raise BadSource(
                f"{self.name} is no table that can be read ({first_line(error)[:200]}); check "
                f"its rows, the separator ({self._separator!r}; --separator) and --encoding"
            ) from None


def find_separator(name: str, text: str, cut: bool = False) -> str:
    r"""Return what stands between the fields of a table.

    Parameters
    ----------
    text : str
        Its beginning; the last row of it may be `cut`.

    Raises
    ------
    BadSource
        Where two would do.

    Examples
    --------
    >>> find_separator("a.csv", "no;x;y\n1;2,5;3,5\n")
    ';'
    """
    found: dict[str, int] = {}
    for separator in SEPARATORS:
        try:
            rows = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if r]
        except csv.Error:
            continue
        rows = rows[: min(_SAMPLE_ROWS, len(rows) - 1 if cut and len(rows) > 1 else len(rows))]
        widths = {len(row) for row in rows}
        if len(widths) == 1 and max(widths) > 1:
            found[separator] = widths.pop()
    most = [s for s, width in found.items() if width == max(found.values())]
    if len(most) > 1:
        both = " or ".join(map(repr, most))
        raise BadSource(f"{name}: its fields end by {both}; state the --separator")
    return most[0] if most else ","
