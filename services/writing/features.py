"""Features as bodies state them: GeoJSON and JSON-FG, whole or as a merge patch of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

import orjson
import shapely
from pyproj import CRS

from layers.edits import UNSTATED
from layers.model import Field, Layer
from layers.readers import Reader
from services.errors import BadFeature, BadParameter
from services.systems import find_system
from services.writing.bodies import pointer
from services.writing.geometries import read_geometry
from services.writing.values import check_complete, read_values
from spatial.crs import CRS84, parse_crs
from spatial.errors import SpatialError
from spatial.periods import parse_instant

Path = tuple[str | int, ...]
# Members of GeoJSON and JSON-FG that are no properties, whatever a patch has beside them.
_MEMBERS = frozenset(
    "type id geometry properties time place coordRefSys featureType featureSchema conformsTo "
    "links bbox crs revision collection".split()
)


@dataclass(frozen=True)
class Current:
    """What a feature says now, as documents have it, to whoever is going to change it.

    Attributes
    ----------
    properties : mapping of str to value
    geometry : mapping or None
        GeoJSON, in longitude and latitude.
    """

    properties: Mapping[str, Any] = field(default_factory=dict)
    geometry: Mapping[str, Any] | None = None


NOTHING = Current()


@dataclass(frozen=True)
class Form:
    """What a body is read against.

    Attributes
    ----------
    record : Layer
    fields : mapping of str to Field
        Those that the writer sees somewhere.
    crs : CRS
        Of the body's geometries.
    path : tuple of str or int
        Where in the body the feature stands.
    """

    record: Layer
    fields: Mapping[str, Field]
    crs: CRS
    path: Path = ()

    def at(self, *path: str | int) -> Form:
        """Return the form of a feature that stands somewhere else in the body."""
        return dataclasses.replace(self, path=path)

    @property
    def zone(self) -> tzinfo:
        """The time zone of plain dates."""
        return self.record.schema.zone

    def where(self, *path: str | int) -> str:
        """Return the JSON pointer to a part of the feature."""
        return pointer(*self.path, *path)


@dataclass(frozen=True)
class Stated:
    """What a body states: values in the types of their fields, a shape in the storage system.

    Attributes
    ----------
    start, end : datetime or None
        From when, and until when, it is so in the world; None where that is not said.
    again : frozenset of str
        Properties of which it says what the feature says already.
    """

    id: str | None
    properties: Mapping[str, Any]
    geometry: Any
    start: datetime | None
    end: datetime | None
    again: frozenset[str] = frozenset()


def form_of(record: Layer, reader: Reader, crs: CRS | None = None) -> Form:
    """Return what the bodies of a writer are read against."""
    seen = (*reader.fields(record), *reader.restricted(record))
    return Form(record, {f.id: f for f in seen}, crs or parse_crs(CRS84))


def read_feature(document: Any, form: Form, current: Current = NOTHING) -> Stated:
    """Read a whole feature.

    Parameters
    ----------
    current : Current
        What it replaces; its keys are inherited, and its geometry, said again, is left as it is.

    Raises
    ------
    BadFeature
    """
    _check_members(document, form)
    inside, known = document["properties"] or {}, current.properties
    path = (*form.path, "properties")
    values = read_values(inside, form.fields, known, form.zone, path)
    for f in form.record.schema.keys:
        if f.id not in values and f.id in known:
            values[f.id] = known[f.id]
    check_complete(values, form.fields.values(), path)
    again = frozenset(n for n in inside if n in known and inside[n] == known[n])
    geometry: Any = UNSTATED
    if not _said_again(document, form, current):
        geometry = _geometry(document, form)
    return Stated(_id(document, form), values, geometry, *_time(document, form), again)


def read_patch(document: Any, form: Form, current: Current) -> Stated:
    """Read a merge patch (RFC 7396) of a feature, or of its properties alone.

    Raises
    ------
    BadFeature
    """
    if not isinstance(document, Mapping):
        raise BadFeature(("a merge patch of a feature is an object", form.where()))
    _check_type(document, form)
    inside = document.get("properties", {})
    if not isinstance(inside, Mapping):
        said = "to unset all properties at once is not possible; set those to null that are meant"
        raise BadFeature((said, form.where("properties")))
    # Part 4 has the properties at the root, as the schema of a collection has them.
    beside = {n: v for n, v in document.items() if n not in _MEMBERS}
    own = (form.fields, current.properties, form.zone)
    values = read_values(inside, *own, (*form.path, "properties"))
    values |= read_values(beside, *own, form.path)
    geometry: Any = UNSTATED
    if "geometry" in document or document.get("place") is not None:
        geometry = _geometry(_with_kind(document, current), form)
    return Stated(_id(document, form), values, geometry, *_time(document, form))


def current_of(properties: Mapping[str, Any], geometry: str | None) -> Current:
    """Return what a feature says now, of a document's properties and its geometry's text."""
    return Current(properties, None if geometry is None else orjson.loads(geometry))


def _check_members(document: Any, form: Form) -> None:
    if not isinstance(document, Mapping):
        raise BadFeature(("a GeoJSON feature is an object", form.where()))
    if document.get("type") == "FeatureCollection":
        said = "send one Feature; several go by POST /transactions"
        raise BadFeature((said, form.where("type")))
    _check_type(document, form)
    if "type" not in document:
        raise BadFeature(("it is missing; write Feature", form.where("type")))
    for name in ("properties", "geometry"):
        if name not in document and not (name == "geometry" and document.get("place")):
            raise BadFeature(("it is missing; null where there is none", form.where(name)))
    if not isinstance(document["properties"], Mapping | None):
        raise BadFeature(("they are an object, or null", form.where("properties")))


def _check_type(document: Mapping[str, Any], form: Form) -> None:
    if document.get("type", "Feature") != "Feature":
        raise BadFeature(("write Feature", form.where("type")))
    if document.get("crs") is not None:
        said = "say the reference system by the header Content-Crs; GeoJSON has no such member"
        raise BadFeature((said, form.where("crs")))


def _id(document: Mapping[str, Any], form: Form) -> str | None:
    stated = document.get("id")
    if stated is None or isinstance(stated, str):
        return stated
    if isinstance(stated, int) and not isinstance(stated, bool):
        return str(stated)
    raise BadFeature(("an id is a text", form.where("id")))


def _said_again(document: Mapping[str, Any], form: Form, current: Current) -> bool:
    """Whether a geometry is the one that was read: with fewer digits than are stored."""
    lonlat = form.crs == parse_crs(CRS84) and document.get("place") is None
    return lonlat and current.geometry is not None and document["geometry"] == current.geometry


def _geometry(document: Mapping[str, Any], form: Form) -> shapely.Geometry | None:
    """The geometry; of JSON-FG the place, which may be in any system, where there is one."""
    schema, place = form.record.schema, document.get("place")
    if place is None:
        return read_geometry(document.get("geometry"), form.crs, schema, form.where("geometry"))
    crs, where = form.crs, form.where("place")
    stated = document.get("coordRefSys")
    if isinstance(place, Mapping) and place.get("coordRefSys") is not None:
        stated = place["coordRefSys"]
    if stated is not None:
        if not isinstance(stated, str):
            raise BadFeature(("a reference system is the URI of one", f"{where}/coordRefSys"))
        try:
            crs = find_system("coordRefSys", stated, schema)
        except BadParameter as error:
            raise BadFeature((str(error), f"{where}/coordRefSys")) from None
    return read_geometry(place, crs, schema, where)


def _with_kind(document: Mapping[str, Any], current: Current) -> Mapping[str, Any]:
    """A patch of a geometry may have its coordinates alone: the type is merged into it."""
    geometry = document.get("geometry")
    if not isinstance(geometry, Mapping) or "type" in geometry or current.geometry is None:
        return document
    return {**document, "geometry": {"type": current.geometry["type"], **geometry}}


def _time(document: Mapping[str, Any], form: Form) -> tuple[datetime | None, datetime | None]:
    """The period in the world: JSON-FG's, which is closed, as ours, which is half-open.

    A version ends at the instant at which the next begins, in both.
    """
    time = document.get("time")
    if time is None:
        return None, None
    interval = time.get("interval") if isinstance(time, Mapping) else None
    if not isinstance(interval, list) or len(interval) != 2:
        said = 'write {"interval": [start, end]}, with ".." for an end that is open'
        raise BadFeature((said, form.where("time")))
    start, end = (_instant(text, form, n) for n, text in enumerate(interval))
    if start is None:
        said = "say from when on it is so, or leave the time out for now"
        raise BadFeature((said, form.where("time", "interval", 0)))
    return start, end


def _instant(text: Any, form: Form, number: int) -> datetime | None:
    if text in (None, ".."):
        return None
    try:
        if isinstance(text, str):
            return parse_instant(text, form.zone)
    except SpatialError as error:
        raise BadFeature((str(error), form.where("time", "interval", number))) from None
    raise BadFeature(("an instant is a text", form.where("time", "interval", number)))
