"""Files of points: GeoParquet, checked before any row of it is read, then read in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial.crs import CRS84, parse_crs
from spatial.errors import (
    BadInstant,
    MissingColumn,
    MissingCRS,
    MissingIds,
    SpatialError,
    UnknownCRS,
    UnreadablePoints,
    WrongGeometryType,
)
from spatial.instants import as_microseconds
from spatial.partitions.coordinates import Coordinates, Floats, read_pairs, read_wkb
from spatial.placing import EMPTY, NO_INSTANT, NO_POINT, NOT_FINITE, PLACED

_WKB: Final = "WKB"
_NATIVE: Final = "point"
_BUFFER: Final = 1 << 20  # bytes of a column that are read at a time, be its row groups ever so big


class Batch(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    ids : Array
        What names each row: its id, or else its number in the file.
    x, y : ndarray of float64, shape (n,)
        NaN where there is a reason.
    instants : ndarray of int64, shape (n,)
        In microseconds since 1970 in UTC; 0 where none are asked for.
    reasons : ndarray of uint8, shape (n,)
        Why a row can't be placed, as `spatial.assignment` counts reasons.
    """

    ids: pa.Array
    x: Floats
    y: Floats
    instants: NDArray[np.int64]
    reasons: NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """An open file of points whose columns are as they must be.

    Attributes
    ----------
    file : ParquetFile
    crs : CRS
    geometry, encoding : str
        The column of points, and how it is written: ``WKB`` or ``point``.
    key, at : str, optional
        The columns with ids and instants.
    """

    path: str
    file: pq.ParquetFile
    crs: CRS
    geometry: str
    encoding: str
    key: str | None
    at: str | None

    @property
    def rows(self) -> int:
        """Return how many it has, as it says itself."""
        return int(self.file.metadata.num_rows)

    @property
    def id_type(self) -> pa.DataType:
        """Return the type of ids."""
        return self.file.schema_arrow.field(self.key).type if self.key else pa.int64()

    def batches(self, size: int) -> Iterator[Batch]:
        """Read it, so many rows at a time, and no more than that into memory."""
        first = 0
        wanted = [name for name in (self.geometry, self.key, self.at) if name is not None]
        with _naming(self.path):
            for part in self.file.iter_batches(size, columns=wanted, use_threads=False):
                yield self._read(part, first)
                first += len(part)

    def _read(self, part: pa.RecordBatch, first: int) -> Batch:
        numbers = pa.array(np.arange(first, first + len(part)))
        ids = part.column(self.key) if self.key else numbers
        if ids.null_count:
            row = first + int(np.flatnonzero(ids.is_null())[0])
            raise MissingIds(f"row {row} has no {self.key!r}; fill it in")
        x, y, missing = self._coordinates(part.column(self.geometry), first)
        reasons = np.full(len(part), PLACED, dtype=np.uint8)
        lost = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
        reasons[lost] = NOT_FINITE
        reasons[lost[np.isnan(x[lost]) & np.isnan(y[lost])]] = EMPTY
        reasons[lost[missing[lost]]] = NO_POINT
        instants = np.zeros(len(part), dtype=np.int64)
        if self.at:
            instants, absent = _instants(part.column(self.at), self.at, first)
            reasons[absent & (reasons == PLACED)] = NO_INSTANT
        x[np.flatnonzero(reasons)] = np.nan
        return Batch(ids, x, y, instants, reasons)

    def _coordinates(self, column: pa.Array, first: int) -> Coordinates:
        plain = column.storage if isinstance(column, pa.ExtensionArray) else column
        return read_pairs(plain) if self.encoding == _NATIVE else read_wkb(plain, first)


@contextmanager
def open_source(path: str | Path, *, key: str | None = None, at: str | None = None) -> Any:
    """Open a GeoParquet file of points, and check what it says of itself.

    Parameters
    ----------
    path : str or Path
    key : str, optional
        Column with ids.
    at : str, optional
        Column with instants, aware.

    Yields
    ------
    Source

    Raises
    ------
    UnreadablePoints
        If it is not GeoParquet, or not whole.
    MissingCRS, UnknownCRS
        If its reference system is not known. One that states none is in ``OGC:CRS84``: the
        standard says so.
    MissingColumn, WrongGeometryType, BadInstant
        If a column is not there, or not of a type that can be used.
    """
    with _naming(path):
        # pre_buffer would keep in memory all that was read, up to the end of the file
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    with file:
        with _naming(path):
            source = _source(str(path), file, key, at)
        yield source


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Say of what file an error is."""
    try:
        yield
    except SpatialError as error:
        raise type(error)(f"{path}: {error}") from None
    except FileNotFoundError:
        raise UnreadablePoints(f"{path}: there is no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise UnreadablePoints(f"{path} can't be read ({error}); write it anew") from None


def _source(path: str, file: pq.ParquetFile, key: str | None, at: str | None) -> Source:
    name, said = _geometry(file)
    schema = file.schema_arrow
    for column in (name, key, at):
        if column is not None and column not in schema.names:
            raise MissingColumn(f"no column {column!r} among {', '.join(schema.names)}")
    encoding = _encoding(name, schema.field(name).type, said.get("encoding"))
    if at is not None:
        _check_instants(at, schema.field(at).type)
    crs = _crs(json.dumps(said["crs"]) if "crs" in said else None)
    return Source(path, file, crs, name, encoding, key, at)


def _geometry(file: pq.ParquetFile) -> tuple[str, Mapping[str, Any]]:
    """Return the name of the primary geometry, and what GeoParquet's metadata say of it."""
    try:
        said = json.loads((file.metadata.metadata or {})[b"geo"])
        name = str(said["primary_column"])
        return name, dict(said["columns"][name])
    except (KeyError, TypeError, ValueError):
        raise UnreadablePoints(
            "it has no metadata of GeoParquet, or wrong ones; write it with GeoDataFrame.to_parquet"
        ) from None


def _encoding(name: str, kind: pa.DataType, said: Any) -> str:
    plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    binary = pa.types.is_binary(plain) or pa.types.is_large_binary(plain)
    if said == _WKB and binary:
        return _WKB
    if said == _NATIVE and pa.types.is_struct(plain) and {"x", "y"} <= {f.name for f in plain}:
        return _NATIVE
    raise WrongGeometryType(
        f"{name!r} is {said!r} in a column of {plain}; write points, as WKB or natively"
    )


def _check_instants(at: str, kind: pa.DataType) -> None:
    aware = pa.types.is_timestamp(kind) and kind.tz is not None
    if not (aware or pa.types.is_null(kind)):  # a column that holds nothing has no type
        raise BadInstant(
            f"column {at!r} holds {kind}, not aware timestamps; clean it with "
            "spatial.instants.clean_instants"
        )


@lru_cache(maxsize=64)
def _crs(said: str | None) -> CRS:
    if said is None:
        return parse_crs(CRS84)
    if said == "null":
        raise MissingCRS("it states no reference system; set one, such as EPSG:4549")
    try:
        return CRS.from_user_input(json.loads(said))
    except CRSError as error:
        raise UnknownCRS(f"its reference system can't be used: {error}") from None


def _instants(
    column: pa.Array, name: str, first: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64), np.ones(len(column), dtype=bool)
    # microseconds do not change with the zone; one that pandas has not heard of does no harm
    utc = column.cast(pa.timestamp(column.type.unit, "UTC"))
    index = pd.RangeIndex(first, first + len(column))
    return as_microseconds(pd.Series(utc.to_pandas(), name=name).set_axis(index))
