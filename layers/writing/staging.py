"""From batches to one staged row a (feature, start): ids given, repeats settled, contents hashed.

Everything here happens in temporary tables of the publishing transaction; the store is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers.beliefs import Scope, believed
from layers.errors import BadPeriod, BadScope, BadValue, Forbidden
from layers.model import Kind, Layer, Schema
from layers.rows import binary_copy
from layers.rows.columns import Conversion
from layers.rows.known import hashed_rows, read_known
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
        The rows as the source has them, typed, with ``_key`` and the period where it states one,
        and the hashes of what they say: ``_hash`` is NULL where that is to be worked out anew.
    ready : Table
        One row a (feature, start), with its period and hashes; its content is that of its row in
        ``raw``, which is not written a second time.
    single : bool
        Whether it is known that no feature has several rows.
    """

    record: Layer
    raw: sa.Table
    ready: sa.Table
    single: bool = False

    @property
    def fresh(self) -> bool:
        """Whether the rows in ``raw`` can be written as they are: a first load, one a feature."""
        return self.single and not self.record.head

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
        sa.Column("_hash", sa.LargeBinary),
        sa.Column("_hash_restricted", sa.LargeBinary),
    )
    ready = temporary_table(
        f"ready_{layer_id}",
        sa.Column("_row", sa.BigInteger),
        sa.Column("_fid", sa.Text),
        sa.Column("_s", INSTANT),
        sa.Column("_e", INSTANT),
        sa.Column("_hash", sa.LargeBinary),
        sa.Column("_hash_restricted", sa.LargeBinary),
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
    # Of a stage that is to be compared, most rows are the layer's own.
    known = read_known(connection, stage.tables.open) if stage.record.head else None
    hashed = (hashed_rows(conversion, b, stage.tables, known) for b in source.batches())
    tables = ahead(hashed)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy, closing(tables):
            copy.write(binary_copy.HEADER)
            for rows in tables:
                for part in binary_copy.encode(rows):
                    copy.write(part)
                conversion.findings.rows_read += len(rows)
                say("read", conversion.findings.rows_read, source.rows)
            copy.write(binary_copy.TRAILER)
    except psycopg.errors.CharacterNotInRepertoire as error:
        raise BadValue(
            f"{source.name} has text that is not in the encoding which it states "
            f"({str(error).splitlines()[0]}); say the right one with --encoding, such as GB18030"
        ) from None
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
            .values({n: was.c[n] for n in names} | {"_hash": sa.null()})
            .where(raw.c._key == was.c._fid, was.c._valid_from <= raw.c._s)
            .where(was.c._valid_to > raw.c._s)
        )


def check_rows(connection: Connection, stage: Stage, scope: Mapping[str, str]) -> None:
    """Refuse rows outside the scope, without a required value, or whose period is none.

    Raises
    ------
    BadScope, BadValue, BadPeriod
        With the rows.
    """
    raw, schema = stage.raw.c, stage.schema
    conditions: dict[str, sa.ColumnElement[bool]] = {"period": _no_period(stage)}
    for f in (*schema.stored, *schema.restricted):
        if f.required:
            conditions[f"required {f.id}"] = raw[f.id].is_(None)
        if f.id in scope:
            stated = sa.cast(scope[f.id], column_type(f))
            conditions[f"scope {f.id}"] = raw[f.id].is_distinct_from(stated)
    found = _find_rows(connection, stage.raw, conditions)
    _refuse_periods(found)
    for name, value in scope.items():
        if rows := found.get(f"scope {name}"):
            raise BadScope(
                f"{len(rows)} rows lie outside the scope {name}={value}: rows {some(rows)}; "
                "take them out, or publish with another --scope"
            )
    for f in (*schema.stored, *schema.restricted):
        if rows := found.get(f"required {f.id}"):
            raise BadValue(f"field {f.id} is required, and absent in rows {some(rows)}")


def check_periods(connection: Connection, stage: Stage) -> None:
    """Refuse rows whose period is none, as `check_rows` does.

    Raises
    ------
    BadPeriod
        With the rows.
    """
    _refuse_periods(_find_rows(connection, stage.raw, {"period": _no_period(stage)}))


def _no_period(stage: Stage) -> sa.ColumnElement[bool]:
    return stage.raw.c._e <= stage.raw.c._s


def _refuse_periods(found: Mapping[str, Sequence[int]]) -> None:
    if "period" in found:
        rows = some(found["period"])
        raise BadPeriod(f"the period ends before it starts in rows {rows}; mend them")


def _find_rows(
    connection: Connection, raw: sa.Table, conditions: Mapping[str, sa.ColumnElement[bool]]
) -> dict[str, Sequence[int]]:
    """Return the rows of each condition that holds anywhere; one pass finds out which do."""
    any_row = [sa.func.bool_or(c) for c in conditions.values()]
    holds = connection.execute(sa.select(*any_row).select_from(raw)).one()
    return {
        name: connection.scalars(sa.select(raw.c._row).where(where).order_by(raw.c._row)).all()
        for (name, where), somewhere in zip(conditions.items(), holds, strict=True)
        if somewhere
    }


def without_repeats(connection: Connection, stage: Stage) -> Stage:
    """Return the stage, told whether its features have one row each, which saves work."""
    key = stage.raw.c._key
    repeated = sa.select(key).group_by(key).having(sa.func.count() > 1).limit(1)
    return replace(stage, single=connection.scalar(repeated) is None)


def make_ready(connection: Connection, stage: Stage) -> int:
    """Fill ``ready`` from ``raw``, where that is needed; return how many shapes were kept."""
    if stage.fresh:
        return 0
    kept = _keep_shapes(connection, stage)
    raw, ready = stage.raw.c, stage.ready
    columns: dict[str, Any] = {"_row": raw._row, "_fid": raw._key, "_s": raw._s, "_e": raw._e}
    columns |= hashes(stage)
    # A fence: what sorts the rows by feature and start must not carry their contents along.
    rows = sa.select(*(c.label(n) for n, c in columns.items())).offset(0).subquery("rows")
    columns = {n: rows.c[n] for n in columns} | {"_e": _end(stage, rows.c)}
    query = sa.select(*(c.label(n) for n, c in columns.items()))
    connection.execute(sa.insert(ready).from_select(list(columns), query))
    connection.execute(sa.text(f"ANALYZE {ready.name} (_row, _fid, _s, _e)"))
    return kept


def hashes(stage: Stage) -> dict[str, sa.ColumnElement[bytes]]:
    """Return the hashes of what a staged row says openly, and in restricted fields, if in any."""
    raw, tables = stage.raw.c, stage.tables
    stale = raw._hash.is_(None)
    found: dict[str, Any] = {"_hash": sa.func.coalesce(raw._hash, family_hash(tables.open, raw))}
    if tables.restricted is not None:
        nothing = sa.and_(sa.true(), *(raw[f.id].is_(None) for f in tables.restricted.fields))
        anew = sa.case((nothing, sa.null()), else_=family_hash(tables.restricted, raw))
        found["_hash_restricted"] = sa.case((stale, anew), else_=raw._hash_restricted)
    return found


def check_ids_in_scope(connection: Connection, stage: Stage, scope: Scope) -> None:
    """Refuse rows whose id lives in the layer outside the scope.

    Raises
    ------
    BadScope, Forbidden
        With the ids; forbidden where the scope is that of a writer's territories.
    """
    if not scope or not stage.record.head:
        return
    names = ("_fid", "_valid_from", "_valid_to", *scope.names(stage.record))
    elsewhere = believed(stage.tables.open, names).subquery("elsewhere")
    outside = sa.not_(Scope(scope.equal).condition(elsewhere.c, stage.record))
    # A feature may have come from elsewhere: what it was there is not what the rows speak of.
    own = Scope({}, scope.territories).condition(elsewhere.c, stage.record)
    ready, e = stage.ready.c, elsewhere.c
    # What has no code or no shape lies in no territory.
    own = sa.func.coalesce(own, sa.false())
    abroad = sa.and_(sa.not_(own), ready._s < e._valid_to, ready._e > e._valid_from)
    strangers = (
        sa.select(stage.ready.c._fid)
        .join(elsewhere, elsewhere.c._fid == stage.ready.c._fid)
        .where(sa.or_(outside, abroad))
        .distinct()
        .limit(NAMED)
    )
    ids = connection.scalars(strangers).all()
    if ids and scope.territories:
        raise Forbidden(
            f"{', '.join(map(repr, ids))} of {stage.record.id}: not yours to write, or outside the "
            "scope; nothing was written. Leave them out, or apply for their area"
        )
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


def _end(stage: Stage, rows: Any) -> sa.ColumnElement[datetime]:
    """The end of a row's period: its own, the feature's next start in the source, or never."""
    # least() passes over NULL: no following start, no end of its own.
    ends: list[Any] = [sa.func.coalesce(rows._e, FOREVER)]
    if not stage.single:
        ends.append(sa.func.lead(rows._s).over(partition_by=rows._fid, order_by=rows._s))
    if stage.schema.kind is Kind.EVENT and stage.record.head:
        known = believed(stage.tables.open, ("_fid", "_valid_from")).subquery("known")
        ends.append(
            sa.select(sa.func.min(known.c._valid_from))
            .where(known.c._fid == rows._fid, known.c._valid_from > rows._s)
            .scalar_subquery()
        )
    return sa.func.least(*ends)


def _keep_shapes(connection: Connection, stage: Stage) -> int:
    """Give rows the current geometry where theirs agrees within the tolerance; return how many."""
    tolerance, raw = stage.schema.geometry_tolerance, stage.raw
    if not stage.record.head or not tolerance:
        return 0
    names = ("_fid", "_valid_from", "_valid_to", "_geom")
    was = believed(stage.tables.open, names).subquery("was")
    done = connection.execute(
        sa.update(raw)
        .values(_geom=was.c._geom, _hash=sa.null())
        .where(raw.c._key == was.c._fid)
        .where(was.c._valid_from <= raw.c._s, was.c._valid_to > raw.c._s)
        .where(sa.not_(sa.cast(raw.c._geom.op("=")(was.c._geom), sa.Boolean)))
        .where(same_shape(raw.c._geom, was.c._geom, tolerance))
    )
    return done.rowcount


def some(rows: Iterable[int]) -> str:
    """Return the first row numbers as text, and how many more there are."""
    rows = list(rows)
    shown = ", ".join(str(r) for r in rows[:NAMED])
    return f"{shown} and {len(rows) - NAMED} more" if len(rows) > NAMED else shown
