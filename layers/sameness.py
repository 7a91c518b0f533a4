"""When two contents are the same: the hash of a row, and shapes that agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from layers.model import Field, FieldType

HASH_VERSION = 1


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
