"""The store as a notebook or a service holds it: layers, snapshots, diffs, commits.

::

    store = open_store("postgresql:///shikong?host=/run/shikong")
    store.layer("parcels").at("2014-06-01", revision=2).read()        # a GeoDataFrame

The README's tour and the notebook, which the tests run, use all of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
import sqlalchemy as sa
from pyproj import Transformer
from sqlalchemy.engine import Connection

from layers import catalog, commits, tables
from layers.clock import Clock, system_clock
from layers.commits import Change as LayerChange
from layers.commits import Committed, Statement
from layers.database import Database, connect, reachable
from layers.differences import read_differences
from layers.edits import Revert
from layers.errors import FeatureGone, UnknownFeature, UnknownRevision
from layers.features import (
    Box,
    Moment,
    Query,
    as_geojson,
    as_wkb,
    count_features,
    finite,
    select_features,
)
from layers.migrations import migrate
from layers.model import OPEN_REVISION, Change, Document, FieldType, Layer, Revision
from layers.readers import Reader, Writer
from layers.tables import tables_of
from spatial.crs import CRS84, parse_crs
from spatial.periods import Interval, parse_datetime

_STREAMED = 5000


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
        return PublishedLayer(self, record, reader)

    def provenances(self) -> list[Mapping[str, Any]]:
        """Return the provenance of every commit, in the order of the commits."""
        query = sa.select(tables.commit.c.provenance).order_by(tables.commit.c.id)
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def commit(
        self,
        edits: Mapping[str, LayerChange],
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
        commit_id: int,
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


@dataclass(frozen=True, slots=True)
class Extent:
    """Where and when a layer's versions are: bounds in CRS84 and the first and last instant."""

    bounds: Box | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class PublishedLayer:
    """A layer as one reader sees it."""

    store: Store
    record: Layer
    reader: Reader

    def at(
        self,
        when: str | datetime | Interval | None = None,
        *,
        revision: int | None = None,
        recorded: datetime | None = None,
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

        Raises
        ------
        UnknownRevision
            Where the layer has none such.
        """
        now = self.store.clock()
        if isinstance(when, str):
            when = parse_datetime(when, self.record.schema.zone)
        number = self._revision(revision, recorded)
        return Snapshot(self, Moment(number, now if when is None else when, now))

    def versions(self, feature_id: str, *, revision: int | None = None) -> Snapshot:
        """Return every version of one feature, as known at a revision, as a snapshot of all time.

        Raises
        ------
        UnknownFeature
            Where there is none of that id at any time.
        """
        moment = Moment(self._revision(revision, None), None, self.store.clock())
        return Snapshot(self, moment, Query(ids=[feature_id]))

    def revisions(self) -> list[Revision]:
        """Return the log, newest first."""
        with self.store.database.read() as connection:
            return catalog.read_revisions(connection, self.record)

    def revision(self, number: int) -> Revision:
        """Return one revision."""
        with self.store.database.read() as connection:
            return catalog.read_revision(connection, self.record, number)

    def diff(self, old: Snapshot, new: Snapshot) -> Iterator[Change]:
        """Yield the features that differ between two snapshots at instants."""
        with self.reading() as (connection, record):
            yield from read_differences(connection, record, self.reader, old.moment, new.moment)

    def extent(self) -> Extent:
        """Return where and when the layer's versions are, at the newest revision."""
        key = (self.record.id, self.record.head)
        found = self.store._extents.get(key)
        if found is None:
            with self.reading() as (connection, record):
                found = _read_extent(connection, record)
            self.store._extents[key] = found
        return found

    @contextmanager
    def reading(self) -> Iterator[tuple[Connection, Layer]]:
        """One consistent moment of the database, with the layer's record of that moment."""
        with self.store.database.read() as connection:
            yield connection, catalog.read_layer(connection, self.record.id, self.reader)

    def _revision(self, revision: int | None, recorded: datetime | None) -> int:
        head = self.record.head
        if recorded is not None:
            with self.store.database.read() as connection:
                revision = catalog.revision_recorded_by(connection, self.record, recorded)
            if revision == 0:
                raise UnknownRevision(
                    f"nothing of {self.record.id} was recorded by {recorded.isoformat()}"
                )
            return revision
        if revision is None:
            return head
        if not 1 <= revision <= head:
            raise UnknownRevision(f"{self.record.id} has revisions 1 to {head}, not {revision}")
        return revision


@dataclass(frozen=True)
class Snapshot:
    """What a layer says about an instant (or interval) according to a revision."""

    layer: PublishedLayer
    moment: Moment
    query: Query = field(default_factory=Query)

    @property
    def fields(self) -> tuple[str, ...]:
        """Ids of the fields that the reader sees."""
        return tuple(f.id for f in self.layer.reader.fields(self.layer.record.schema))

    def where(self, **changes: Any) -> Snapshot:
        """Return the snapshot narrowed by parts of a Query (bbox, equal, ids, after, limit)."""
        return dataclasses.replace(self, query=dataclasses.replace(self.query, **changes))

    def select(self, record: Layer) -> sa.Select[Any]:
        """Return the select of its features, for the layer's record of the running transaction."""
        return select_features(record, self.layer.reader, self.moment, self.query)

    def rows(self) -> list[sa.Row[Any]]:
        """Return its features with GeoJSON geometries: _fid, _valid_from, _valid_to, fields."""
        with self.layer.reading() as (connection, record):
            return list(connection.execute(as_geojson(self.select(record), record)))

    def scalar(self, build: Callable[[sa.Select[Any], Layer], sa.Select[Any]]) -> Any:
        """Return the one value of a select that is built around that of its features."""
        with self.layer.reading() as (connection, record):
            return connection.scalar(build(self.select(record), record))

    def count(self) -> int:
        """Return how many features, or versions, it has."""
        with self.layer.reading() as (connection, record):
            return int(connection.scalar(count_features(self.select(record))) or 0)

    def stream(self, size: int = _STREAMED) -> Iterator[gpd.GeoDataFrame]:
        """Yield its features as frames of at most `size` rows, in bounded memory."""
        with self.layer.reading() as (connection, record):
            select = as_wkb(self.select(record))
            result = connection.execution_options(yield_per=size).execute(select)
            for rows in result.partitions():
                yield self._frame(list(rows), record)

    def read(self, **narrowed: Any) -> gpd.GeoDataFrame:
        """Read its features into a GeoDataFrame in the layer's reference system.

        Parameters
        ----------
        **narrowed
            Parts of a Query: ``bbox=(west, south, east, north)``, ``equal={"field": "value"}``.

        Returns
        -------
        GeoDataFrame
            Index ``id``; the fields; ``valid_from`` and ``valid_to`` (UTC, NaT while open);
            ``geometry``. A field of one of these last names has an underscore after it.
        """
        if narrowed:
            return self.where(**narrowed).read()
        with self.layer.reading() as (connection, record):
            rows = list(connection.execute(as_wkb(self.select(record))))
            return self._frame(rows, record)

    def one(self, feature_id: str) -> sa.Row[Any]:
        """Return one feature's row, as `rows` gives them.

        Raises
        ------
        FeatureGone
            Where it exists at another time.
        UnknownFeature
            Where it never did, as far as this revision knows.
        """
        rows = self.where(ids=[feature_id], limit=1).rows()
        if rows:
            return rows[0]
        always = dataclasses.replace(self, moment=dataclasses.replace(self.moment, when=None))
        layer_id = self.layer.record.id
        if always.where(ids=[feature_id]).count():
            raise FeatureGone(f"{feature_id!r} of {layer_id} is there at another time, not then")
        raise UnknownFeature(f"{layer_id} has no feature {feature_id!r}")

    def _frame(self, rows: list[sa.Row[Any]], record: Layer) -> gpd.GeoDataFrame:
        fields = {_column_name(f.id): f.type for f in self.layer.reader.fields(record.schema)}
        index = pd.Index([row[0] for row in rows], dtype=object, name="id")
        names = ["valid_from", "valid_to", *fields, "geometry"]
        # As objects: integers beside a NULL would become floats, which can't hold the large ones.
        values = [tuple(row)[1:] for row in rows]
        frame = pd.DataFrame(values, index=index, columns=names, dtype=object)
        for name, kind in fields.items():
            frame[name] = _typed(frame[name], kind)
        for name in ("valid_from", "valid_to"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        shapes = shapely.from_wkb(frame.pop("geometry").to_numpy(dtype=object))
        crs = parse_crs(record.schema.crs)
        return gpd.GeoDataFrame(frame, geometry=shapes, crs=crs)


def _column_name(field_id: str) -> str:
    """A field's column in a frame: its id, but for the names that the version itself needs."""
    return f"{field_id}_" if field_id in ("valid_from", "valid_to", "geometry") else field_id


def _typed(values: pd.Series[Any], kind: FieldType) -> pd.Series[Any]:
    if kind is FieldType.INTEGER:
        return values.astype("Int64")
    if kind is FieldType.NUMBER:
        return values.astype("float64")
    if kind is FieldType.BOOLEAN:
        return values.astype("boolean")
    if kind is FieldType.INSTANT:
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    return values.infer_objects()


def _read_extent(connection: Connection, record: Layer) -> Extent:
    family = tables_of(record).open
    # What was retracted is believed no more, and must not stretch the layer for ever.
    found = [
        connection.execute(_extent_of(t).where(t.c._rev_to == OPEN_REVISION)).one()
        for t in (family.live, family.history)
    ]
    found = [row for row in found if row.start is not None]
    boxed = [row for row in found if row.west is not None]
    bounds = None
    if boxed:
        whole = (
            min(row.west for row in boxed),
            min(row.south for row in boxed),
            max(row.east for row in boxed),
            max(row.north for row in boxed),
        )
        to_lonlat = Transformer.from_crs(parse_crs(record.schema.crs), CRS84, always_xy=True)
        bounds = to_lonlat.transform_bounds(*whole)
    is_open = any(row.end is None for row in found)
    return Extent(
        bounds,
        min((row.start for row in found), default=None),
        None if is_open else max((row.end for row in found), default=None),
    )


def _extent_of(table: sa.Table) -> sa.Select[Any]:
    c = table.c
    box = sa.func.ST_Extent(c._geom, type_=sa.Text)
    bounds = [
        getattr(sa.func, f"ST_{side}")(box, type_=sa.Double).label(name)
        for side, name in (("XMin", "west"), ("YMin", "south"), ("XMax", "east"), ("YMax", "north"))
    ]
    end = finite(sa.func.max(c._valid_to)).label("end")
    return sa.select(*bounds, sa.func.min(c._valid_from).label("start"), end)
