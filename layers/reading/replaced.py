"""What may look different between two moments of a layer: which features, and where they were.

Between two revisions it is what these wrote; between two instants, what began or ended meanwhile.
Only ids and boxes are read: who has to know more asks for those features alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.model import Layer
from layers.reading.boxes import Box
from layers.reading.moments import Moment, written
from layers.reading.snapshots import Reading
from layers.tables import FOREVER, INSTANT, tables_of

# Of more, everything counts as replaced: to look through them would take longer than to draw anew.
MOST_REPLACED = 200_000


@dataclass(frozen=True)
class Replaced:
    """The features of which a version may be another one, with the boxes of those versions.

    Attributes
    ----------
    ids : array of str, shape (n,)
        One for each version; a feature may stand there several times.
    boxes : array of float64, shape (n, 4)
        West, south, east, north in the storage reference system; NaN where there is no geometry.
    everything : bool
        Whether it may be any feature: there were too many to name.
    """

    ids: np.ndarray
    boxes: np.ndarray
    everything: bool = False

    def within(self, box: Box) -> list[str]:
        """Return the ids of the features of which a version's box meets another box, each once."""
        west, south, east, north = box
        b = self.boxes
        met = (b[:, 0] <= east) & (b[:, 2] >= west) & (b[:, 1] <= north) & (b[:, 3] >= south)
        return [str(i) for i in np.unique(self.ids[met])] if met.any() else []


def read_replaced(connection: Connection, layer: Layer, old: Moment, new: Moment) -> Replaced:
    """Return what may look different between two moments.

    Parameters
    ----------
    layer : Layer
        As the catalogue has it.
    old, new : Moment
        At instants; in whichever order.
    """
    family = tables_of(layer).open
    parts = [_select(table, old, new) for table in (family.live, family.history)]
    rows = connection.execute(sa.union_all(*parts).limit(MOST_REPLACED + 1)).all()
    if len(rows) > MOST_REPLACED:
        return Replaced(np.empty(0, dtype=object), np.empty((0, 4)), everything=True)
    return _replaced(rows)


def _replaced(rows: Sequence[Any]) -> Replaced:
    ids = np.array([row[0] for row in rows], dtype=object)
    boxes = np.array([tuple(row)[1:] for row in rows], dtype=np.float64).reshape(-1, 4)
    return Replaced(ids, boxes)


def _select(table: sa.Table, old: Moment, new: Moment) -> sa.Select[Any]:
    g = table.c._geom
    corners = [f(g) for f in (sa.func.ST_XMin, sa.func.ST_YMin, sa.func.ST_XMax, sa.func.ST_YMax)]
    return sa.select(table.c._fid, *corners).where(sa.or_(*_conditions(table, old, new)))


def _conditions(table: sa.Table, old: Moment, new: Moment) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    low, high = sorted((old.revision, new.revision))
    if low < high:
        found.append(written(table, low, high))
    assert isinstance(old.when, datetime) and isinstance(new.when, datetime)  # noqa: S101, PT018
    first, last = sorted((old.when, new.when))
    if first < last:
        found += _passed(table, sa.literal(first, INSTANT), sa.literal(last, INSTANT))
    return found or [sa.false()]


def _passed(table: sa.Table, first: Any, last: Any) -> list[sa.ColumnElement[bool]]:
    """Whether a version begins or ends after one instant, up to another."""
    c = table.c
    begins = sa.and_(c._valid_from > first, c._valid_from <= last)
    ends = sa.and_(c._valid_to > first, c._valid_to <= last)
    # The index of those that end says that they do.
    return [begins, sa.and_(c._valid_to != FOREVER, ends) if table.schema == "live" else ends]


_MOST_KEPT = 64
_MOST_RECORDED = 10_000


@dataclass(frozen=True)
class Replacements:
    """What differs between moments of layers, as far as it was asked for; the last of it."""

    _known: OrderedDict[Any, Replaced] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    _recorded: dict[Any, datetime] = field(default_factory=dict)

    def between(self, layer: Reading, old: Moment, new: Moment) -> Replaced:
        """Return what may look different between two moments of a layer."""
        found = self.find(layer, old, new)
        if found is None:
            with layer.reading() as (connection, record):
                found = read_replaced(connection, record, old, new)
            with self._lock:
                self._known[_key(layer, old, new)] = found
                while len(self._known) > _MOST_KEPT:
                    self._known.popitem(last=False)
        return found

    def find(self, layer: Reading, old: Moment, new: Moment) -> Replaced | None:
        """Return what was asked for already, None where it was not."""
        key = _key(layer, old, new)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def recorded(self, layer: Reading, revision: int) -> datetime | None:
        """Return when a revision was made, None where that is not known here."""
        return self._recorded.get((layer.record.id, layer.record.recorded_at, revision))

    def note(self, layer: Reading, revision: int, recorded: datetime) -> None:
        """Keep when a revision was made, as long as the newest one is the same."""
        if len(self._recorded) >= _MOST_RECORDED:
            self._recorded.clear()
        self._recorded[(layer.record.id, layer.record.recorded_at, revision)] = recorded


def _key(layer: Reading, old: Moment, new: Moment) -> Any:
    # With the time of the newest revision: a store that was set back has others of its number.
    own = (layer.record.id, layer.record.recorded_at)
    return (*own, old.revision, old.when, new.revision, new.when)
