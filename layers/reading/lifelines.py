"""A feature's versions as periods alone: which came before one, which after, which is the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from layers.model import Layer
from layers.reading.outputs import finite


@dataclass(frozen=True, slots=True)
class Lifeline:
    """The periods of a feature's versions, in order; empty where there is no such feature.

    Examples
    --------
    >>> from datetime import UTC
    >>> one, other = (datetime(year, 1, 1, tzinfo=UTC) for year in (2012, 2014))
    >>> line = Lifeline(((one, other), (other, None)))
    >>> line.before(other) == one, line.after(other), line.latest == other
    (True, None, True)
    """

    periods: tuple[tuple[datetime, datetime | None], ...] = ()

    @property
    def first(self) -> datetime | None:
        """The start of the first version."""
        return self.periods[0][0] if self.periods else None

    @property
    def latest(self) -> datetime | None:
        """The start of the last version."""
        return self.periods[-1][0] if self.periods else None

    @property
    def starts(self) -> tuple[datetime, ...]:
        """The starts of all versions."""
        return tuple(start for start, _ in self.periods)

    def before(self, start: datetime) -> datetime | None:
        """Return the start of the version before the one that starts so."""
        return max((s for s in self.starts if s < start), default=None)

    def after(self, start: datetime) -> datetime | None:
        """Return the start of the version after the one that starts so."""
        return min((s for s in self.starts if s > start), default=None)


def select_periods(features: sa.Select[Any], layer: Layer) -> sa.Select[Any]:
    """Return the select of the periods of versions, around a select of features."""
    c = features.subquery("features").c
    ordered = sa.select(c._valid_from, finite(c._valid_to).label("_valid_to"))
    return ordered.order_by(c._valid_from)


def with_periods(select: sa.Select[Any], versions: sa.Select[Any]) -> sa.Select[Any]:
    """Return a select with ``_periods``, the starts and ends of other versions, in each row."""
    c = versions.subquery("versions_of_it").c
    period = array([c._valid_from, finite(c._valid_to)])
    periods = sa.func.array_agg(aggregate_order_by(period, c._valid_from))
    return select.add_columns(sa.select(periods).scalar_subquery().label("_periods"))


def lifeline_of(rows: Iterable[Any]) -> Lifeline:
    """Return a lifeline of the rows of `select_periods`, or of versions as they were read."""
    return Lifeline(tuple(sorted(((r._valid_from, r._valid_to) for r in rows), key=_start)))


def _start(period: tuple[datetime, datetime | None]) -> datetime:
    return period[0]
