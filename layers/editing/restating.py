"""Timelines from the store and back: what features are believed to be, and what they shall be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers.model import OPEN_REVISION, Layer
from layers.reading.timelines import FOREVER, Span, Timeline, side_by_side
from layers.tables import FOREVER as INFINITY
from layers.tables import INSTANT, Family, tables_of, temporary_table
from layers.writing.staging import Stage, create_stage, hashes
from layers.writing.versions import Assertions, plan_family


@dataclass
class Restatement:
    """The rows of a stage, and the absences beside them, that are being put together."""

    stage: Stage
    absent: sa.Table
    features: int = 0
    rows: int = 0


def begin(connection: Connection, record: Layer) -> Restatement:
    """Create the temporary tables; they go with the transaction."""
    absent = temporary_table(
        f"absent_{record.id}",
        sa.Column("_fid", sa.Text),
        sa.Column("_s", INSTANT),
        sa.Column("_e", INSTANT),
    )
    connection.execute(CreateTable(absent))
    return Restatement(create_stage(connection, record), absent)


def restate(
    connection: Connection,
    restatement: Restatement,
    timelines: Iterable[tuple[str, Timeline, Timeline]],
) -> None:
    """Stage what differs between what features were (first) and what they shall be (second)."""
    present: list[tuple[Any, ...]] = []
    absent: list[tuple[Any, ...]] = []
    raw = restatement.stage.raw.c.keys()
    for feature_id, was, now in timelines:
        restatement.features += 1
        for start, end, (old, new) in side_by_side(was, now):
            period = (feature_id, start, _stored(end))
            if old == new:
                continue
            if new is None:
                absent.append(period)
            else:
                restatement.rows += 1
                named = dict(zip(("_key", "_s", "_e"), period, strict=True))
                row = {**new, **named, "_row": restatement.rows}
                present.append(tuple(row.get(name) for name in raw))
    _copy(connection, restatement.stage.raw, present)
    _copy(connection, restatement.absent, absent)


def plan(connection: Connection, restatement: Restatement) -> tuple[Assertions, ...]:
    """Work out, for each family, what must be written for it."""
    stage, absent = restatement.stage, restatement.absent.c
    raw = stage.raw.c
    columns: dict[str, Any] = {c.key: c for c in raw if c.key in stage.ready.c}
    columns |= {"_fid": raw._key, **hashes(stage)}
    query = sa.select(*(c.label(n) for n, c in columns.items()))
    connection.execute(sa.insert(stage.ready).from_select(list(columns), query))
    gone = sa.select(absent._fid, absent._s, absent._e)
    return tuple(plan_family(connection, stage, f, gone) for f in stage.tables.families)


def read_timelines(
    connection: Connection,
    record: Layer,
    ids: Iterable[str],
    revision: int | None = None,
    *,
    open_only: bool = False,
) -> dict[str, Timeline]:
    """Return what features are believed to be, or were believed to be at a revision.

    Values go by field id, restricted ones among them, and ``_geom`` as the database writes it.
    """
    found: dict[str, Timeline] = {}
    ids = list(ids)
    families = tables_of(record).families
    for family in families[:1] if open_only else families:
        read = dict(_read_family(connection, family, ids, revision))
        if family.spatial:
            found = read
            continue
        blank = {f.id: None for f in family.fields}
        found = {key: _joined(line, read.get(key, ()), blank) for key, line in found.items()}
    return found


def _joined(line: Timeline, hidden: Timeline, blank: Mapping[str, Any]) -> Timeline:
    """A feature's open versions with the restricted values that hold in each part of them."""
    spans = [
        Span(start, end, {**shown, **(secret or blank)})
        for start, end, (shown, secret) in side_by_side(line, hidden)
        if shown is not None
    ]
    return tuple(spans)


def _read_family(
    connection: Connection, family: Family, ids: list[str], revision: int | None
) -> Iterator[tuple[str, Timeline]]:
    names = [f.id for f in family.fields]
    parts = [_select(family, t, names, ids, revision) for t in (family.live, family.history)]
    found: dict[str, list[Span]] = {}
    for row in connection.execute(sa.union_all(*parts)):
        values = dict(zip(row._fields[3:], row[3:], strict=True))
        found.setdefault(row._fid, []).append(Span(row._s, row._e or FOREVER, values))
    for key, spans in found.items():
        yield key, tuple(sorted(spans, key=lambda s: s.start))


def _select(
    family: Family, table: sa.Table, names: list[str], ids: list[str], revision: int | None
) -> sa.Select[Any]:
    c = table.c
    end: Any = c._valid_to
    where = [c._fid == sa.any_(sa.literal(ids, sa.ARRAY(sa.Text)))]
    if revision is None:
        where.append(c._rev_to == OPEN_REVISION)
    else:
        where += [c._rev_from <= revision, c._rev_to > revision]
        end = sa.case((c._rev_closed <= revision, c._valid_to), else_=INFINITY)
    shape = [sa.cast(c._geom, sa.Text).label("_geom")] if family.spatial else []
    return sa.select(
        c._fid,
        c._valid_from.label("_s"),
        sa.func.nullif(end, INFINITY, type_=INSTANT).label("_e"),
        *(c[n].label(n) for n in names),
        *shape,
    ).where(*where)


def _stored(end: datetime) -> datetime | str:
    return "infinity" if end == FOREVER else end


def _copy(connection: Connection, table: sa.Table, rows: list[tuple[Any, ...]]) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the engine's own driver
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, table.c.keys()))
    target = psycopg.sql.Identifier(table.name)
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(target, names)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
