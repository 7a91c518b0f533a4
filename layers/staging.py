"""From batches to one staged row a (feature, start): ids given, repeats settled, contents hashed.

Everything here happens in temporary tables of the publishing transaction; the store is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers import binary_copy
from layers.beliefs import believed, scope_condition
from layers.columns import Conversion
from layers.errors import BadPeriod, BadScope, BadValue
from layers.model import Kind, Layer, Schema
from layers.sameness import family_hash, same_shape
from layers.sources import Source
from layers.tables import (
    FOREVER,
    INSTANT,
    LayerTables,
    column_type,
    geometry_type,
    tables_of,
    temporary_table,
)

Progress = Callable[[str, int, int | None], None]
T = TypeVar("T")

NAMED = 20


@dataclass(frozen=True)
class Stage:
    """The temporary tables of one publish into one layer.

    Attributes
    ----------
    raw : Table
        The rows as the source has them, typed, with ``_key`` and the period where it states one.
    ready : Table
        One row a (feature, start), with its period, hashes and final geometry.
    """

    record: Layer
    raw: sa.Table
    ready: sa.Table

    @property
    def schema(self) -> Schema:
        """The layer's schema."""
        return self.record.schema

    @property
    def tables(self) -> LayerTables:
        """The layer's own tables."""
        return tables_of(self.record)


def create_stage(connection: Connection, record: Layer) -> Stage:
    """Create the temporary tables; they go with the transaction, however it ends."""
    raw, ready = _stage_tables(record.id, record.schema)
    for table in (raw, ready):
        connection.execute(CreateTable(table))
    return Stage(record, raw, ready)


# Made once a layer: SQLAlchemy knows statements again by the tables that they are about.
@lru_cache(maxsize=64)
def _stage_tables(layer_id: str, schema: Schema) -> tuple[sa.Table, sa.Table]:
    def content() -> list[sa.Column[Any]]:
        fields = (*schema.stored, *schema.restricted)
        columns: list[sa.Column[Any]] = [sa.Column(f.id, column_type(f)) for f in fields]
        return [*columns, sa.Column("_geom", geometry_type(schema))]

    # Named for the layer: one commit may stage several.
    raw = temporary_table(
        f"raw_{layer_id}",
        sa.Column("_row", sa.BigInteger),
        sa.Column("_key", sa.Text),
        sa.Column("_s", INSTANT),
        sa.Column("_e", INSTANT),
        *content(),
    )
    ready = temporary_table(
        f"ready_{layer_id}",
        sa.Column("_row", sa.BigInteger),
        sa.Column("_fid", sa.Text),
        sa.Column("_s", INSTANT),
        sa.Column("_e", INSTANT),
        sa.Column("_kept", sa.Boolean),
        sa.Column("_hash", sa.LargeBinary),
        sa.Column("_hash_restricted", sa.LargeBinary),
        *content(),
    )
    return raw, ready


def copy_rows(
    connection: Connection, stage: Stage, source: Source, conversion: Conversion, say: Progress
) -> None:
    """Copy every row of the source into ``raw``, batch by batch.

    Raises
    ------
    BadValue
        Where PostgreSQL refuses a value, with what it said.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the engine's own driver
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, stage.raw.c.keys()))
    table = psycopg.sql.Identifier(stage.raw.name)
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, names)
    tables = ahead(map(conversion.table, source.batches()))
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy, closing(tables):
            copy.write(binary_copy.HEADER)
            for rows in tables:
                for part in binary_copy.encode(rows):
                    copy.write(part)
                conversion.findings.rows_read += len(rows)
                say("read", conversion.findings.rows_read, source.rows)
            copy.write(binary_copy.TRAILER)
    except psycopg.DataError as error:
        raise BadValue(f"{source.name}: {str(error).splitlines()[0]}") from None
    # Only what the plans turn on: statistics of geometries take longer than the work itself.
    connection.execute(sa.text(f"ANALYZE {stage.raw.name} (_row, _key, _s)"))


def fill_lacking(connection: Connection, stage: Stage, lacking: Iterable[str]) -> None:
    """Give rows the values that their feature has at their start, for columns the source lacks."""
    lacking = set(lacking)
    for family in stage.tables.families:
        names = [n for n in family.content if n in lacking]
        if not names:
            continue
        was = believed(family, ("_fid", "_valid_from", "_valid_to", *names)).subquery("was")
        raw = stage.raw
        connection.execute(
            sa.update(raw)
            .values({n: was.c[n] for n in names})
            .where(raw.c._key == was.c._fid, was.c._valid_from <= raw.c._s)
            .where(was.c._valid_to > raw.c._s)
        )


def check_rows(connection: Connection, stage: Stage, scope: Mapping[str, str]) -> None:
    """Refuse rows outside the scope, or without a value that the schema requires.

    Raises
    ------
    BadScope, BadValue
        With the rows.
    """
    raw, schema = stage.raw, stage.schema
    for name, value in scope.items():
        f = schema.find(name)
        assert f is not None  # noqa: S101 - the scope was checked
        outside = raw.c[name].is_distinct_from(sa.cast(value, column_type(f)))
        rows = connection.scalars(sa.select(raw.c._row).where(outside).order_by(raw.c._row)).all()
        if rows:
            raise BadScope(
                f"{len(rows)} rows lie outside the scope {name}={value}: rows {some(rows)}; "
                "take them out, or publish with another --scope"
            )
    for f in (*schema.stored, *schema.restricted):
        if f.required:
            where = raw.c[f.id].is_(None)
            rows = connection.scalars(sa.select(raw.c._row).where(where).order_by(raw.c._row)).all()
            if rows:
                raise BadValue(f"field {f.id} is required, and absent in rows {some(rows)}")


def set_starts(connection: Connection, stage: Stage, default: datetime) -> None:
    """Give the publish's own start to rows that state none, and refuse periods that end before.

    Raises
    ------
    BadPeriod
        With the rows.
    """
    raw = stage.raw
    connection.execute(sa.update(raw).values(_s=default).where(raw.c._s.is_(None)))
    wrong = sa.select(raw.c._row).where(raw.c._e <= raw.c._s).order_by(raw.c._row)
    rows = connection.scalars(wrong).all()
    if rows:
        raise BadPeriod(f"the period ends before it starts in rows {some(rows)}; mend them")


def make_ready(connection: Connection, stage: Stage) -> int:
    """Fill ``ready`` from ``raw``; return how many current shapes were kept."""
    raw, schema, ready = stage.raw, stage.schema, stage.ready
    fields = (*schema.stored, *schema.restricted)
    rows = sa.select(
        raw.c._row,
        raw.c._key.label("_fid"),
        raw.c._s,
        _end(stage).label("_e"),
        *(raw.c[f.id] for f in fields),
        raw.c._geom,
    ).subquery("rows")
    shaped = _with_kept_shapes(stage, rows)
    columns: dict[str, Any] = {c.name: c for c in shaped.c}
    columns |= hashes(stage, shaped.c)
    names = [c.key for c in ready.c if c.key in columns]
    query = sa.select(*(columns[n].label(n) for n in names)).select_from(shaped)
    connection.execute(sa.insert(ready).from_select(names, query))
    connection.execute(sa.text(f"CREATE INDEX ON {ready.name} (_fid)"))
    connection.execute(sa.text(f"ANALYZE {ready.name} (_row, _fid, _s, _e)"))
    kept = sa.select(sa.func.count()).select_from(ready).where(ready.c._kept)
    return connection.scalar(kept) or 0


def hashes(stage: Stage, columns: Any) -> dict[str, sa.ColumnElement[bytes]]:
    """Return the hashes of a staged row: of what is open, and of what is restricted."""
    tables = stage.tables
    found = {"_hash": family_hash(tables.open, columns)}
    if tables.restricted is not None:
        found["_hash_restricted"] = family_hash(tables.restricted, columns)
    return found


def check_ids_in_scope(connection: Connection, stage: Stage, scope: Mapping[str, str]) -> None:
    """Refuse rows whose id lives in the layer outside the scope.

    Raises
    ------
    BadScope
        With the ids.
    """
    if not scope or not stage.record.head:
        return
    names = ("_fid", "_valid_from", "_valid_to", *scope)
    elsewhere = believed(stage.tables.open, names).subquery("elsewhere")
    inside = scope_condition(elsewhere.c, stage.schema, scope)
    strangers = (
        sa.select(stage.ready.c._fid)
        .join(elsewhere, elsewhere.c._fid == stage.ready.c._fid)
        .where(sa.not_(inside))
        .distinct()
        .limit(NAMED)
    )
    ids = connection.scalars(strangers).all()
    if ids:
        raise BadScope(
            f"ids {', '.join(map(repr, ids))} live in the layer outside the scope; "
            "make the scope's field part of the key, or mend the ids"
        )


def ahead(items: Iterator[T]) -> Generator[T]:
    """Yield items, while a thread is at work on the next: reading goes on beside writing."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _end(stage: Stage) -> sa.ColumnElement[datetime]:
    """The end of a row's period: its own, the feature's next start in the source, or never."""
    raw = stage.raw.c
    following = sa.func.lead(raw._s).over(partition_by=raw._key, order_by=raw._s)
    # least() passes over NULL: no following start, no end of its own.
    ends = [sa.func.coalesce(raw._e, FOREVER), following]
    if stage.schema.kind is Kind.EVENT and stage.record.head:
        known = believed(stage.tables.open, ("_fid", "_valid_from")).subquery("known")
        ends.append(
            sa.select(sa.func.min(known.c._valid_from))
            .where(known.c._fid == raw._key, known.c._valid_from > raw._s)
            .scalar_subquery()
        )
    return sa.func.least(*ends)


def _with_kept_shapes(stage: Stage, rows: sa.Subquery) -> sa.Subquery:
    """The staged rows, each with the current geometry where that agrees within the tolerance."""
    tolerance = stage.schema.geometry_tolerance
    if not stage.record.head or not tolerance:
        plain = list(rows.c)
        return sa.select(*plain, sa.false().label("_kept")).subquery("shaped")
    names = ("_fid", "_valid_from", "_valid_to", "_geom")
    was = believed(stage.tables.open, names).subquery("was")
    covers = sa.and_(
        was.c._fid == rows.c._fid,
        was.c._valid_from <= rows.c._s,
        was.c._valid_to > rows.c._s,
    )
    same = sa.func.coalesce(same_shape(rows.c._geom, was.c._geom, tolerance), sa.false())
    letter = sa.func.coalesce(sa.cast(rows.c._geom.op("=")(was.c._geom), sa.Boolean), sa.false())
    inner = (
        sa.select(
            *(c for c in rows.c if c.name != "_geom"),
            rows.c._geom.label("_new"),
            was.c._geom.label("_old"),
            same.label("_same"),
            letter.label("_letter"),
        )
        .select_from(rows.outerjoin(was, covers))
        # A fence: the comparison is dear, and must not be worked out again for each use.
        .offset(0)
        .subquery("compared")
    )
    geom = sa.case((inner.c._same, inner.c._old), else_=inner.c._new)
    kept = sa.and_(inner.c._same, sa.not_(inner.c._letter))
    left = [c for c in inner.c if c.name not in ("_new", "_old", "_same", "_letter")]
    shaped = sa.select(
        *left, sa.type_coerce(geom, geometry_type(stage.schema)).label("_geom"), kept.label("_kept")
    ).offset(0)
    return shaped.subquery("shaped")


def some(rows: Iterable[int]) -> str:
    """Return the first row numbers as text, and how many more there are."""
    rows = list(rows)
    shown = ", ".join(str(r) for r in rows[:NAMED])
    return f"{shown} and {len(rows) - NAMED} more" if len(rows) > NAMED else shown
