"""What a layer says of an instant, or an interval, at a revision: read, counted, streamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from pyproj import CRS
from sqlalchemy.engine import Connection

from layers import catalog
from layers.database import Database
from layers.errors import FeatureGone, UnknownFeature
from layers.model import Field, Kind, Layer, Schema
from layers.rasters.copies import Copies
from layers.readers import Reader, Sight
from layers.reading.boxes import LONLAT
from layers.reading.features import Moment, Query, order_of, select_features, shown_to
from layers.reading.forms import Form
from layers.reading.frames import as_frame, as_table
from layers.reading.kept import Question, Rows, Statements, form_of, is_single, values_of, with_head
from layers.reading.lifelines import select_periods, with_periods
from layers.reading.marks import marked
from layers.reading.ordering import Order
from layers.reading.outputs import as_geojson, as_wkb, count_features
from layers.reading.sights import Shown
from layers.reading.streams import Part, Patience, ahead, read_parts
from spatial.crs import parse_crs

if TYPE_CHECKING:
    import geopandas as gpd

_STREAMED = 5000
_STATEMENTS = Statements()
_NONE: Mapping[str, Any] = {}
_OPENLY = Query(restricted=False)
# Nobody stops what nobody was given.
_ALL_THE_TIME = Patience()
# Rows of a part: large enough that what is done once a part is nothing to what is done with it.
_PART = 4096


@dataclass(frozen=True)
class Reading:
    """A layer as one reader reaches it: where it is, which it is, who reads.

    Attributes
    ----------
    copies : Copies
        Of the files of its scenes, where it is a raster layer.
    """

    database: Database
    record: Layer
    reader: Reader
    copies: Copies = field(default_factory=Copies, repr=False, compare=False)

    @cached_property
    def sight(self) -> Sight:
        """What of the layer, as it is now, the reader may see."""
        return self.reader.sight(self.record)

    @contextmanager
    def reading(self, *, restricted: bool = False) -> Iterator[tuple[Connection, Layer]]:
        """One consistent moment of the database, with the layer's record of that moment.

        Parameters
        ----------
        restricted : bool
            Whether restricted fields are wanted, where the reader may see any.
        """
        privileged = restricted and self.reader.may_see_restricted(self.record)
        with self.database.read(restricted=privileged) as connection:
            yield connection, catalog.read_layer(connection, self.record.id, self.reader)


@dataclass(frozen=True)
class Snapshot:
    """What a layer says about an instant (or interval) according to a revision."""

    layer: Reading
    moment: Moment
    query: Query = field(default_factory=Query)
    patience: Patience = _ALL_THE_TIME

    @property
    def schema(self) -> Schema:
        """The schema that the layer had at this revision."""
        return self.layer.record.as_of(self.moment.revision).schema

    @property
    def fields(self) -> tuple[str, ...]:
        """Ids of the fields that the reader sees in some row."""
        return self.shown.names

    @property
    def has_several(self) -> bool:
        """Whether one feature may stand here in several versions."""
        state = self.layer.record.schema.kind is Kind.STATE
        return state and not isinstance(self.moment.when, datetime)

    @cached_property
    def shown(self) -> Shown:
        """Which fields its rows have, and which only some of them have."""
        return self._shown(self.layer.record)

    @cached_property
    def shown_openly(self) -> Shown:
        """The same where no restricted field is wanted."""
        return shown_to(self.layer.record, self.layer.reader, self.moment, _OPENLY)

    @cached_property
    def chosen(self) -> Shown:
        """The same of those fields alone that the query wants."""
        return self.shown.chosen(self.query.only)

    @property
    def sortables(self) -> tuple[Field, ...]:
        """The fields that its rows can be ordered by."""
        sortable = {f.id for f in self.schema.sortables}
        return tuple(f for f in self.shown.fields if f.id in sortable)

    @cached_property
    def order(self) -> Order:
        """The order of its rows."""
        return self._order(self.layer.record)

    def where(self, **changes: Any) -> Snapshot:
        """Return the snapshot narrowed by parts of a Query (bbox, where, ids, after, limit)."""
        return dataclasses.replace(self, query=dataclasses.replace(self.query, **changes))

    def select(self, record: Layer) -> sa.Select[Any]:
        """Return the select of its features, for the layer's record of the running transaction."""
        select = select_features(record, self.layer.reader, self.moment, self.query)
        if self.query.marked:
            return marked(select, record, self.moment, self._shown(record))
        return select

    def rows(self, crs: CRS = LONLAT, place: CRS | None = None) -> list[sa.Row[Any]]:
        """Return its features with GeoJSON geometries: _fid, _valid_from, _valid_to, fields.

        Parameters
        ----------
        crs : CRS
            Of the coordinates, which come in the order of axes of its authority.
        place : CRS, optional
            Of `_place`, the geometry once more in another system; there is none where absent.
        """
        with self._reading() as (connection, record):
            rows = connection.execute(self._written(record, crs, place)).all()
            return list(reversed(rows)) if self.query.backwards else list(rows)

    def page(self, crs: CRS = LONLAT, place: CRS | None = None) -> Rows:
        """Return what `rows` returns as plain tuples, and sooner where that can be."""
        found = self._asked(
            ("geojson", crs.srs, None if place is None else place.srs),
            lambda record: self._written(record, crs, place),
        )
        return Rows(found.columns, found.rows[::-1]) if self.query.backwards else found

    async def page_soon(self, crs: CRS = LONLAT) -> Rows | None:
        """Return what `page` returns to whoever has an event loop; None where a thread must wait.

        It is so where no statement is kept for the query, or the layer was changed meanwhile.
        """
        form = ("geojson", crs.srs, None)
        found = await self._asked_soon(form, lambda record: self._written(record, crs, None))
        if found is None or not self.query.backwards:
            return found
        return Rows(found.columns, found.rows[::-1])

    async def lives_soon(self, crs: CRS = LONLAT) -> Rows | None:
        """Return its features as `page_soon` does, with ``_periods`` of all their versions.

        For a query of one feature: to ask for both at once takes hardly longer than for one.
        """
        always = dataclasses.replace(
            self,
            moment=dataclasses.replace(self.moment, when=None),
            query=Query(ids=self.query.ids, restricted=self.query.restricted),
        )

        def build(record: Layer) -> sa.Select[Any]:
            return with_periods(self._written(record, crs, None), always.select(record))

        return await self._asked_soon(("lives", crs.srs), build)

    def periods(self) -> Rows:
        """Return the periods of its versions alone, in order."""
        return self._asked("periods", lambda record: select_periods(self.select(record), record))

    def told(
        self,
        name: Any,
        build: Callable[[sa.Select[Any], Layer], sa.Select[Any]],
        values: Mapping[str, Any],
    ) -> Rows:
        """Return the rows of a select that is built around that of its features.

        Parameters
        ----------
        name : hashable
            All that the built select depends on but `values`: it is kept under that.
        values : mapping of str to value
            Inputs of it (`layers.reading.inputs.given`) beside those of the read.
        """
        return self._asked(name, self._built(build), values)

    async def told_soon(
        self,
        name: Any,
        build: Callable[[sa.Select[Any], Layer], sa.Select[Any]],
        values: Mapping[str, Any],
    ) -> Rows | None:
        """Return what `told` returns to whoever has an event loop; see `page_soon`."""
        return await self._asked_soon(name, self._built(build), values)

    def _built(
        self, build: Callable[[sa.Select[Any], Layer], sa.Select[Any]]
    ) -> Callable[[Layer], sa.Select[Any]]:
        revision = self.moment.revision
        return lambda record: build(self.select(record), record.as_of(revision))

    def _asked(
        self, name: Any, build: Callable[[Layer], sa.Select[Any]], more: Mapping[str, Any] = _NONE
    ) -> Rows:
        """Return the rows of a select that is built around its features; of a kept one, if any."""
        question, found = self._question(name, build, more), None
        if question is not None:
            sent = (question.kept.text, question.values)
            found = question.answer(self.layer.database.ask(*sent, single=question.single))
        if found is None:
            with self._reading() as (connection, record):
                result = connection.execute(build(record))
                found = Rows(tuple(result.keys()), list(result))
        return found

    async def _asked_soon(
        self, name: Any, build: Callable[[Layer], sa.Select[Any]], more: Mapping[str, Any] = _NONE
    ) -> Rows | None:
        question = self._question(name, build, more)
        if question is None:
            return None
        sent = (question.kept.text, question.values)
        rows = await self.layer.database.ask_soon(*sent, single=question.single)
        return question.answer(rows)

    def _question(
        self, name: Any, build: Callable[[Layer], sa.Select[Any]], more: Mapping[str, Any]
    ) -> Question | None:
        """What to ask by a kept statement; None where there can be none."""
        record = self.layer.record.as_of(self.moment.revision)
        same = record is self.layer.record
        sight = self.layer.sight if same else self.layer.reader.sight(record)
        form = form_of(record, sight, self.moment, self.query)
        if form is None:
            return None
        kept = _STATEMENTS.find((name, form))
        if kept is None:
            select, dialect = build(self.layer.record), self.layer.database.reading.dialect
            kept = _STATEMENTS.keep((name, form), with_head(select, record), dialect)
        values = kept.filled(values_of(record, self.moment, self.query) | dict(more))
        return Question(kept, values, record.head, is_single(self.query.ids))

    def _written(self, record: Layer, crs: CRS, place: CRS | None) -> sa.Select[Any]:
        return as_geojson(
            self.select(record),
            record,
            crs,
            place=place,
            order=self._order(record),
            leaving=self._shown(record).left_out(self.query.only),
            geometry=self.query.geometry,
        )

    def scalar(self, build: Callable[[sa.Select[Any], Layer], sa.Select[Any]]) -> Any:
        """Return the one value of a select that is built around that of its features."""
        with self._reading() as (connection, record):
            return connection.scalar(build(self.select(record), record))

    def fetch(self, build: Callable[[sa.Select[Any], Layer], sa.Select[Any]]) -> list[sa.Row[Any]]:
        """Return the rows of a select that is built around that of its features."""
        with self._reading() as (connection, record):
            return list(connection.execute(build(self.select(record), record)))

    def count(self) -> int:
        """Return how many features, or versions, it has."""
        with self._reading() as (connection, record):
            return int(connection.scalar(count_features(self.select(record))) or 0)

    def stream(self, size: int = _STREAMED) -> Iterator[gpd.GeoDataFrame]:
        """Yield its features as frames of at most `size` rows, in bounded memory."""
        with self._reading() as (connection, record):
            for rows in self._partitions(connection, record, size):
                yield as_frame(rows, record.schema, self._fields(record))

    def batches(self, size: int = _STREAMED) -> Iterator[pa.Table]:
        """Yield its features as Arrow tables of at most `size` rows, in bounded memory."""
        with self._reading() as (connection, record):
            for rows in self._partitions(connection, record, size):
                yield as_table(rows, record.schema, self._fields(record))

    def parts(
        self, form: Form = Form.WKB, crs: CRS | None = None, *, boxed: bool = False
    ) -> Generator[Part, None, None]:
        """Yield all of its features, fast, in bounded memory, for as long as `patience` lasts.

        Parameters
        ----------
        form : Form
            Of the geometries: WKB, GeoJSON or WKT.
        crs : CRS, optional
            Of the geometries; the storage system where absent.
        boxed : bool
            Whether their boxes are wanted.

        Raises
        ------
        StreamStopped
            Where nobody reads any more.
        """
        patience = self.patience.of_one()
        return ahead(self._parts(form, crs, patience, boxed=boxed), patience)

    def _parts(
        self, form: Form, crs: CRS | None, patience: Patience, *, boxed: bool
    ) -> Generator[Part, None, None]:
        with self._reading() as (connection, record):
            record = record.as_of(self.moment.revision)
            target = parse_crs(record.schema.crs) if crs is None else crs
            yield from read_parts(
                connection,
                self.select(record),
                record,
                self._shown(record).chosen(self.query.only),
                form,
                target,
                patience,
                _PART,
                self._order(record),
                geometry=self.query.geometry,
                boxed=boxed,
            )

    def read(self, **narrowed: Any) -> gpd.GeoDataFrame:
        """Read its features into a GeoDataFrame in the layer's reference system.

        Parameters
        ----------
        **narrowed
            Parts of a Query: ``bbox=(west, south, east, north)``, ``where={"zone": "east",
            "area_m2": (">=", 100), "use": ["0701", "0702"]}``, ``ids=[...]``.

        Returns
        -------
        GeoDataFrame
            Index ``id``; ``valid_from`` and ``valid_to`` (UTC, NaT while open); the fields;
            ``geometry``. A field of one of these names has an underscore after it.
        """
        if narrowed:
            return self.where(**narrowed).read()
        with self._reading() as (connection, record):
            rows = connection.execute(as_wkb(self.select(record), self._order(record))).all()
            return as_frame(rows, record.schema, self._fields(record))

    def table(self, **narrowed: Any) -> pa.Table:
        """Read its features into an Arrow table, narrowed as in `read`; the geometry is WKB."""
        if narrowed:
            return self.where(**narrowed).table()
        with self._reading() as (connection, record):
            rows = connection.execute(as_wkb(self.select(record), self._order(record))).all()
            return as_table(rows, record.schema, self._fields(record))

    def one(self, feature_id: str, crs: CRS = LONLAT) -> sa.Row[Any]:
        """Return one feature's row, as `rows` gives them.

        Raises
        ------
        FeatureGone
            Where it exists at another time.
        UnknownFeature
            Where it never did, as far as this revision knows.
        """
        rows = self.where(ids=[feature_id], limit=1).rows(crs)
        if rows:
            return rows[0]
        always = dataclasses.replace(self, moment=dataclasses.replace(self.moment, when=None))
        layer_id = self.layer.record.id
        if always.where(ids=[feature_id]).count():
            raise FeatureGone(f"{feature_id!r} of {layer_id} is there at another time, not then")
        raise UnknownFeature(f"{layer_id} has no feature {feature_id!r}")

    def _partitions(
        self, connection: Connection, record: Layer, size: int
    ) -> Iterator[list[sa.Row[Any]]]:
        select = as_wkb(self.select(record), self._order(record))
        # Closed with the reading, also where nobody reads to the end.
        with connection.execution_options(yield_per=size).execute(select) as result:
            for rows in result.partitions():
                yield list(rows)

    def _reading(self) -> AbstractContextManager[tuple[Connection, Layer]]:
        return self.layer.reading(restricted=self.query.restricted)

    def _fields(self, record: Layer) -> tuple[Field, ...]:
        return self._shown(record).every

    def _order(self, record: Layer) -> Order:
        return order_of(record, self.layer.reader, self.moment, self.query)

    def _shown(self, record: Layer) -> Shown:
        return shown_to(record, self.layer.reader, self.moment, self.query)
