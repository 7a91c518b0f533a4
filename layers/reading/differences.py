"""What differs between two snapshots of a layer: created, changed (which fields), retired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.model import Change, Layer, Version
from layers.readers import Reader
from layers.reading.features import Moment, Query, select_features, shown_to
from layers.reading.outputs import finite
from layers.reading.sights import FLAG

_STREAMED = 1000
Masks = Mapping[str, str]


def read_differences(
    connection: Connection,
    layer: Layer,
    reader: Reader,
    old: Moment,
    new: Moment,
    after: str | None = None,
) -> Iterator[Change]:
    """Yield the features that differ between two snapshots, in the order of their ids.

    Both snapshots select at most one version a feature (instants, not intervals). Fields that the
    reader may not see count as no difference, nor do those that only one of the two schemas has.

    Parameters
    ----------
    after : str, optional
        Only features whose ids come after this one.
    """
    fields = _common(layer, reader, old.revision, new.revision)
    masks = tuple(shown_to(layer, reader, moment, Query()).masks for moment in (old, new))
    query = Query()
    if old.when == new.when:
        low, high = sorted((old.revision, new.revision))
        # A version of which neither wrote is in both snapshots, and no feature has two in one.
        query = Query(touched=(low, high))
    before = select_features(layer, reader, old, query).subquery("before")
    then = select_features(layer, reader, new, query).subquery("after")
    select = _joined(before, then, fields, masks)
    if after is not None:
        select = select.where(sa.func.coalesce(before.c._fid, then.c._fid) > after)
    streaming = connection.execution_options(yield_per=_STREAMED)
    # Closed with the reading, also where nobody reads to the end.
    with streaming.execute(select) as rows:
        for row in rows:
            change = _change(row._mapping, fields, masks)
            if change is not None:
                yield change


def _common(layer: Layer, reader: Reader, old: int, new: int) -> tuple[str, ...]:
    """The fields that the schemas of both revisions have, of one type."""
    was = {(f.id, f.type) for f in reader.fields(layer.as_of(old))}
    now = reader.fields(layer.as_of(new))
    return tuple(f.id for f in now if (f.id, f.type) in was)


def _joined(
    before: sa.Subquery, after: sa.Subquery, fields: tuple[str, ...], masks: Sequence[Masks]
) -> sa.Select[Any]:
    columns: list[Any] = [sa.func.coalesce(before.c._fid, after.c._fid).label("_fid")]
    for side, prefix in ((before, "old"), (after, "new")):
        columns += [
            side.c._valid_from.label(f"{prefix}_from"),
            finite(side.c._valid_to).label(f"{prefix}_to"),
            sa.func.ST_AsBinary(side.c._geom, type_=sa.LargeBinary).label(f"{prefix}_geom"),
            *(side.c[n].label(f"{prefix}:{n}") for n in fields),
            *(c.label(f"{prefix}:{c.name}") for c in side.c if c.name.startswith(FLAG)),
        ]
    return (
        sa.select(*columns)
        .select_from(before.join(after, before.c._fid == after.c._fid, full=True))
        .where(
            sa.or_(
                before.c._hash.is_distinct_from(after.c._hash),
                *_veiled(before, after, fields, masks),
            )
        )
        .order_by(columns[0])
    )


def _veiled(
    before: sa.Subquery, after: sa.Subquery, fields: tuple[str, ...], masks: Sequence[Masks]
) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions under which a field is seen in only one of two versions that say the same."""
    old, new = masks
    for pair in dict.fromkeys((old.get(n), new.get(n)) for n in fields):
        if pair != (None, None):
            was, now = (
                sa.true() if mask is None else sa.func.coalesce(side.c[mask], sa.false())
                for side, mask in zip((before, after), pair, strict=True)
            )
            yield was.is_distinct_from(now)


def _change(row: Any, fields: tuple[str, ...], masks: Sequence[Masks]) -> Change | None:
    old, new = (
        _version(row, prefix, fields, mask)
        for prefix, mask in zip(("old", "new"), masks, strict=True)
    )
    if old is None or new is None:
        return Change(row["_fid"], "created" if old is None else "retired", (), old, new)
    differing = [n for n in fields if old.properties.get(n) != new.properties.get(n)]
    if old.geometry != new.geometry:
        differing.append("geometry")
    return Change(row["_fid"], "changed", tuple(differing), old, new) if differing else None


def _version(row: Any, prefix: str, fields: tuple[str, ...], masks: Masks) -> Version | None:
    start = row[f"{prefix}_from"]
    if start is None:
        return None
    seen = [n for n in fields if n not in masks or row[f"{prefix}:{masks[n]}"]]
    properties = {n: row[f"{prefix}:{n}"] for n in seen}
    end, geometry = row[f"{prefix}_to"], row[f"{prefix}_geom"]
    return Version(
        row["_fid"], start, end, properties, None if geometry is None else bytes(geometry)
    )
