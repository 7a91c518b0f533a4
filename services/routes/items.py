"""Features of a collection: a page of them, one of them, and the versions of one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownFeature
from layers.model import Kind
from layers.reading.features import Query
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.negotiation import GEOJSON, JSON, check_format, wants_html
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import (
    Pins,
    check_names,
    read_bbox,
    read_limit,
    read_pins,
    read_token,
    write_datetime,
    write_token,
)
from services.routes.collections import find_layer
from services.validators import feature_tag, http_date
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, format_version_instant, parse_version_instant

_VERSION_ID = re.compile(r"(.+)\.(\d{8}T\d{6}\.\d{6}Z)")
_PROFILES = "http://www.opengis.net/def/profile/OGC/0/"
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_OWN = ("bbox", *TIME, "limit", "token", "f")


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked of a collection, and what was found."""

    layer: PublishedLayer
    snapshot: Snapshot
    rows: Sequence[sa.Row[Any]]
    matched: int
    limit: int
    note: str | None
    pins: Pins

    @property
    def several(self) -> bool:
        """Whether one feature may stand here in several versions."""
        state = self.layer.record.schema.kind is Kind.STATE
        return state and isinstance(self.snapshot.moment.when, Interval)

    @property
    def pinned(self) -> bool:
        """Whether this answer can never change; events of a day to come can still happen."""
        when, now = self.pins.when, self.snapshot.moment.now
        ended = not isinstance(when, Interval) or when.end is None or when.end <= now
        return self.pins.complete and ended

    @property
    def shown(self) -> Sequence[sa.Row[Any]]:
        """The rows of the page; one more was read to know whether there is a next."""
        return self.rows[: self.limit]


async def items(request: Request) -> Response:
    """Answer a page of features."""
    check_format(request)
    page = await run_in_threadpool(_read_page, request)
    layer_id = page.layer.record.id
    document = {
        "type": "FeatureCollection",
        "features": [feature_document(page.snapshot, r, page.several) for r in page.shown],
        "numberMatched": page.matched,
        "numberReturned": len(page.shown),
        "collection": layer_id,
        "revision": page.snapshot.moment.revision,
        "datetime": write_datetime(page.snapshot.moment.when),
        "synthetic": page.layer.record.schema.synthetic,
        "links": _page_links(request, page),
    }
    if page.note:
        document["notes"] = [page.note]
    stable = None
    if page.pins.when is None:
        # The answer says which instant was now; that alone makes it no other answer.
        stable = orjson.dumps(document | {"datetime": None, "links": []})
    headers = _headers(page.snapshot)
    if page.several:
        profile = f"{_PROFILES}versions-as-features-unique-ids"
        headers["Link"] = f'<{profile}>; rel="profile"'
    return respond(
        request,
        document,
        "items.html",
        media_type=GEOJSON,
        headers=headers,
        pinned=page.pinned,
        stable=stable,
        layer=page.layer.record,
        fields=page.snapshot.shown.every,
    )


async def item(request: Request) -> Response:
    """Answer one feature at an instant, or one version by its own id."""
    check_format(request)
    check_names(request, (*TIME, "f"))
    layer = await find_layer(request)
    feature_id = request.path_params["featureId"]
    pins = read_pins(request, layer.record)
    if isinstance(pins.when, Interval):
        raise BadParameter("one feature is as it is at an instant; all that it was is at /versions")
    await run_in_threadpool(request.state.admitted.note, layer, "item")
    snapshot, row, unique = await run_in_threadpool(_read_one, layer, feature_id, pins)
    document = feature_document(snapshot, row, unique)
    document |= {
        "revision": snapshot.moment.revision,
        "links": _item_links(request, layer, row, snapshot),
    }
    headers = _headers(snapshot)
    headers["Memento-Datetime"] = http_date(row._valid_from)
    if not wants_html(request) and not unique:
        headers["ETag"] = feature_tag(snapshot, row)
        headers["Last-Modified"] = http_date(row._recorded)
    return respond(
        request,
        document,
        "item.html",
        media_type=GEOJSON,
        headers=headers,
        pinned=pins.complete,
        layer=layer.record,
        fields=snapshot.shown.every,
    )


async def versions(request: Request) -> Response:
    """Answer the versions of a feature, the first first."""
    check_format(request)
    check_names(request, ("revision", "recorded", "commit", "f"))
    layer = await find_layer(request)
    feature_id = request.path_params["featureId"]
    pins = read_pins(request, layer.record)
    await run_in_threadpool(request.state.admitted.note, layer, "versions")
    snapshot, rows = await run_in_threadpool(_read_versions, layer, feature_id, pins)
    layer_id = layer.record.id
    found = []
    for row in rows:
        href = address(
            request,
            "collections",
            layer_id,
            "items",
            version_id(row),
            revision=pins.revision,
        )
        found.append(
            feature_document(snapshot, row, True)
            | {"links": [link(href, "memento", GEOJSON, format_instant(row._valid_from))]}
        )
    original = address(request, "collections", layer_id, "items", feature_id)
    document = {
        "type": "FeatureCollection",
        "id": feature_id,
        "collection": layer_id,
        "revision": snapshot.moment.revision,
        "numberReturned": len(found),
        "features": found,
        "links": [
            *self_links(request, GEOJSON, "collections", layer_id, "items", feature_id, "versions"),
            link(original, "original", GEOJSON, feature_id),
        ],
    }
    return respond(
        request,
        document,
        "versions.html",
        media_type=GEOJSON,
        headers=_headers(snapshot),
        layer=layer.record,
        fields=snapshot.shown.every,
    )


def feature_document(snapshot: Snapshot, row: sa.Row[Any], unique: bool) -> dict[str, Any]:
    """Return a row as a GeoJSON feature; the geometry's text goes in as it is.

    Parameters
    ----------
    unique : bool
        Whether the id is that of the version, because the feature may stand there several times.
    """
    end = row._valid_to
    geometry = None if row._geom is None else orjson.Fragment(row._geom)
    return {
        "type": "Feature",
        "id": version_id(row) if unique else row._fid,
        "geometry": geometry,
        "properties": {n: _value(v) for n, v in snapshot.shown.properties(row).items()},
        "time": {"interval": [format_instant(row._valid_from), _end(end)]},
    }


def version_id(row: sa.Row[Any]) -> str:
    """Return the id of one version of a feature."""
    return f"{row._fid}.{format_version_instant(row._valid_from)}"


def _read_page(request: Request) -> Page:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "items")
    pins = read_pins(request, layer.record)
    snapshot = layer.at(pins.when, **pins.known)
    check_names(request, (*_OWN, *snapshot.fields))
    limit, note = read_limit(request)
    equal = {k: v for k, v in request.query_params.items() if k not in _OWN}
    query = Query(bbox=read_bbox(request), placeless=True, equal=equal, restricted=True)
    matching = dataclasses.replace(snapshot, query=query)
    paged = matching.where(after=read_token(request), limit=limit + 1)
    return Page(layer, snapshot, paged.rows(), matching.count(), limit, note, pins)


def _read_one(
    layer: PublishedLayer, feature_id: str, pins: Pins
) -> tuple[Snapshot, sa.Row[Any], bool]:
    """Return the feature's row; of a version id, the row of that version."""
    snapshot = layer.at(pins.when, **pins.known)
    match = _VERSION_ID.fullmatch(feature_id)
    if match is not None:
        row = _read_version(layer, match[1], match[2], snapshot.moment.revision)
        if row is not None:
            return snapshot, row, True
    return snapshot, snapshot.one(feature_id), False


def _read_version(
    layer: PublishedLayer, feature_id: str, start: str, revision: int
) -> sa.Row[Any] | None:
    try:
        wanted = parse_version_instant(start)
    except SpatialError:
        return None
    rows = layer.versions(feature_id, revision=revision).rows()
    return next((row for row in rows if row._valid_from == wanted), None)


def _read_versions(
    layer: PublishedLayer, feature_id: str, pins: Pins
) -> tuple[Snapshot, list[sa.Row[Any]]]:
    revision = layer.at(**pins.known).moment.revision
    snapshot = layer.versions(feature_id, revision=revision)
    rows = snapshot.rows()
    if not rows:
        raise UnknownFeature(f"{layer.record.id} has no feature {feature_id!r}")
    return snapshot, rows


def _page_links(request: Request, page: Page) -> list[dict[str, str]]:
    segments = ("collections", page.layer.record.id, "items")
    links = self_links(request, GEOJSON, *segments)
    links.append(link(address(request, *segments[:2]), "collection", JSON, "The collection"))
    if len(page.rows) > page.limit:
        last, moment = page.shown[-1], page.snapshot.moment
        following = {
            "token": write_token(last._fid, last._valid_from),
            "revision": moment.revision,
            "datetime": write_datetime(moment.when),
        }
        given = request.query_params.multi_items()
        query = {k: v for k, v in given if k not in ("recorded", "commit")}
        href = address(request, *segments, **(query | following))
        links.append(link(href, "next", GEOJSON, "The next page"))
    return links


def _item_links(
    request: Request, layer: PublishedLayer, row: sa.Row[Any], snapshot: Snapshot
) -> list[dict[str, str]]:
    layer_id, revision = layer.record.id, request.query_params.get("revision")
    segments = ("collections", layer_id, "items", row._fid)
    memento = ("collections", layer_id, "items", version_id(row))
    history = address(request, *segments, "versions", revision=revision)
    return [
        *self_links(
            request, GEOJSON, "collections", layer_id, "items", request.path_params["featureId"]
        ),
        link(address(request, *segments), "original", GEOJSON, "The feature, now"),
        link(address(request, *memento, revision=revision), "memento", GEOJSON, "This version"),
        link(history, "timemap", GEOJSON, "Its versions"),
        link(history, "version-history", GEOJSON, "Its versions"),
        link(address(request, "collections", layer_id), "collection", JSON, "The collection"),
    ]


def _headers(snapshot: Snapshot) -> dict[str, str]:
    return {"Content-Crs": f"<{_CRS84}>", "Content-Revision": str(snapshot.moment.revision)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return value.isoformat() if isinstance(value, date) else value


def _end(end: datetime | None) -> str:
    return ".." if end is None else format_instant(end)


_FEATURES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
_SCHEMA: Mapping[str, Any] = {"$ref": "#/components/schemas/FeatureCollection"}
_TYPES = (GEOJSON, "text/html")
DOORS = (
    Door(
        "/collections/{collectionId}/items",
        "GET",
        items,
        operation(
            "getFeatures",
            "Features of a collection · 要素",
            "features",
            parameters=("collectionId", "bbox", *TIME, "limit", "token", "f"),
            media_types=_TYPES,
            schema=_SCHEMA,
        ),
        tuple(f"{_FEATURES}{name}" for name in ("core", "geojson", "html", "oas30")),
        rule=Rule.LAYER,
    ),
    # Before the feature itself, whose id may have slashes.
    Door(
        "/collections/{collectionId}/items/{featureId}/versions",
        "GET",
        versions,
        operation(
            "getVersions",
            "The versions of a feature · 历史版本",
            "features",
            parameters=("collectionId", "featureId", "revision", "recorded", "commit", "f"),
            media_types=_TYPES,
            schema=_SCHEMA,
        ),
        rule=Rule.LAYER,
    ),
    Door(
        "/collections/{collectionId}/items/{featureId}",
        "GET",
        item,
        operation(
            "getFeature",
            "One feature · 单个要素",
            "features",
            parameters=("collectionId", "featureId", *TIME, "f"),
            media_types=_TYPES,
            errors=(400, 401, 404, 406, 410, 422),
        ),
        rule=Rule.LAYER,
    ),
)
