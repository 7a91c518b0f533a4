"""What a layer says of an instant, or an interval, at a revision: read, counted, streamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import geopandas as gpd
import pyarrow as pa
import sqlalchemy as sa
from pyproj import CRS
from sqlalchemy.engine import Connection

from layers import catalog
from layers.database import Database
from layers.errors import FeatureGone, UnknownFeature
from layers.model import Field, Kind, Layer, Schema
from layers.readers import Reader
from layers.reading.features import (
    Moment,
    Query,
    as_geojson,
    as_wkb,
    count_features,
    select_features,
    shown_to,
)
from layers.reading.forms import Form, written_as
from layers.reading.frames import as_frame, as_table
from layers.reading.sights import Shown
from layers.reading.streams import Part, Patience, ahead, read_parts
from spatial.crs import parse_crs

_STREAMED = 5000
# Rows of a part: large enough that what is done once a part is nothing to what is done with it.
_PART = 4096


@dataclass(frozen=True)
class Reading:
    """A layer as one reader reaches it: where it is, which it is, who reads."""

    database: Database
    record: Layer
    reader: Reader

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
    patience: Patience = field(default_factory=Patience)

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

    def where(self, **changes: Any) -> Snapshot:
        """Return the snapshot narrowed by parts of a Query (bbox, where, ids, after, limit)."""
        return dataclasses.replace(self, query=dataclasses.replace(self.query, **changes))

    def select(self, record: Layer) -> sa.Select[Any]:
        """Return the select of its features, for the layer's record of the running transaction."""
        return select_features(record, self.layer.reader, self.moment, self.query)

    def rows(self) -> list[sa.Row[Any]]:
        """Return its features with GeoJSON geometries: _fid, _valid_from, _valid_to, fields."""
        with self._reading() as (connection, record):
            return list(connection.execute(as_geojson(self.select(record), record)))

    def placed_rows(self, crs: CRS) -> list[sa.Row[Any]]:
        """Return `rows` with `_place`: the geometry as GeoJSON of another system."""
        with self._reading() as (connection, record):
            select = self.select(record)
            rows = as_geojson(select, record)
            place = written_as(Form.GEOJSON, rows.get_final_froms()[0].c._geom, record, crs)
            return list(connection.execute(rows.add_columns(place.label("_place"))))

    def scalar(self, build: Callable[[sa.Select[Any], Layer], sa.Select[Any]]) -> Any:
        """Return the one value of a select that is built around that of its features."""
        with self._reading() as (connection, record):
            return connection.scalar(build(self.select(record), record))

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
            what, select = self._shown(record), self.select(record)
            yield from read_parts(
                connection, select, record, what, form, target, patience, _PART, boxed=boxed
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
            rows = connection.execute(as_wkb(self.select(record))).all()
            return as_frame(rows, record.schema, self._fields(record))

    def table(self, **narrowed: Any) -> pa.Table:
        """Read its features into an Arrow table, narrowed as in `read`; the geometry is WKB."""
        if narrowed:
            return self.where(**narrowed).table()
        with self._reading() as (connection, record):
            rows = connection.execute(as_wkb(self.select(record))).all()
            return as_table(rows, record.schema, self._fields(record))

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

    def _partitions(
        self, connection: Connection, record: Layer, size: int
    ) -> Iterator[list[sa.Row[Any]]]:
        select = as_wkb(self.select(record))
        # Closed with the reading, also where nobody reads to the end.
        with connection.execution_options(yield_per=size).execute(select) as result:
            for rows in result.partitions():
                yield list(rows)

    def _reading(self) -> AbstractContextManager[tuple[Connection, Layer]]:
        return self.layer.reading(restricted=self.query.restricted)

    def _fields(self, record: Layer) -> tuple[Field, ...]:
        return self._shown(record).every

    def _shown(self, record: Layer) -> Shown:
        return shown_to(record, self.layer.reader, self.moment, self.query)
