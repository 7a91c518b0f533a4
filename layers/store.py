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
from typing import Any

import sqlalchemy as sa

from layers import catalog, commits, erasures, tables, tags
from layers.clock import Clock, system_clock
from layers.commits import Change, Committed, Statement
from layers.database import Database, connect, reachable
from layers.edits import Revert
from layers.extents import Extent
from layers.migrations import migrate
from layers.model import Document, Erasure, Layer, Revision, Tag
from layers.published import PublishedLayer
from layers.readers import Reader, Writer
from layers.snapshots import Snapshot

__all__ = ["PublishedLayer", "Snapshot", "Store", "open_store"]


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


def open_store(dsn: str, *, clock: Clock = system_clock) -> Store:
    """Open the versioned store on a PostGIS, bringing its catalogue up to date.

    Parameters
    ----------
    dsn : str
        libpq address of the database.
    clock : callable
        Returns the present instant; `layers.clock.SimulatedClock` makes commits simulated.

    Raises
    ------
    StoreUnavailable
        Where there is no answer, no PostGIS, or the store is of a newer release.
    """
    database = connect(dsn)
    with reachable(dsn), database.write() as connection:
        migrate(connection)
    return Store(database, clock)


@dataclass(frozen=True)
class Store:
    """Every layer, as of any moment."""

    database: Database
    clock: Clock = system_clock
    _extents: dict[tuple[str, int], Extent] = field(default_factory=dict, repr=False)

    def close(self) -> None:
        """Give the database's connections back."""
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
        with self.database.read() as connection:
            record = catalog.read_layer(connection, layer_id, reader)
        return self._published(record, reader)

    def _published(self, record: Layer, reader: Reader) -> PublishedLayer:
        return PublishedLayer(self.database, record, reader, self.clock, self._extents)

    def log(
        self, *, layer_id: str | None = None, document: str | None = None, limit: int | None = None
    ) -> list[Revision]:
        """Return what commits did, layer by layer, the newest first.

        Parameters
        ----------
        layer_id : str, optional
            Only of this layer.
        document : str, optional
            Only of commits behind which this legal document stands.
        limit : int, optional
            Entries at most.
        """
        with self.database.read() as connection:
            return catalog.read_log(connection, layer_id, document, limit)

    def tag(self, name: str, commit: int | str, writer: Writer, note: str = "") -> None:
        """Name a commit.

        Raises
        ------
        TagTaken
            Where the name is another commit's.
        UnknownCommit
            Where there is no such commit.
        """
        with self.database.write() as connection:
            number = tags.find_commit(connection, str(commit))
            tags.write_tag(connection, name, number, writer, note, self.clock())

    def tags(self) -> list[Tag]:
        """Return every tag, in the order of their commits."""
        with self.database.read() as connection:
            return tags.read_tags(connection)

    def erase(self, layer_id: str, feature_id: str, writer: Writer, reason: str) -> Erasure:
        """Remove one feature's restricted fields from all history; the log says so.

        Raises
        ------
        UnknownLayer, UnknownFeature
            Where there is none.
        """
        return erasures.erase(self.database, self.clock, layer_id, feature_id, writer, reason)

    def erasures(self, layer_id: str | None = None) -> list[Erasure]:
        """Return what was erased, in order."""
        with self.database.read() as connection:
            return erasures.read_erasures(connection, layer_id)

    def provenances(self) -> list[Mapping[str, Any]]:
        """Return the provenance of every commit, in the order of the commits."""
        query = sa.select(tables.commit.c.provenance).order_by(tables.commit.c.id)
        with self.database.read() as connection:
            return list(connection.scalars(query))

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
        return commits.commit(self.database, self.clock, edits, statement, dry_run=dry_run, say=say)

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
