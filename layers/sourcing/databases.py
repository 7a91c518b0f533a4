"""A table, view or query of another PostGIS: read in one read-only transaction, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import conninfo, sql
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, first_line
from layers.errors import BadSource
from layers.sourcing.asked import NOTHING, Asked
from spatial.crs import parse_crs
from spatial.errors import SpatialError
from spatial.surfaces import (
    as_polygons,
    curve_name,
    is_curved,
    is_measured,
    type_codes,
    what_became,
)

SCHEMES = ("postgresql://", "postgres://")
_CONNECT_S = 15
_TYPES: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int64(),
    "int4": pa.int64(),
    "int8": pa.int64(),
    "float4": pa.float64(),
    "float8": pa.float64(),
    "numeric": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_CASTS = {pa.string(): sql.SQL("text"), pa.float64(): sql.SQL("float8")}
_GEOMETRIES = ("geometry", "geography")


class _Column(NamedTuple):
    name: str
    type: str


@dataclass(frozen=True)
class DatabaseSource:
    """Rows of another database.

    Parameters
    ----------
    address : str
        ``postgresql://user@host/database``; its password is never shown, and is better kept in
        a password file.
    asked : Asked
        Its layer is a table: ``schema.table``.
    query : str, optional
        A SELECT instead of a table.
    """

    address: str
    asked: Asked = NOTHING
    query: str | None = None

    def __repr__(self) -> str:
        return f"DatabaseSource({self.name!r})"

    @cached_property
    def name(self) -> str:
        """Where it is, without who asks; and what is read."""
        return f"{shown_address(self.address)} {self.query or self.asked.layer or ''}".strip()

    @cached_property
    def _columns(self) -> Sequence[_Column]:
        with self._connected() as connection, connection.cursor() as cursor:
            statement = sql.SQL("SELECT * FROM {} AS q LIMIT 0").format(self._from(cursor))
            # Prepared, so that nobody's query is two statements.
            cursor.execute(statement, prepare=True)
            described = cursor.description or ()
            kinds = [column.type_code for column in described]
            ask = "SELECT oid, typname FROM pg_type WHERE oid = ANY(%s)"
            names = dict(connection.execute(ask, [kinds]).fetchall())
        found = [_Column(column.name, names[column.type_code]) for column in described]
        listed = [column.name for column in found]
        repeated = {name for name in listed if listed.count(name) > 1}
        if repeated:
            raise BadSource(f"{self.name} has two columns {repeated.pop()!r}; name them apart")
        return found

    @cached_property
    def _geometry(self) -> str | None:
        names = [c.name for c in self._columns if c.type in _GEOMETRIES]
        if len(names) > 1:
            raise BadSource(
                f"{self.name} has several geometries ({', '.join(names)}); choose one by a --query"
            )
        return names[0] if names else None

    @cached_property
    def crs(self) -> CRS | None:
        """What its geometries say of themselves."""
        if self._geometry is None:
            return None
        ask = sql.SQL(
            "SELECT srid, auth_name, auth_srid FROM (SELECT ST_SRID({geometry}::geometry) AS srid "
            "FROM {source} AS q WHERE {geometry} IS NOT NULL LIMIT 1) AS one "
            "LEFT JOIN spatial_ref_sys USING (srid)"
        )
        with self._connected() as connection, connection.cursor() as cursor:
            geometry = sql.Identifier(self._geometry)
            row = cursor.execute(
                ask.format(geometry=geometry, source=self._from(cursor))
            ).fetchone()
        if row is None or not row[0] or row[1] is None:
            return None
        try:
            return parse_crs(f"{row[1]}:{row[2]}")
        except SpatialError:
            return None

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The columns but the geometry; what Arrow has no like of is text."""
        return {
            c.name: _TYPES.get(c.type, pa.string())
            for c in self._columns
            if c.name != self._geometry
        }

    @property
    def rows(self) -> int | None:
        """Not known: counting a query is running it."""
        return None

    @property
    def has_geometry(self) -> bool:
        """Whether it has a column of geometries."""
        return self._geometry is not None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        row = 1
        with self._connected() as connection:
            with connection.cursor() as plain:
                statement = self._statement(plain)
            with connection.cursor(name="rows") as cursor:
                cursor.execute(statement)
                while part := cursor.fetchmany(BATCH_ROWS):
                    yield self._batch(part, row)
                    row += len(part)

    def _statement(self, cursor: psycopg.Cursor[Any]) -> sql.Composed:
        parts: list[sql.Composable] = []
        for name, kind in self.types.items():
            column = sql.SQL("q.{}").format(sql.Identifier(name))
            cast = _CASTS.get(kind)
            parts.append(sql.SQL("{}::{}").format(column, cast) if cast else column)
        if self._geometry is not None:
            shape = sql.SQL("q.{}::geometry").format(sql.Identifier(self._geometry))
            parts += [
                sql.SQL("ST_AsBinary({})").format(shape),
                sql.SQL("ST_SRID({})").format(shape),
            ]
            # A second reading, of curves alone: 23 segments to a quadrant are 4 degrees each.
            parts.append(
                sql.SQL(
                    "CASE WHEN ST_HasArc({shape}) THEN ST_AsBinary(ST_CurveToLine({shape}, 23)) END"
                ).format(shape=shape)
            )
        listed = sql.SQL(", ").join(parts)
        return sql.SQL("SELECT {} FROM {} AS q").format(listed, self._from(cursor))

    def _batch(self, rows: Sequence[tuple[Any, ...]], first_row: int) -> Batch:
        values = list(zip(*rows, strict=True))
        columns = {
            name: pa.array(column, kind)
            for (name, kind), column in zip(self.types.items(), values, strict=False)
        }
        if self._geometry is None:
            return Batch(first_row, columns)
        shapes, systems, straight = values[-3:]
        if len({one for one in systems if one is not None}) > 1:
            raise BadSource(f"{self.name} mixes reference systems; transform them in a --query")
        wkb, repaired = self._plain(pa.array(shapes, pa.binary()), straight, first_row)
        return Batch(first_row, columns, wkb=wkb, repaired=repaired)

    def _plain(
        self, wkb: pa.Array, straight: Sequence[bytes | None], first_row: int
    ) -> tuple[pa.Array, tuple[tuple[int, str], ...]]:
        codes = type_codes(wkb)
        told = {int(n): "measures (M) left out" for n in np.flatnonzero(is_measured(codes))}
        curved = np.flatnonzero(is_curved(codes))
        if curved.size and not self.asked.curves:
            raise BadSource(
                f"{self.name}: row {first_row + int(curved[0])} is a "
                f"{curve_name(int(codes[curved[0]]))}; say --repair curves, and arcs become "
                "straight lines of 4 degrees each, surfaces polygons"
            )
        if curved.size:
            shapes = wkb.to_pylist()
            for n in curved.tolist():
                shapes[n] = straight[n] or as_polygons(shapes[n])
                told[n] = what_became(int(codes[n]))
            wkb = pa.array(shapes, pa.binary())
        return wkb, tuple((first_row + n, cause) for n, cause in sorted(told.items()))

    def _from(self, cursor: psycopg.Cursor[Any]) -> sql.Composable:
        if self.query is not None:
            text = self.query.strip().rstrip(";")
            return sql.SQL("(") + sql.SQL(text) + sql.SQL("\n)")
        if self.asked.layer is None:
            raise BadSource(
                f"{self.name}: say which table by --source-layer SCHEMA.TABLE, or give a --query; "
                f"there are: {', '.join(_tables(cursor)) or 'none'}"
            )
        return sql.Identifier(*self.asked.layer.split("."))

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        """One read-only transaction; what the other server says of itself is told, no more."""
        connection: psycopg.Connection[Any] | None = None
        try:
            connection = psycopg.connect(
                self.address, connect_timeout=_CONNECT_S, application_name="shikong"
            )
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
        except psycopg.Error as error:
            where = shown_address(self.address)
            raise BadSource(f"{where}: {_without_secrets(self.address, error)}") from None
        finally:
            if connection is not None:
                connection.close()


def is_database(address: str) -> bool:
    """Return whether an address is that of a database.

    >>> is_database("postgresql://gis@db.city.example/land"), is_database("land.gpkg")
    (True, False)
    """
    return address.startswith(SCHEMES)


def shown_address(address: str) -> str:
    """Return host and database, without the name, the password and the options of whoever asks.

    >>> address = "postgresql://gis:hidden@db:5433/land?sslmode=require"  # pragma: allowlist secret
    >>> shown_address(address)
    'postgresql://db:5433/land'
    >>> shown_address("postgresql://gis:sec ret@[bad/land")
    'postgresql://...'
    """
    try:
        told = conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return "postgresql://..."
    host = str(told.get("host") or "")
    port = f":{told['port']}" if told.get("port") else ""
    return f"postgresql://{'' if host.startswith('/') else host}{port}/{told.get('dbname') or ''}"


def _without_secrets(address: str, error: psycopg.Error) -> str:
    """What the driver says, but for a password, which it repeats where an address is malformed."""
    try:
        password = conninfo.conninfo_to_dict(address).get("password")
    except psycopg.ProgrammingError:
        return "the address can't be read; write postgresql://USER@HOST/DATABASE"
    text = first_line(error)
    return re.sub(re.escape(str(password)), "...", text) if password else text


def _tables(cursor: psycopg.Cursor[Any]) -> list[str]:
    """What the other database says that it has."""
    found = cursor.execute(
        "SELECT f_table_schema || '.' || f_table_name FROM geometry_columns ORDER BY 1 LIMIT 50"
    )
    return [name for (name,) in found]
