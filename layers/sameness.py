"""When two contents are the same: the hash of a row, and shapes that agree."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import sqlalchemy as sa

from layers.model import FieldType
from layers.tables import Family

HASH_VERSION = 2
# PostgreSQL passes 100 to a function at most.
_ARGUMENTS = 90
# Before a row's shape, or in its place.
PRESENT, ABSENT = b"G", b"N"
_FIRST_DAY = date(1970, 1, 1)
Typed = Iterable[tuple[str, FieldType]]


def row_hash(
    fields: Typed, columns: Any, *, spatial: bool, names: Any = None
) -> sa.ColumnElement[bytes]:
    """Return the hash of a row's content: its fields, and its geometry where it has one.

    Parameters
    ----------
    fields : iterable of (str, FieldType)
        Keys of the columns, and their types.
    columns : column collection
        Where the values are.
    names : column collection, optional
        Where the columns' lasting names are: those of the layer's own tables; the keys themselves
        where absent.
    """
    encoded = encoding(fields, columns, names)
    if not spatial:
        return sa.func.sha256(encoded)
    shape = sa.case(
        (columns._geom.is_(None), sa.literal(ABSENT, sa.LargeBinary)),
        else_=sa.literal(PRESENT, sa.LargeBinary).op("||")(
            sa.func.ST_AsBinary(columns._geom, "NDR")
        ),
    )
    return sa.func.sha256(encoded.op("||")(shape))


def family_hash(family: Family, columns: Any) -> sa.ColumnElement[bytes]:
    """Return the hash of rows that are about to be a family's, from columns keyed by field id."""
    fields = [(f.id, f.type) for f in family.fields]
    return row_hash(fields, columns, spatial=family.spatial, names=family.live.c)


def encoding(fields: Typed, columns: Any, names: Any = None) -> sa.ColumnElement[bytes]:
    """Return the bytes that are hashed for a row's fields.

    Each field that has a value is the name of its column and the value, texts in SQL's quotes, in
    the order of the names; a NULL is nothing at all. No two rows that differ give the same bytes,
    and a row keeps its hash when its layer gains a field. The version comes first, so that another
    encoding can never be taken for this one.
    """
    named = sorted((key if names is None else names[key].name, key, kind) for key, kind in fields)
    parts: list[Any] = [sa.literal(f"{HASH_VERSION}")]
    for name, key, kind in named:
        # A NULL anywhere in || is NULL, and concat() passes over it.
        parts.append(sa.literal(f"|{name}=").op("||")(_stable_text(kind, columns[key])))
    groups = [parts[n : n + _ARGUMENTS] for n in range(0, len(parts), _ARGUMENTS)]
    texts = groups[0] if len(groups) == 1 else [sa.func.concat(*group) for group in groups]
    return sa.func.convert_to(sa.func.concat(*texts, "|"), "UTF8")


def content_hash(family: Family, columns: Any) -> sa.ColumnElement[bytes]:
    """Return the hash of what a stored row says in the fields of the schema in force.

    That is the stored hash, unless the row has a value in a field that was retired since.
    """
    if not family.former:
        whole: sa.ColumnElement[bytes] = columns._hash
        return whole
    gone = sa.or_(*(columns[key].is_not(None) for key, _ in family.former))
    return sa.case((gone, family_hash(family, columns)), else_=columns._hash)


def _stable_text(kind: FieldType, column: Any) -> sa.ColumnElement[str]:
    if kind is FieldType.TEXT:
        # It says where it ends, whatever is in it, for less than a length would take.
        return sa.func.quote_literal(column)
    if kind is FieldType.INSTANT:
        epoch = sa.func.extract("epoch", column) * 1_000_000
        return sa.cast(sa.cast(epoch, sa.BigInteger), sa.Text)
    if kind is FieldType.NUMBER:
        return sa.func.encode(sa.func.float8send(column), "hex")
    if kind is FieldType.DATE:
        return sa.cast(column - sa.literal(_FIRST_DAY), sa.Text)
    return sa.cast(column, sa.Text)


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
