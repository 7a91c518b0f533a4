"""Revisions as a reader may know them: what they did within the reader's own scope."""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Mapping
from threading import Lock

from sqlalchemy.engine import Connection

from layers.model import Commit, Layer, Revision
from layers.readers import Reader
from layers.reading.changes import read_feature_changes
from layers.reading.features import Query, select_features
from layers.reading.moments import Moment
from layers.reading.outputs import count_features

# To count a revision anew takes as long as to read what it touched.
_MOST_COUNTED = 5_000
_MOST_KEPT = 10_000
Tally = tuple[int, int, int, int]


class Tallies:
    """Counts of revisions by who counts them; what a revision did never changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, int, str], Tally] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, int, str]) -> Tally | None:
        """Return counts that were worked out before."""
        with self._lock:
            return self._found.get(key)

    def put(self, key: tuple[str, int, str], tally: Tally) -> None:
        """Keep counts."""
        with self._lock:
            self._found[key] = tally
            while len(self._found) > _MOST_KEPT:
                self._found.popitem(last=False)


def as_seen(
    connection: Connection,
    record: Layer,
    reader: Reader,
    revision: Revision,
    kept: Tallies,
    *,
    thorough: bool,
) -> Revision:
    """Return a revision with what its reader may know of it.

    Authors, messages, documents and reports are internal. Counts are those of the reader's scope.

    Parameters
    ----------
    thorough : bool
        Whether to count however long it takes; counts are None otherwise where it would be long.
    """
    told = revision if reader.knows_internals(record) else _without_internals(revision)
    if sees_all(record, reader, revision.number):
        return told
    # A later schema may say anew what is internal, or which field names the division.
    sight = f"{reader.sight(record).fingerprint} {len(record.schemas)}"
    key = (record.id, revision.number, sight)
    tally = kept.get(key)
    if tally is None:
        counts = (revision.n_created, revision.n_changed, revision.n_retired)
        touched = sum(count or 0 for count in counts)
        if not thorough and touched > _MOST_COUNTED:
            return _counted(told, None)
        tally = _count(connection, record, reader, revision)
        kept.put(key, tally)
    return _counted(told, tally)


def sees_all(record: Layer, reader: Reader, number: int) -> bool:
    """Return whether a revision's counts are the reader's: of every row, and every open field."""
    for revision in (number - 1, number):
        then = record.as_of(max(revision, 1))
        sight = reader.sight(then)
        if not sight.whole or len(sight.fields(then.schema)) < len(then.schema.stored):
            return False
        if any(sight.where(f) for f in then.schema.stored):
            return False
    return True


def _count(connection: Connection, record: Layer, reader: Reader, revision: Revision) -> Tally:
    changes = read_feature_changes(connection, record, reader, revision.number)
    kinds = Counter(kind for _, kind in changes)
    at = revision.commit.recorded_at
    select = select_features(record, reader, Moment(revision.number, at, at), Query())
    live = int(connection.scalar(count_features(select)) or 0)
    return live, kinds["created"], kinds["changed"], kinds["retired"]


def _counted(revision: Revision, tally: Tally | None) -> Revision:
    live, created, changed, retired = tally or (None, None, None, None)
    return dataclasses.replace(
        revision,
        n_live=live,
        n_created=created,
        n_changed=changed,
        n_retired=retired,
        # It tells of rows that this reader may not know of.
        report={},
    )


def _without_internals(revision: Revision) -> Revision:
    nothing: Mapping[str, str] = {}
    commit = Commit(
        revision.commit.id,
        revision.commit.recorded_at,
        author="",
        message="",
        document=None,
        simulated=revision.commit.simulated,
        provenance=nothing,
    )
    return dataclasses.replace(revision, commit=commit, report=nothing)
