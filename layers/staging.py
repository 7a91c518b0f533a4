"""From batches to one staged row a (feature, start): ids given, repeats settled, contents hashed.

Everything here happens in temporary tables of the publishing transaction; the store is only read.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers.columns import Conversion
from layers.errors import BadKey, BadPeriod, BadScope, BadValue
from layers.model import OPEN_REVISION, Duplicates, Field, FieldType, Kind, Layer, Role, Schema
from layers.report import Findings, RepeatedKey
from layers.sources import Source
from layers.tables import (
    FOREVER,
    INSTANT,
    Family,
    LayerTables,
    column_type,
    geometry_type,
    layer_tables,
    temporary_table,
)

Progress = Callable[[str, int, int | None], None]
HASH_VERSION = 1
_NAMED = 20
# Begins the keys of rows that have none yet; a key of the source can't begin so.
_UNNAMED = "~~"


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
        return layer_tables(self.record.id, self.schema)


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
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, names)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for batch in source.batches():
                copy.write(_csv(conversion.table(batch)))
                conversion.findings.rows_read += len(batch)
                say("read", conversion.findings.rows_read, source.rows)
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


def give_ids(
    connection: Connection, stage: Stage, scope: Mapping[str, str], findings: Findings
) -> None:
    """Give each row without a key the id of the keyless feature it is, or a new one."""
    raw = stage.raw
    rows = connection.scalars(
        sa.select(raw.c._row).where(raw.c._key.is_(None)).order_by(raw.c._row)
    )
    for row in rows:
        findings.without_key.add(row, "no key: matched by geometry and content")
    if not findings.without_key.count:
        return
    # Until it has an id, a row goes by the hash of its content: what is drawn twice is one thing.
    digest: Any = sa.func.encode(row_hash(stage.schema.stored, raw.c, spatial=True), "hex")
    by_hash = sa.literal(_UNNAMED).op("||")(digest)
    connection.execute(sa.update(raw).values(_key=by_hash).where(raw.c._key.is_(None)))
    if stage.record.head:
        # Where several are alike each round pairs what is left, until nothing more pairs.
        while connection.execute(_match_keyless(stage, scope)).rowcount:
            pass
    for salt in itertools.count():
        connection.execute(_name_keyless(stage, salt))
        if not connection.scalar(sa.select(sa.exists().where(raw.c._key.startswith(_UNNAMED)))):
            break


def settle_repeats(
    connection: Connection, stage: Stage, policy: Duplicates, findings: Findings
) -> None:
    """Find rows that share a key and a start, and do with them what the publisher chose.

    Raises
    ------
    BadKey
        Where the choice is to refuse them: the keys, with their rows.
    """
    raw = stage.raw
    repeats = connection.execute(_repeats(stage)).all()
    if not repeats:
        return
    names = [f.id for f in stage.schema.stored]
    refused = [r for r in repeats if policy is Duplicates.REFUSE and not r.key.startswith("~")]
    if refused:
        first = "; ".join(f"{r.key!r} in rows {_some(r.rows)}" for r in refused[:_NAMED])
        raise BadKey(
            f"{len(refused)} keys are repeated: {first}; choose --duplicates merge, first or last"
        )
    for r in repeats:
        # Keyless rows repeat only where shape and content do: one thing, drawn twice.
        outcome = "first" if policy is Duplicates.REFUSE else policy.value
        differing = [n for n in names if getattr(r, f"n_{n}") > 1]
        findings.repeated.append(RepeatedKey(r.key, list(r.rows), outcome, differing))
    findings.repeated.sort(key=lambda k: k.id)
    if policy is Duplicates.MERGE:
        connection.execute(_merge_geometry(stage))
    keep_last = policy is Duplicates.LAST
    other = raw.alias("other")
    later = other.c._row > raw.c._row if keep_last else other.c._row < raw.c._row
    connection.execute(
        sa.delete(raw).where(
            sa.exists().where(
                other.c._key == raw.c._key, other.c._s.is_not_distinct_from(raw.c._s), later
            )
        )
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
                f"{len(rows)} rows lie outside the scope {name}={value}: rows {_some(rows)}; "
                "take them out, or publish with another --scope"
            )
    for f in (*schema.stored, *schema.restricted):
        if f.required:
            where = raw.c[f.id].is_(None)
            rows = connection.scalars(sa.select(raw.c._row).where(where).order_by(raw.c._row)).all()
            if rows:
                raise BadValue(f"field {f.id} is required, and absent in rows {_some(rows)}")


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
        raise BadPeriod(f"the period ends before it starts in rows {_some(rows)}; mend them")


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
    columns["_hash"] = row_hash(schema.stored, shaped.c, spatial=True)
    columns["_hash_restricted"] = row_hash(schema.restricted, shaped.c, spatial=False)
    names = list(ready.c.keys())
    query = sa.select(*(columns[n].label(n) for n in names)).select_from(shaped)
    connection.execute(sa.insert(ready).from_select(names, query))
    connection.execute(sa.text(f"CREATE INDEX ON {ready.name} (_fid)"))
    connection.execute(sa.text(f"ANALYZE {ready.name} (_row, _fid, _s, _e)"))
    kept = sa.select(sa.func.count()).select_from(ready).where(ready.c._kept)
    return connection.scalar(kept) or 0


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
        .limit(_NAMED)
    )
    ids = connection.scalars(strangers).all()
    if ids:
        raise BadScope(
            f"ids {', '.join(map(repr, ids))} live in the layer outside the scope; "
            "make the scope's field part of the key, or mend the ids"
        )


def scope_condition(
    columns: sa.ColumnCollection[Any, Any] | Any, schema: Schema, scope: Mapping[str, str]
) -> sa.ColumnElement[bool]:
    """Return the condition that a row lies in a scope (equality on each of its fields)."""
    conditions = []
    for name, value in scope.items():
        f = schema.find(name)
        assert f is not None  # noqa: S101 - the scope was checked
        conditions.append(columns[name].is_not_distinct_from(sa.cast(value, column_type(f))))
    return sa.and_(sa.true(), *conditions)


def believed(family: Family, names: Iterable[str]) -> sa.CompoundSelect[Any]:
    """Select what is believed now about every time: the live rows, and the past of the world."""
    live, history = family.live.c, family.history.c
    names = tuple(names)
    return sa.union_all(
        sa.select(*(live[n] for n in names)),
        sa.select(*(history[n] for n in names)).where(history._rev_to == OPEN_REVISION),
    )


def row_hash(fields: Iterable[Field], columns: Any, *, spatial: bool) -> sa.ColumnElement[bytes]:
    """Return the hash of a row's content: its fields, and its geometry where it has one."""
    encoded = encoding(fields, columns)
    if not spatial:
        return sa.func.sha256(encoded)
    shape = sa.case(
        (columns._geom.is_(None), sa.literal(b"N", sa.LargeBinary)),
        else_=sa.literal(b"G", sa.LargeBinary).op("||")(sa.func.ST_AsEWKB(columns._geom)),
    )
    return sa.func.sha256(encoded.op("||")(shape))


def encoding(fields: Iterable[Field], columns: Any) -> sa.ColumnElement[bytes]:
    """Return the bytes that are hashed for a row's fields.

    Each field is its id, then ``N`` for NULL or ``V``, the length of its text and the text: no two
    rows that differ give the same bytes. The version comes first, so that another encoding can
    never be taken for this one.
    """
    parts: list[Any] = [sa.literal(f"{HASH_VERSION}")]
    for f in fields:
        text = _stable_text(f, columns[f.id])
        value = sa.func.concat("V", sa.func.octet_length(text), ":", text)
        parts += [sa.literal(f"|{f.id}="), sa.case((columns[f.id].is_(None), "N"), else_=value)]
    return sa.func.convert_to(sa.func.concat(*parts), "UTF8")


def _stable_text(f: Field, column: Any) -> sa.ColumnElement[str]:
    if f.type is FieldType.INSTANT:
        epoch = sa.func.extract("epoch", column) * 1_000_000
        return sa.cast(sa.cast(epoch, sa.BigInteger), sa.Text)
    return sa.cast(column, sa.Text)


def _csv(table: pa.Table) -> bytes:
    out = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(table, out, options)
    return out.getvalue()


def _repeats(stage: Stage) -> sa.Select[Any]:
    raw = stage.raw.c
    different = [
        sa.func.count(sa.distinct(sa.func.coalesce(sa.cast(raw[f.id], sa.Text), "\x01"))).label(
            f"n_{f.id}"
        )
        for f in stage.schema.stored
    ]
    repeated = (
        sa.select(raw._key, raw._s).group_by(raw._key, raw._s).having(sa.func.count() > 1)
    ).subquery("repeated")
    same = sa.and_(repeated.c._key == raw._key, repeated.c._s.is_not_distinct_from(raw._s))
    rows = sa.func.array_agg(aggregate_order_by(raw._row, raw._row)).label("rows")
    return (
        sa.select(raw._key.label("key"), rows, *different)
        .join_from(stage.raw, repeated, same)
        .group_by(raw._key, raw._s)
    )


def _merge_geometry(stage: Stage) -> sa.Update:
    raw, schema = stage.raw, stage.schema
    dimension = {"Point": 1, "LineString": 2, "Polygon": 3}[
        schema.geometry.removesuffix("Z").removeprefix("Multi")
    ]
    union = sa.func.ST_UnaryUnion(sa.func.ST_Collect(raw.c._geom))
    whole = sa.func.ST_Multi(sa.func.ST_CollectionExtract(union, dimension))
    pieces = (
        sa.select(raw.c._key, raw.c._s, whole.label("_geom"))
        .group_by(raw.c._key, raw.c._s)
        .having(sa.func.count() > 1)
        .subquery("pieces")
    )
    return (
        sa.update(raw)
        .values(_geom=pieces.c._geom)
        .where(raw.c._key == pieces.c._key, raw.c._s.is_not_distinct_from(pieces.c._s))
    )


def _name_keyless(stage: Stage, salt: int) -> sa.Update:
    """Rows that are no feature yet get a name from their content, unless it is taken.

    It can be, by the feature that had this content first and has another now.
    """
    raw, other = stage.raw, stage.raw.alias("other").c
    text: Any = sa.func.substr(raw.c._key, len(_UNNAMED) + 1)
    if salt:
        salted = sa.func.convert_to(text.op("||")(f"#{salt}"), "UTF8")
        text = sa.func.encode(sa.func.sha256(salted), "hex")
    name = sa.literal("~").op("||")(sa.func.left(text, 16))
    taken = sa.select(other._key).where(sa.not_(other._key.startswith(_UNNAMED)))
    unnamed = raw.c._key.startswith(_UNNAMED)
    return sa.update(raw).values(_key=name).where(unnamed, name.not_in(taken))


def _match_keyless(stage: Stage, scope: Mapping[str, str]) -> sa.Update:
    """Rows without a key take the id of a keyless feature of the same shape, if one is free.

    An event is the same only where it was reported at the same time: many happen in one place.
    """
    raw, tolerance = stage.raw, stage.schema.geometry_tolerance or 0.0
    live = stage.tables.open.live
    same_fields = sa.and_(
        sa.true(),
        *(raw.c[f.id].is_not_distinct_from(live.c[f.id]) for f in stage.schema.stored),
    )
    near = sa.and_(
        live.c._geom.op("&&")(sa.func.ST_Expand(raw.c._geom, tolerance)),
        same_shape(raw.c._geom, live.c._geom, tolerance),
    )
    taken = raw.alias("taken")
    free = sa.not_(sa.exists().where(taken.c._key == live.c._fid))
    inside = scope_condition(live.c, stage.schema, scope)
    together = sa.and_(
        sa.true(),
        *(
            raw.c[f.id].is_not_distinct_from(live.c[f.id])
            for f in stage.schema.with_role(Role.EVENT_START)
        ),
    )
    candidates = (
        sa.select(raw.c._row, raw.c._key, live.c._fid, same_fields.label("same"))
        .where(raw.c._key.startswith(_UNNAMED), live.c._fid.like("~%"), free, inside, together)
        .where(sa.or_(near, sa.and_(raw.c._geom.is_(None), live.c._geom.is_(None), same_fields)))
        .subquery("candidates")
    )
    c = candidates.c
    best = _first_of(candidates, c._key, (c.same.desc(), c._fid, c._row))
    once = _first_of(best, best.c._fid, (best.c.same.desc(), best.c._row))
    return sa.update(raw).values(_key=once.c._fid).where(raw.c._key == once.c._key)


def _first_of(rows: sa.Subquery, group: Any, order: tuple[Any, ...]) -> sa.Subquery:
    """The first row of each group."""
    place = sa.func.row_number().over(partition_by=group, order_by=order).label("_place")
    placed = sa.select(*(c for c in rows.c if c.name != "_place"), place).subquery()
    return sa.select(*placed.c).where(placed.c._place == 1).subquery()


def same_shape(new: Any, old: Any, tolerance: float) -> sa.ColumnElement[bool]:
    """Return whether two geometries agree: to the letter, or within the tolerance.

    Compared by the Hausdorff distance of their vertices and edges, behind a comparison of their
    boxes, which answers for most pairs that differ.
    """
    if not tolerance:
        return sa.cast(new.op("=")(old), sa.Boolean)
    grown_new = sa.func.ST_Expand(new, tolerance)
    grown_old = sa.func.ST_Expand(old, tolerance)
    close = sa.and_(
        old.op("@")(grown_new),
        new.op("@")(grown_old),
        sa.func.ST_HausdorffDistance(new, old) <= tolerance,
    )
    return sa.case(
        (new.op("=")(old), sa.true()), (sa.func.ST_IsEmpty(old), sa.false()), else_=close
    )


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


def _some(rows: Iterable[int]) -> str:
    rows = list(rows)
    shown = ", ".join(str(r) for r in rows[:_NAMED])
    return f"{shown} and {len(rows) - _NAMED} more" if len(rows) > _NAMED else shown
