"""What a request for a tile asks: time, filter and properties, as a question to the tiles floor."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from functools import lru_cache

from starlette.requests import Request

from layers.readers import Known
from layers.reading.features import Query
from layers.reading.kept import is_timed
from layers.store import PublishedLayer, Snapshot
from services.errors import BadParameter
from services.openapi import TIME
from services.parameters import FILTER, Pins, check_names, read_filter_parameters, read_pins
from tiles.content import OWN
from tiles.errors import NotAnInstant
from tiles.grids import Place
from tiles.keeping.kept import State
from tiles.keeping.making import PictureQuestion, TileQuestion, key_of
from tiles.raster import PictureFormat
from tiles.vector import open_fields

PARAMETERS = (*TIME, *FILTER, "properties", "f")
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Asked:
    """A tile that a request asks for.

    Attributes
    ----------
    pins : Pins
        The time as the request states it.
    """

    question: TileQuestion
    pins: Pins

    @property
    def is_pinned(self) -> bool:
        """Whether the answer can never change."""
        return self.pins.complete


def read_tile_question(request: Request, layer: PublishedLayer, where: Place) -> Asked:
    """Read every parameter of a request for one layer's tile.

    Raises
    ------
    BadParameter, BadQuery
        Naming the parameter and what it may be.
    NotAnInstant
        For an interval.
    """
    check_names(request, PARAMETERS, layer.record.schema.zone)
    pins = read_pins(request, layer.record, default=True)
    query = Query(**read_filter_parameters(request))
    return question_of(layer, pins, where, query, request.query_params.get("properties"))


def picture_of(layer: PublishedLayer, pins: Pins, where: Place, picture: PictureFormat) -> Asked:
    """Return the question for a raster layer's map tile."""
    asked = question_of(layer, pins, where, Query(), None)
    own = asked.question
    key = None if own.key is None else key_of(own.key, picture)
    known = (own.layer, own.snapshot, own.where, own.names, own.scope, key, own.state)
    return Asked(PictureQuestion(*known, picture), asked.pins)


def question_of(
    layer: PublishedLayer, pins: Pins, where: Place, query: Query, properties: str | None
) -> Asked:
    """Return the question for one layer's tile.

    Parameters
    ----------
    query : Query
        With its filter alone.
    properties : str, optional
        Names with commas between, ``all``, or nothing; by the content rule where absent.
    """
    if pins.when is not None and not isinstance(pins.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    now = layer.present() if not pins.knows else None
    snapshot = layer.at(pins.when, **pins.known, now=now)
    head = snapshot.moment.revision == layer.record.head
    if pins.knows and pins.when is None and head:
        snapshot = layer.at(None, revision=layer.record.head, now=layer.present())
    if query.filter is not None:
        snapshot = dataclasses.replace(snapshot, query=query)
    names = _read_names(properties, snapshot)
    steady = pins.when is not None or head
    return Asked(_question(layer, snapshot, where, names, pins, steady=steady), pins)


def _question(
    layer: PublishedLayer,
    snapshot: Snapshot,
    where: Place,
    names: tuple[str, ...] | None,
    pins: Pins,
    *,
    steady: bool,
) -> TileQuestion:
    moment = snapshot.moment
    recorded, when = layer.recorded(moment.revision), moment.when
    assert recorded is not None and isinstance(when, datetime)  # noqa: S101, PT018
    scope, query = layer.sight.fingerprint, snapshot.query
    key = None
    # What somebody sees for some time only is not kept, nor is a past state at a passing instant.
    if steady and not is_timed(layer.sight):
        address = (where.matrix_set.id, where.zoom, where.row, where.column)
        told = None if query.filter is None else (repr(query.filter), query.filter_crs.srs)
        known = (moment.revision, recorded) if pins.knows else None
        shown = when if pins.when is not None else None
        form = schema_form(Known(snapshot.schema))
        key = key_of(layer.record.id, form, scope, address, names, told, known, shown)
    state = State(moment.revision, recorded, when)
    return TileQuestion(layer, snapshot, where, names, scope, key, state)


@lru_cache(maxsize=1024)
def schema_form(known: Known) -> str:
    """Return a text that differs wherever a schema makes other tiles of the same features."""
    schema = known.schema
    fields = [
        (f.id, f.type.value, f.visibility.value, f.role, bool(f.codes), f.zoom)
        for f in schema.fields
    ]
    own = (schema.kind.value, schema.geometry, schema.crs, schema.raster, schema.value_range)
    return key_of(*own, fields)


def _read_names(text: str | None, snapshot: Snapshot) -> tuple[str, ...] | None:
    if text is None:
        return None
    known = (*OWN, *(f.id for f in open_fields(snapshot) if f.id not in OWN))
    if text == ALL:
        return known
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    for name in names:
        if name not in known:
            raise BadParameter(f"there is no property {name!r}; there are: {', '.join(known)}")
    return names


def knows_question(request: Request, layer: PublishedLayer) -> bool:
    """Return whether `read_tile_question` asks nothing of the database."""
    query = request.query_params
    if "recorded" in query or "commit" in query:
        return False
    revision = query.get("revision", "")
    if revision.isdigit() and len(revision) < 10:
        return layer.known_recorded(int(revision)) is not None and layer.knows_present
    return layer.knows_present
