"""The store as a notebook or a service holds it: layers, snapshots, diffs, commits.

::

    store = open_store("postgresql:///shikong?host=/run/shikong")
    store.layer("parcels").at("2014-06-01", revision=2).read()        # a GeoDataFrame

The README's tour and the notebook, which the tests run, use all of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from layers import catalog, commits, erasures, tables, tags
from layers.access import audit
from layers.access.audit import Watch
from layers.access.register import Register
from layers.clock import Clock, system_clock
from layers.commits import Change, Committed, Statement
from layers.counters import counter_of
from layers.database import Database, connect, database_identity, reachable
from layers.edits import Revert
from layers.errors import Forbidden, UnknownLayer
from layers.following import Follower
from layers.migrations import migrate
from layers.model import Document, Erasure, Layer, Revision, Tag
from layers.published import PublishedLayer
from layers.rasters.copies import Copies
from layers.readers import Reader
from layers.reading.counted import Counted
from layers.reading.derived import Derived
from layers.reading.extents import Extent
from layers.reading.presents import Presents
from layers.reading.replaced import Replacements
from layers.reading.snapshots import Snapshot
from layers.reading.tallies import Tallies, as_seen
from layers.styles import Styles
from layers.writers import Verb, Writer

__all__ = ["PublishedLayer", "Snapshot", "Store", "open_store"]


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


def open_store(dsn: str, *, clock: Clock = system_clock, copies: Path | None = None) -> Store:
    """Open the versioned store on a PostGIS, bringing its catalogue up to date.

    Parameters
    ----------
    dsn : str
        libpq address of the database.
    clock : callable
        Returns the present instant; `layers.clock.SimulatedClock` makes commits simulated.
    copies : Path, optional
        The folder for copies of rasters, from which tiles are read; the processes of a machine
        share it. A temporary one of this process's own where absent.

    Raises
    ------
    StoreUnavailable
        Where there is no answer, no PostGIS, or the store is of a newer release.
    """
    database = connect(dsn)
    with reachable(dsn), database.own() as connection:
        migrate(connection)
        identity = database_identity(connection)
    follower = Follower(database.quick.dsn, counter_of(identity))
    return Store(database, clock, copies=Copies(copies), _follower=follower)


@dataclass(frozen=True)
class Store:
    """Every layer, as of any moment.

    Attributes
    ----------
    watch : Watch
        To be told of each read of a restricted layer, before it is answered.
    derived : Derived
        What analyses worked out of revisions, such as the indexes of grids.
    copies : Copies
        Of the files of rasters, on this machine.
    """

    database: Database
    clock: Clock = system_clock
    watch: Watch = field(default_factory=Watch, repr=False)
    _extents: dict[tuple[str, int, str], Extent] = field(default_factory=dict, repr=False)
    _tallies: Tallies = field(default_factory=Tallies, repr=False)
    _presents: Presents = field(default_factory=Presents, repr=False)
    _counted: Counted = field(default_factory=Counted, repr=False)
    _replacements: Replacements = field(default_factory=Replacements, repr=False)
    derived: Derived = field(default_factory=Derived, repr=False)
    copies: Copies = field(default_factory=Copies, repr=False)
    _follower: Follower = field(default_factory=lambda: Follower(""), repr=False)

    def close(self) -> None:
        """Give the database's connections back."""
        self._follower.stop()
        self._follower.counter.close()
        self.database.close()

    def with_clock(self, clock: Clock) -> Store:
        """Return the same store under another clock."""
        return dataclasses.replace(self, clock=clock)

    def layers(self, reader: Reader) -> list[Layer]:
        """Return the catalogue's records of the layers that the reader may see."""
        with self.database.read() as connection:
            return catalog.list_layers(connection, reader)

    def published(self, reader: Reader) -> list[PublishedLayer]:
        """Return the layers that the reader may see, to read from, all as of one moment."""
        return [self._published(record, reader) for record in self.layers(reader)]

    def layer(self, layer_id: str, reader: Reader | None = None) -> PublishedLayer:
        """Return a layer to read from.

        Parameters
        ----------
        reader : Reader, optional
            What may be seen; anonymous where nobody is named.

        Raises
        ------
        UnknownLayer
            Where there is none for this reader.
        """
        reader = reader or Reader.anonymous()
        known = self.known_layer(layer_id, reader)
        if known is not None:
            return known
        generation = self._follower.generation
        with self.database.read() as connection:
            record = catalog.read_layer(connection, layer_id, reader)
        self._follower.keep(record, generation)
        return self._published(record, reader)

    def known_layer(self, layer_id: str, reader: Reader) -> PublishedLayer | None:
        """Return a layer without asking the database; None where that must be asked."""
        record = self._follower.find(layer_id)
        if record is None or not reader.sees(record):
            return None
        return self._published(record, reader)

    def follow(self) -> None:
        """Keep what is known of layers until it changes, for as long as the store is open."""
        self._follower.start()

    @property
    def generation(self) -> int:
        """A number that is another after each change that this process has heard of."""
        return self._follower.generation

    def _published(self, record: Layer, reader: Reader) -> PublishedLayer:
        found = (self._extents, self._tallies, self._presents, self._counted)
        own = (self.copies, self.clock, *found, self._replacements)
        return PublishedLayer(self.database, record, reader, *own)

    def log(
        self,
        reader: Reader,
        *,
        layer_id: str | None = None,
        document: str | None = None,
        limit: int | None = None,
        commit: int | None = None,
        before: int | None = None,
    ) -> list[Revision]:
        """Return what commits did, layer by layer, the newest first.

        Parameters
        ----------
        reader : Reader
            Only of layers that are seen; authors, messages and documents only of those of which
            the reader knows them, and counts are those of the reader's scope.
        layer_id : str, optional
            Only of this layer.
        document : str, optional
            Only of commits behind which this legal document stands.
        limit : int, optional
            Entries at most.
        commit, before : int, optional
            Only of one commit, or of those before one.
        """
        with self.database.read() as connection:
            seen = {record.id: record for record in catalog.list_layers(connection, reader)}
            if document is not None:
                seen = {i: r for i, r in seen.items() if reader.knows_internals(r)}
            wanted = [i for i in seen if layer_id in (None, i)]
            return [
                as_seen(connection, seen[r.layer], reader, r, self._tallies, thorough=False)
                for r in catalog.read_log(
                    connection, wanted, document, limit, commit=commit, before=before
                )
            ]

    def tag(
        self,
        name: str,
        commit: int | str,
        writer: Writer,
        note: str = "",
        *,
        reader: Reader | None = None,
    ) -> tuple[bool, Tag]:
        """Name a commit.

        Parameters
        ----------
        reader : Reader, optional
            As far as whom commits, and names that are taken, are known; all where absent.

        Returns
        -------
        tuple of bool and Tag
            Whether it had not that name already, and the tag.

        Raises
        ------
        TagTaken
            Where the name is another commit's.
        UnknownCommit
            Where there is no such commit, or none that the reader sees anything of.
        Forbidden
            Where the writer does not publish each layer that the commit is seen to have touched.
        """
        with self.database.write() as connection:
            number = tags.find_commit(connection, str(commit))
            known: list[str] | None = None
            if reader is not None:
                records = catalog.list_layers(connection, reader)
                known = [r.id for r in records if reader.knows_internals(r)]
                tags.check_may_tag(connection, number, records, writer)
            made = tags.write_tag(connection, name, number, writer, note, self.clock(), known)
            if made:
                audit.append(connection, audit.by_writer(writer, "tag", commit=number))
            return made, tags.read_tag(connection, name)

    def tags(self, reader: Reader, layer_id: str | None = None) -> list[Tag]:
        """Return the tags, in the order of their commits, as far as the reader may know them.

        Parameters
        ----------
        reader : Reader
            Only of commits that touched a layer of which the internals are known.
        layer_id : str, optional
            Only of commits that touched this layer.
        """
        with self.database.read() as connection:
            records = catalog.list_layers(connection, reader)
            known = [
                r.id for r in records if reader.knows_internals(r) and layer_id in (None, r.id)
            ]
            return tags.read_tags(connection, known)

    def approve(self, layer_id: str, writer: Writer) -> None:
        """Let a pending layer be seen by those who may see it.

        Raises
        ------
        UnknownLayer
            Where there is none that waits.
        Forbidden
            Where the writer does not review it.
        """
        with self.database.write() as connection:
            record = catalog.lock_layer(connection, layer_id)
            if record is None or not record.pending:
                raise UnknownLayer(f"no layer {layer_id!r} waits for a reviewer")
            if not writer.may(layer_id, record.department, Verb.REVIEW):
                raise Forbidden(f"{writer.name} does not review {layer_id}")
            catalog.set_belongings(connection, layer_id, {"pending": False})
            audit.append(connection, audit.by_writer(writer, "approve", layer=layer_id))
        self._follower.changed()

    def erase(self, layer_id: str, feature_id: str, writer: Writer, reason: str) -> Erasure:
        """Remove one feature's restricted fields from all history; the log says so.

        Raises
        ------
        UnknownLayer, UnknownFeature
            Where there is none.
        """
        return erasures.erase(self.database, self.clock, layer_id, feature_id, writer, reason)

    def erasures(self, reader: Reader, layer_id: str | None = None) -> list[Erasure]:
        """Return what was erased of layers whose internals the reader knows, in order."""
        with self.database.read() as connection:
            records = catalog.list_layers(connection, reader)
            known = {record.id for record in records if reader.knows_internals(record)}
            every = erasures.read_erasures(connection, layer_id)
            return [done for done in every if done.layer in known]

    def provenances(self) -> list[Mapping[str, Any]]:
        """Return the provenance of every commit, in their order; for whoever runs the store."""
        query = sa.select(tables.commit.c.provenance).order_by(tables.commit.c.id)
        with self.database.inspect() as connection:
            return list(connection.scalars(query))

    @cached_property
    def styles(self) -> Styles:
        """How layers are drawn, where somebody said so."""
        return Styles(self.database, self.clock)

    @cached_property
    def register(self) -> Register:
        """People, keys and grants."""
        return Register(self.database, self.clock)

    def commit(
        self,
        edits: Mapping[str, Change],
        writer: Writer,
        message: str,
        *,
        document: Document | None = None,
        provenance: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        say: Callable[[str, int, int | None], None] = _silent,
    ) -> Committed:
        """Change layers: one transaction, one recorded time, all or nothing.

        Parameters
        ----------
        edits : mapping of str to Reload, Edits or SchemaChange
            By layer; a list of edits (`layers.edits`) serves as Edits.
        document : Document, optional
            The legal document behind the change.
        dry_run : bool
            Work everything out, report it, write nothing.
        say : callable
            Told of progress: stage, rows done, rows in all where known.

        Raises
        ------
        LayersError
            With a remedy; nothing was written then.
        """
        statement = Statement(writer, message, document, provenance)
        own = (self.database, self.clock, edits, statement)
        try:
            return commits.commit(*own, dry_run=dry_run, say=say)
        finally:
            # Also where it is not known whether it was written. Before it is answered: who asks
            # another process then gets no answer of before.
            self._follower.changed()

    def revert(
        self,
        commit: int | str,
        writer: Writer,
        message: str = "",
        *,
        force: bool = False,
        document: Document | None = None,
        dry_run: bool = False,
    ) -> Committed:
        """Undo a commit in every layer it touched, by a commit of its own.

        Parameters
        ----------
        commit : int or str
            Its number, or a tag.
        force : bool
            Also where later commits touched the same features: of those only the fields and
            periods that the commit changed are set back.

        Raises
        ------
        UnknownCommit
            Where there is none of that number.
        RevertConflict
            Where later commits touched the same features, and `force` is not given.
        """
        with self.database.read() as connection:
            commit_id = tags.find_commit(connection, str(commit))
        revisions = commits.find_revisions(self.database, commit_id)
        edits = {layer_id: Revert(number, force) for layer_id, number in revisions.items()}
        message = message or f"revert commit {commit_id}"
        return self.commit(
            edits,
            writer,
            message,
            document=document,
            provenance={"reverts": commit_id},
            dry_run=dry_run,
        )
