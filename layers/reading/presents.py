"""The present of a layer: the instant since when it is as it is, and until when as far as is known.

Between the newest commit and the next start or end that the clock passes, a read of now is the same
at every instant. So a read that names none is answered for the first of them: who asks again gets
the same answer to the last byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import catalog
from layers.model import Layer
from layers.reading.moments import Moment
from layers.reading.snapshots import Reading
from layers.tables import FOREVER, INSTANT, Family, tables_of

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Present:
    """A stretch of time in which nothing of a layer begins or ends; open where `until` is None."""

    since: datetime
    until: datetime | None

    def holds(self, now: datetime) -> bool:
        """Return whether an instant lies in it."""
        return self.since <= now and (self.until is None or now < self.until)


@dataclass(frozen=True)
class Presents:
    """The presents of layers, as far as they were asked for."""

    _known: dict[tuple[str, int, bool], Present] = field(default_factory=dict)
    _counts: dict[tuple[str, int], tuple[datetime, int] | None] = field(default_factory=dict)

    def since(self, layer: Reading, now: datetime, *, restricted: bool) -> datetime:
        """Return since when a layer is as it is.

        Parameters
        ----------
        layer : Reading
        now : datetime
            What the clock says.
        restricted : bool
            Whether what restricted fields say counts, too.
        """
        key = (layer.record.id, layer.record.head, restricted)
        found = self.find(layer, now, restricted=restricted)
        if found is None:
            with layer.database.read(restricted=restricted) as connection:
                found = read_present(connection, layer.record, now, restricted=restricted)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = found
        return found.since

    def count(self, layer: Reading, moment: Moment) -> int | None:
        """Return how many features there are at a moment, where a revision's own count says it."""
        key = (layer.record.id, moment.revision)
        if not self.knows_count(layer, moment):
            with layer.reading() as (connection, record):
                told = catalog.read_revision(connection, record, moment.revision)
            if len(self._counts) >= _MOST:
                self._counts.clear()
            known = told.n_live is not None
            self._counts[key] = (told.commit.recorded_at, told.n_live or 0) if known else None
        found = self._counts.get(key)
        return found[1] if found is not None and found[0] == moment.when else None

    def knows_count(self, layer: Reading, moment: Moment) -> bool:
        """Return whether `count` asks nothing of the database."""
        return (layer.record.id, moment.revision) in self._counts

    def find(self, layer: Reading, now: datetime, *, restricted: bool) -> Present | None:
        """Return the present of a layer, None where that must be asked for."""
        found = self._known.get((layer.record.id, layer.record.head, restricted))
        return None if found is None or not found.holds(now) else found


def read_present(
    connection: Connection, record: Layer, now: datetime, *, restricted: bool
) -> Present:
    """Return the present of a layer at its newest revision."""
    recorded = record.recorded_at
    if recorded is None or now < recorded:
        return Present(now, now)
    families = tables_of(record)
    asked = families.families if restricted else (families.open,)
    rows = [connection.execute(_boundaries(f, recorded, now)).one() for f in asked]
    passed = [t for row in rows for t in (row.began, row.ended) if t is not None]
    coming = [t for row in rows for t in (row.begins, row.ends) if t is not None]
    return Present(max([recorded, *passed]), min(coming, default=None))


def _boundaries(family: Family, recorded: datetime, now: datetime) -> sa.Select[Any]:
    """The last start and end since the newest commit, and the next; of older ones it knew."""
    c = family.live.c
    since, at = sa.literal(recorded, INSTANT), sa.literal(now, INSTANT)
    starts = sa.select(
        sa.func.max(c._valid_from).filter(c._valid_from <= at).label("began"),
        sa.func.min(c._valid_from).filter(c._valid_from > at).label("begins"),
    ).where(c._valid_from > since)
    ends = sa.select(
        sa.func.max(c._valid_to).filter(c._valid_to <= at).label("ended"),
        sa.func.min(c._valid_to).filter(c._valid_to > at).label("ends"),
    ).where(c._valid_to > since, c._valid_to != FOREVER)
    s, e = starts.subquery("starts"), ends.subquery("ends")
    return sa.select(*s.c, *e.c).select_from(s.join(e, sa.true()))
