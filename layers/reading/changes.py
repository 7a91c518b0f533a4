"""What revisions did, version by version: asserted and retracted, so that a replay gives the same.

Where a revision learned the end of a version that was open, that is one version retracted and a
shorter one asserted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.model import OPEN_REVISION, Layer, Version, VersionChange
from layers.readers import Reader
from layers.reading.features import Query, select_features, shown_to
from layers.reading.moments import Moment, touched_between
from layers.reading.outputs import as_wkb, finite
from layers.reading.sights import Eye, Shown, masked, shown
from layers.reading.timelines import FOREVER as FOREVER_SEEN
from layers.reading.timelines import Span, Timeline, side_by_side
from layers.tables import FOREVER, tables_of
from layers.tables import revision as revision_table

ASSERTED, RETRACTED = "asserted", "retracted"
_STREAMED = 2000
# Features touched: of so many, what was done to them is put in order at once.
_SORTED = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of changes: that of one of them."""

    revision: int
    feature: str
    start: datetime
    asserted: bool

    @classmethod
    def of(cls, change: VersionChange) -> Place:
        """Return the place of a change."""
        version = change.version
        asserted = change.kind == ASSERTED
        return cls(change.revision, version.id, version.valid_from, asserted)

    def is_before(self, change: VersionChange) -> bool:
        """Return whether a change of the same revision and feature comes later, or of another."""
        own, other = self, Place.of(change)
        if (own.revision, own.feature) != (other.revision, other.feature):
            return True
        return (own.start, own.asserted) < (other.start, other.asserted)


def read_changes(
    connection: Connection,
    record: Layer,
    reader: Reader,
    first: int,
    last: int,
    after: Place | None = None,
) -> Iterator[VersionChange]:
    """Yield what the revisions after one, up to another, did; each under its own schema.

    In the order of revision, feature and start, a retraction before an assertion. What a reader
    can't tell apart, because only fields differ that are not the reader's, is no change.

    Parameters
    ----------
    after : Place, optional
        Only what comes after it: a stream that broke off goes on there.
    """
    if after is not None:
        first = max(first, after.revision - 1)
    for low, high in _segments(connection, record, first, last):
        then = record.as_of(high)
        sight = reader.sight(then)
        what = shown(then, sight, restricted=False)
        streaming = connection.execution_options(yield_per=_STREAMED)
        select = _select(Eye(then, sight), what, low, high, after)
        # Closed with the reading, also where nobody reads to the end.
        with streaming.execute(select) as rows:
            for _, group in itertools.groupby(rows, key=lambda row: (row.revision, row._fid)):
                seen = _visible([_change(row, what) for row in group])
                yield from (c for c in seen if after is None or after.is_before(c))


def read_feature_changes(
    connection: Connection, record: Layer, reader: Reader, revision: int
) -> Iterator[tuple[str, str]]:
    """Yield the features that a revision created, changed or retired, and which of these.

    As far as the reader sees: of a feature that moved into a county, the county sees it created.
    """
    # Of both revisions what both schemas have; a field that one lacks has no value in the other.
    then = record.as_of(revision)
    family = tables_of(then).open
    ids = sa.select(touched_between([family], revision - 1, revision).subquery().c._fid)
    every = list(connection.scalars(ids.order_by("_fid")))
    for first in range(0, len(every), _STREAMED):
        part = every[first : first + _STREAMED]
        before, after = (
            _timelines(connection, record, reader, part, r) for r in (revision - 1, revision)
        )
        for key in part:
            kind = _kind(before.get(key, ()), after.get(key, ()))
            if kind is not None:
                yield key, kind


def _timelines(
    connection: Connection, record: Layer, reader: Reader, ids: list[str], revision: int
) -> dict[str, Timeline]:
    if revision < 1:
        return {}
    moment = Moment(revision, None, FOREVER_SEEN)
    query = Query(ids=ids)
    what = shown_to(record, reader, moment, query)
    found: dict[str, list[Span]] = {}
    for row in connection.execute(as_wkb(select_features(record, reader, moment, query))):
        values = {k: v for k, v in what.properties(row).items() if v is not None}
        shape = None if row._geom is None else bytes(row._geom)
        span = Span(row._valid_from, row._valid_to or FOREVER_SEEN, values | {"": shape})
        found.setdefault(row._fid, []).append(span)
    return {key: tuple(spans) for key, spans in found.items()}


def _kind(before: Any, after: Any) -> str | None:
    """Created: never believed before. Retired: absences are all that differs. Changed: the rest."""
    news = [(b, a) for *_, (b, a) in side_by_side(before, after) if b != a]
    if not news:
        return None
    if not before:
        return "created"
    return "retired" if all(a is None for _, a in news) else "changed"


def _segments(
    connection: Connection, record: Layer, first: int, last: int
) -> Iterator[tuple[int, int]]:
    """The stretches of revisions that share a schema, each as (before its first, its last).

    None is much longer than what is put in order in a moment, unless it is one large revision.
    """
    starts = {since - 1 for since, _ in record.schemas}
    low, touched = first, 0
    for number, n in _sizes(connection, record, first, last):
        if low < number - 1 and (number - 1 in starts or touched + n > _SORTED):
            yield low, number - 1
            low, touched = number - 1, 0
        touched += n
    if low < last:
        yield low, last


def _sizes(connection: Connection, record: Layer, first: int, last: int) -> list[tuple[int, int]]:
    """The revisions after one, up to another, each with how many features it touched."""
    c = revision_table.c
    touched = (c.n_created + c.n_changed + c.n_retired).label("touched")
    select = sa.select(c.number, touched).where(c.layer_id == record.id)
    rows = connection.execute(select.where(c.number > first, c.number <= last).order_by(c.number))
    return [(row.number, row.touched) for row in rows]


def _select(eye: Eye, what: Shown, low: int, high: int, after: Place | None) -> sa.Select[Any]:
    family = tables_of(eye.layer).open
    parts = [
        part
        for table in (family.live, family.history)
        for part in _events(table, eye, what, low, high)
    ]
    events = sa.union_all(*parts).subquery("events")
    c = events.c
    shape = sa.func.ST_AsBinary(c._geom, type_=sa.LargeBinary).label("_geom")
    others = [column for column in c if column.name not in ("_geom", "_e")]
    order = (c.revision, c._fid, c._s, c.asserted)
    select = sa.select(*others, finite(c._e).label("_e"), shape).order_by(*order)
    if after is None or after.revision <= low:
        return select
    key = sa.tuple_(sa.literal(after.revision, sa.Integer), sa.literal(after.feature, sa.Text))
    return select.where(sa.tuple_(c.revision, c._fid) >= key)


def _events(
    table: sa.Table, eye: Eye, what: Shown, low: int, high: int
) -> Iterator[sa.Select[Any]]:
    c = table.c

    def within(column: Any) -> Any:
        return sa.and_(column > low, column <= high)

    def event(revision: Any, asserted: bool, end: Any) -> sa.Select[Any]:
        seen = eye.flags(c, end, what)
        return sa.select(
            revision.label("revision"),
            sa.literal(asserted).label("asserted"),
            c._fid,
            eye.start(c._valid_from).label("_s"),
            eye.end(end).label("_e"),
            *(masked(c[f.id], seen.get(what.masks.get(f.id, ""))) for f in what.fields),
            *(condition.label(name) for name, condition in seen.items()),
            sa.type_coerce(c._geom, sa.LargeBinary).label("_geom"),
        ).where(*eye.rows(c, end))

    first_end = sa.case((c._rev_closed <= c._rev_from, c._valid_to), else_=FOREVER)
    closed_later = sa.and_(within(c._rev_closed), c._rev_closed > c._rev_from)
    yield event(c._rev_from, True, first_end).where(within(c._rev_from))
    yield event(c._rev_closed, False, FOREVER).where(closed_later)
    yield event(c._rev_closed, True, c._valid_to).where(closed_later)
    if table.schema == "history":
        gone = sa.and_(c._rev_to < OPEN_REVISION, within(c._rev_to))
        yield event(c._rev_to, False, c._valid_to).where(gone)


def _change(row: sa.Row[Any], what: Shown) -> VersionChange:
    geometry = None if row._geom is None else bytes(row._geom)
    version = Version(row._fid, row._s, row._e, what.properties(row), geometry)
    return VersionChange(row.revision, ASSERTED if row.asserted else RETRACTED, version)


def _visible(changes: list[VersionChange]) -> list[VersionChange]:
    """Leave out what is retracted and asserted alike, as far as the reader sees."""
    left = list(changes)
    for gone in [c for c in changes if c.kind == RETRACTED]:
        same = next((c for c in left if c.kind == ASSERTED and c.version == gone.version), None)
        if same is not None:
            left.remove(gone)
            left.remove(same)
    return left
