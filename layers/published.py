"""A layer as one reader sees it: its snapshots, its log, and what differs between them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import catalog, tags
from layers.clock import Clock, system_clock
from layers.descent import read_lineage
from layers.errors import BadQuery, UnknownRevision
from layers.kept_faults import KeptFaults
from layers.model import Change, Kind, Layer, Link, Revision, Schema, VersionChange
from layers.reading.change_dates import select_instants, select_recordings, select_revisions
from layers.reading.changes import Place, read_changes, read_feature_changes
from layers.reading.counted import Counted
from layers.reading.differences import read_differences
from layers.reading.extents import Extent, read_extent
from layers.reading.faults import find_faults
from layers.reading.features import Moment, Query, select_features
from layers.reading.histograms import (
    Grouping,
    Histogram,
    histogram_of,
    select_cells,
    select_first,
)
from layers.reading.lifelines import Lifeline, lifeline_of
from layers.reading.presents import Presents
from layers.reading.replaced import Replaced, Replacements
from layers.reading.snapshots import Reading, Snapshot
from layers.reading.tallies import Tallies, as_seen
from layers.territories import Territory
from spatial.periods import Interval, parse_datetime


@dataclass(frozen=True)
class PublishedLayer(Reading):
    """A layer as one reader sees it."""

    clock: Clock = system_clock
    extents: dict[tuple[str, int, str], Extent] = field(default_factory=dict, repr=False)
    tallies: Tallies = field(default_factory=Tallies, repr=False)
    presents: Presents = field(default_factory=Presents, repr=False)
    numbers: Counted = field(default_factory=Counted, repr=False)
    replacements: Replacements = field(default_factory=Replacements, repr=False)

    def at(
        self,
        when: str | datetime | Interval | None = None,
        *,
        revision: int | None = None,
        recorded: datetime | None = None,
        commit: int | str | None = None,
        now: datetime | None = None,
    ) -> Snapshot:
        """Return what the layer says of an instant or interval, as known at a revision.

        Parameters
        ----------
        when : str, datetime or Interval, optional
            Valid time, now where absent; text is read in the layer's time zone, so that a plain
            date is the midnight in which it begins.
        revision : int, optional
            The newest where absent.
        recorded : datetime, optional
            Instead of `revision`: the newest recorded by then.
        commit : int or str, optional
            Instead of `revision`: a commit's number, or a tag; the newest as of that commit.
        now : datetime, optional
            What stands for the present; the clock's where absent.

        Raises
        ------
        UnknownRevision, UnknownCommit
            Where there is none such.
        BadQuery
            Where recorded time is stated in two ways.
        """
        now = now or self.clock()
        if isinstance(when, str):
            when = parse_datetime(when, self.record.schema.zone)
        number = self._revision(revision, recorded, commit)
        moment = Moment(number, now if when is None else when, now)
        return Snapshot(self, moment, Query(restricted=True))

    def present(self) -> datetime:
        """Return the instant since when the layer is as it is now, at the newest revision.

        Whatever is read of that instant is the same as of now, until the layer is changed or the
        clock passes the start or end of a version.
        """
        restricted = self.reader.may_see_restricted(self.record)
        return self.presents.since(self, self.clock(), restricted=restricted)

    def present_until(self) -> float | None:
        """Return until when the layer is as it is now, in seconds since the epoch, as far as known.

        None where `present` must be asked for first; infinity where nothing is to come.
        """
        restricted = self.reader.may_see_restricted(self.record)
        found = self.presents.find(self, self.clock(), restricted=restricted)
        if found is None:
            return None
        return math.inf if found.until is None else found.until.timestamp()

    @property
    def knows_present(self) -> bool:
        """Whether `present` asks nothing of the database."""
        restricted = self.reader.may_see_restricted(self.record)
        return self.presents.find(self, self.clock(), restricted=restricted) is not None

    def replaced(self, old: Moment, new: Moment) -> Replaced:
        """Return which features may look different between two moments at instants, and where.

        Whether the reader sees them or not: to be drawn, they are asked for again.
        """
        return self.replacements.between(self, old, new)

    def known_replaced(self, old: Moment, new: Moment) -> Replaced | None:
        """Return what `replaced` does, where that is known; None where it must be asked for."""
        return self.replacements.find(self, old, new)

    def recorded(self, revision: int) -> datetime | None:
        """Return when a revision was made; None where there is none such."""
        found = self.known_recorded(revision)
        if found is None and 1 <= revision <= self.record.head:
            with self.reading() as (connection, record):
                found = catalog.read_revision(connection, record, revision).commit.recorded_at
            self.replacements.note(self, revision, found)
        return found

    def known_recorded(self, revision: int) -> datetime | None:
        """Return what `recorded` does, where that is known; None where it must be asked for."""
        if revision == self.record.head:
            return self.record.recorded_at
        return self.replacements.recorded(self, revision)

    def known_count(self, moment: Moment) -> int | None:
        """Return how many features there are at a moment, where that is known without counting."""
        return self.presents.count(self, moment) if self._may_know_count(moment) else None

    def knows_count(self, moment: Moment) -> bool:
        """Return whether `known_count` asks nothing of the database."""
        return not self._may_know_count(moment) or self.presents.knows_count(self, moment)

    def counted(self, snapshot: Snapshot) -> int | None:
        """Return how many features a snapshot has, where that was counted already."""
        moment = snapshot.moment
        total = self.known_count(moment) if self.knows_count(moment) else None
        return self.numbers.find(snapshot, total)

    def count(self, snapshot: Snapshot) -> int:
        """Return how many features a snapshot has, counted once as long as it can't change."""
        total = self.known_count(snapshot.moment)
        found = self.numbers.find(snapshot, total)
        if found is None:
            found = snapshot.count()
            self.numbers.keep(snapshot, found, total)
        return found

    def _may_know_count(self, moment: Moment) -> bool:
        if not self.sight.whole:
            return False
        return moment.revision != self.record.head or moment.when == self.record.recorded_at

    def versions(self, feature_id: str, *, revision: int | None = None) -> Snapshot:
        """Return every version of one feature, as known at a revision, as a snapshot of all time.

        Reading it raises nothing where there is no such feature; it is empty.
        """
        return self.history(revision=revision, ids=[feature_id])

    def history(
        self, *, revision: int | None = None, commit: int | str | None = None, **narrowed: Any
    ) -> Snapshot:
        """Return every version of every time, as known at a revision.

        Parameters
        ----------
        **narrowed
            Parts of a Query, such as ``bbox``: the history of a region.
        """
        number = self._revision(revision, None, commit)
        query = Query(**{"restricted": True} | narrowed)
        return Snapshot(self, Moment(number, None, self.clock()), query)

    def lifeline(self, feature_id: str, *, revision: int | None = None) -> Lifeline:
        """Return the periods of a feature's versions, as known at a revision."""
        found = self.versions(feature_id, revision=revision).periods()
        return lifeline_of(found.named())

    def change_dates(
        self,
        within: Interval,
        *,
        revision: int | None = None,
        after: datetime | None = None,
        limit: int,
        **narrowed: Any,
    ) -> list[datetime]:
        """Return the instants at which versions begin or end, each once, in order.

        Of event layers also those of developments. Of restricted fields nothing is said.

        Parameters
        ----------
        within : Interval
            Closed.
        after : datetime, optional
            Only those after it.
        **narrowed
            Parts of a Query, such as ``bbox``.
        """
        every = self.history(revision=revision, restricted=False, **narrowed)
        rows = every.fetch(lambda features, _: select_instants(features, within, after, limit))
        return [row.at for row in rows]

    def recordings(
        self,
        within: Interval,
        *,
        revision: int | None = None,
        after: int = 0,
        limit: int,
        **narrowed: Any,
    ) -> list[tuple[int, datetime]]:
        """Return the revisions that wrote anything, with their recorded times, in order.

        Parameters are those of `change_dates`; `within` is of recorded time, `after` a revision.
        """
        last = self._revision(revision)
        with self.reading() as (connection, record):
            numbers = select_revisions(record, self.reader, last, Query(**narrowed))
            select = select_recordings(record, numbers, within, after, limit)
            return [(row.number, row.recorded_at) for row in connection.execute(select)]

    def histogram(self, snapshot: Snapshot, wanted: Grouping) -> Histogram:
        """Return numbers of a snapshot's features by period, by value, or by both."""
        record = self.record.as_of(snapshot.moment.revision)
        what = snapshot.shown
        rows = snapshot.fetch(lambda features, _: select_cells(features, record, what, wanted))
        return histogram_of(rows, record, wanted)

    def first_counted(self, snapshot: Snapshot) -> datetime | None:
        """Return the first instant at which a snapshot's features can be counted."""
        record, what = self.record.as_of(snapshot.moment.revision), snapshot.shown
        found: datetime | None = snapshot.scalar(lambda f, _: select_first(f, record, what))
        return found

    def revisions(self, *, before: int | None = None, limit: int | None = None) -> list[Revision]:
        """Return the log, newest first; without counts where to count would take long.

        Parameters
        ----------
        before : int, optional
            Only revisions before this one.
        limit : int, optional
            So many at most.
        """
        last = self.record.head if before is None else min(before - 1, self.record.head)
        first = 1 if limit is None else max(1, last - limit + 1)
        with self.reading() as (connection, record):
            found = catalog.read_revisions(connection, record, first, last)
            return [self._seen(connection, record, r, thorough=False) for r in found]

    def revision(self, number: int) -> Revision:
        """Return one revision, with the counts of what its reader sees."""
        with self.reading() as (connection, record):
            found = catalog.read_revision(connection, record, number)
            return self._seen(connection, record, found, thorough=True)

    def faults(self, number: int) -> KeptFaults:
        """Return the faults that are kept with a revision, with their places.

        Raises
        ------
        UnknownRevision
            Where none are kept, or the reader does not see all of the layer.
        """
        with self.reading() as (connection, record):
            found = find_faults(connection, record, self.reader, number)
        if found is None:
            raise UnknownRevision(f"{record.id} has no faults of a revision {number} to show")
        return found

    def schema(self, revision: int | None = None) -> Schema:
        """Return the schema that the layer had at a revision."""
        return self.record.as_of(self._revision(revision)).schema

    def before(self, when: datetime) -> Snapshot:
        """Return the snapshot of what was known before the first revision: nothing."""
        return Snapshot(self, Moment(0, when, self.clock()), Query())

    def diff(self, old: Snapshot, new: Snapshot, *, after: str | None = None) -> Iterator[Change]:
        """Yield the features that differ between two snapshots at instants.

        Two revisions at one instant, two instants at one revision, or both at once.

        Parameters
        ----------
        after : str, optional
            Only features whose ids come after this one.
        """
        moments = (old.moment, new.moment)
        with self.reading() as (connection, record):
            yield from read_differences(connection, record, self.reader, *moments, after)

    def changes(
        self, after: int = 0, to: int | None = None, *, resume: Place | None = None
    ) -> Iterator[VersionChange]:
        """Yield what each revision after one, up to another, asserted and retracted.

        Replayed from 0 into an empty store, they give an equal store: at every instant, for every
        revision. In the order of revision, feature and start; to go on later, begin after the
        last revision that was read whole, or `resume` after the last change that was read.

        Raises
        ------
        UnknownRevision
            Where the layer has none such.
        """
        last = self._revision(to) if to else (self.record.head if to is None else 0)
        if not 0 <= after <= last:
            raise UnknownRevision(f"changes run from 0 to {last}; {after} is outside")
        with self.reading() as (connection, record):
            yield from read_changes(connection, record, self.reader, after, last, resume)

    def touched(self, revision: int) -> Iterator[tuple[str, str]]:
        """Yield the features that a revision created, changed or retired, each with the word."""
        number = self._revision(revision)
        with self.reading() as (connection, record):
            yield from read_feature_changes(connection, record, self.reader, number)

    def lineage(
        self, feature_id: str, *, revision: int | None = None, until: datetime | None = None
    ) -> tuple[list[Link], list[Link]]:
        """Return the links to all ancestors of a feature, and to all its descendants.

        Parameters
        ----------
        revision : int, optional
            As known then; the newest where absent.
        until : datetime, optional
            Only what had happened in the world by then.
        """
        number = self._revision(revision)
        with self.reading() as (connection, record):
            up, down = read_lineage(connection, record, feature_id, number, until)
            return self._known(connection, record, up, number), self._known(
                connection, record, down, number
            )

    def extent(self) -> Extent:
        """Return where and when the layer's versions are, at the newest revision."""
        key = (self.record.id, self.record.head, self.sight.fingerprint)
        found = self.extents.get(key)
        if found is None:
            with self.reading() as (connection, record):
                found = read_extent(connection, record, self.reader)
            self.extents[key] = found
        return found

    def _seen(
        self, connection: Connection, record: Layer, revision: Revision, *, thorough: bool
    ) -> Revision:
        return as_seen(connection, record, self.reader, revision, self.tallies, thorough=thorough)

    def _known(
        self, connection: Connection, record: Layer, links: list[Link], revision: int
    ) -> list[Link]:
        """The links of which the reader sees both ends, with the document where it is theirs."""
        sight = self.reader.sight(record)
        if not sight.whole and links:
            ids = sorted({i for link in links for i in (link.ancestor, link.descendant)})
            moment = Moment(revision, None, self.clock())
            rows = select_features(record, self.reader, moment, Query(ids=ids)).subquery()
            seen = set(connection.scalars(sa.select(rows.c._fid)))
            links = [link for link in links if {link.ancestor, link.descendant} <= seen]
            if record.schema.kind is Kind.STATE:
                time = Territory(None, None, *sight.time)
                links = [link for link in links if time.holds(link.at)]
        if not sight.internals:
            links = [dataclasses.replace(link, document=None) for link in links]
        return links

    def _revision(
        self,
        revision: int | None = None,
        recorded: datetime | None = None,
        commit: int | str | None = None,
    ) -> int:
        head = self.record.head
        if sum(stated is not None for stated in (revision, recorded, commit)) > 1:
            raise BadQuery("state one of revision, recorded and commit")
        if recorded is not None or commit is not None:
            return self._recorded_by(recorded, commit)
        if revision is None:
            return head
        if not 1 <= revision <= head:
            raise UnknownRevision(f"{self.record.id} has revisions 1 to {head}, not {revision}")
        return revision

    def _recorded_by(self, recorded: datetime | None, commit: int | str | None) -> int:
        with self.database.read() as connection:
            if recorded is None:
                number = tags.find_commit(connection, str(commit))
                recorded = tags.recorded_at(connection, number)
            revision = catalog.revision_recorded_by(connection, self.record, recorded)
        if revision == 0:
            raise UnknownRevision(
                f"nothing of {self.record.id} was recorded by {recorded.isoformat()}"
            )
        return revision
