"""Features of a collection: a page of them, one of them, and the versions of one."""

from __future__ import annotations

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
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, base_url, link, self_links
from services.negotiation import (
    GEOJSON,
    JSON,
    check_format,
    has_etag,
    make_etag,
    not_modified,
    wants_html,
)
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import (
    Pins,
    check_names,
    page_limit,
    read_pins,
    write_datetime,
    write_token,
)
from services.queries import OWN, Asked, read_query
from services.routes.collections import find_layer
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, format_version_instant, parse_version_instant

_VERSION_ID = re.compile(r"(.+)\.(\d{8}T\d{6}\.\d{6}Z)")
_PROFILES = "http://www.opengis.net/def/profile/OGC/0/"
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked of a collection, and the rows that were found."""

    asked: Asked
    limit: int
    notes: tuple[str, ...]
    rows: Sequence[sa.Row[Any]]
    matched: int | None

    @property
    def more(self) -> bool:
        """Whether there are rows beyond the page, in the direction in which it was read."""
        return len(self.rows) > self.limit

    @property
    def shown(self) -> Sequence[sa.Row[Any]]:
        """The rows of the page; one more was read to know whether there are others."""
        if not self.more:
            return self.rows
        return self.rows[1:] if self.asked.backwards else self.rows[:-1]


async def items(request: Request) -> Response:
    """Answer a page of features."""
    check_format(request)
    asked = await run_in_threadpool(_ask, request)
    known = _validator(request, asked)
    if known is not None and has_etag(request, known):
        return not_modified(request, known, _headers(asked), pinned=asked.pinned)
    page = await run_in_threadpool(_read_page, asked)
    document = _page_document(request, page)
    stable = None
    if not asked.steady:
        # The answer says which instant was now; that alone makes it no other answer.
        stable = orjson.dumps(document | {"datetime": None, "links": []})
    return respond(
        request,
        document,
        "items.html",
        media_type=GEOJSON,
        headers=_headers(asked),
        pinned=asked.pinned,
        stable=stable,
        etag=known,
        layer=asked.layer.record,
        fields=asked.snapshot.chosen.every,
    )


def _ask(request: Request) -> Asked:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "items")
    return read_query(request, layer)


def _validator(request: Request, asked: Asked) -> str | None:
    """The tag of an answer that can be told before it is made; None where it can't."""
    layer = asked.layer
    if wants_html(request) or not asked.steady or layer.reader.may_see_restricted(layer.record):
        return None
    moment, sight = asked.snapshot.moment, layer.reader.sight(layer.record)
    told = (
        layer.record.id,
        str(moment.revision),
        write_datetime(moment.when),
        "" if asked.pinned else format_instant(moment.now),
        sight.fingerprint,
        base_url(request),
        request.app.version,
        request.url.query,
    )
    return make_etag("\n".join(told).encode())


def _read_page(asked: Asked) -> Page:
    limit, note = page_limit(asked.limit)
    rows = asked.snapshot.where(limit=limit + 1).rows(asked.crs)
    matched = None
    if asked.count:
        matched = asked.snapshot.count()
    elif not asked.paged and len(rows) <= limit:
        matched = len(rows)
    elif asked.is_whole:
        matched = asked.layer.known_count(asked.snapshot.moment)
    return Page(asked, limit, () if note is None else (note,), rows, matched)


def _page_document(request: Request, page: Page) -> dict[str, Any]:
    asked = page.asked
    snapshot, layer = asked.snapshot, asked.layer.record
    document: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": [feature_document(snapshot, r, asked.several) for r in page.shown],
        "numberMatched": page.matched,
        "numberReturned": len(page.shown),
        "collection": layer.id,
        "revision": snapshot.moment.revision,
        "datetime": write_datetime(snapshot.moment.when),
        "synthetic": layer.schema.synthetic,
        "links": _page_links(request, page),
    }
    if page.matched is None:
        del document["numberMatched"]
    if page.notes:
        document["notes"] = list(page.notes)
    return document


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
    headers = _pinned_to(snapshot)
    headers["Memento-Datetime"] = _http_date(row._valid_from)
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
        headers=_pinned_to(snapshot),
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
        "properties": {n: _value(v) for n, v in snapshot.chosen.properties(row).items()},
        "time": {"interval": [format_instant(row._valid_from), _end(end)]},
    }


def version_id(row: sa.Row[Any]) -> str:
    """Return the id of one version of a feature."""
    return f"{row._fid}.{format_version_instant(row._valid_from)}"


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
    segments = ("collections", page.asked.layer.record.id, "items")
    links = self_links(request, GEOJSON, *segments)
    links.append(link(address(request, *segments[:2]), "collection", JSON, "The collection"))
    backwards = page.asked.backwards
    if page.shown and (page.more or backwards):
        href = _beside(request, page, page.shown[-1], backwards=False)
        links.append(link(href, "next", GEOJSON, "The next page · 下一页"))
    if page.shown and (page.more if backwards else page.asked.paged):
        href = _beside(request, page, page.shown[0], backwards=True)
        links.append(link(href, "prev", GEOJSON, "The page before · 上一页"))
    return links


def _beside(request: Request, page: Page, row: sa.Row[Any], *, backwards: bool) -> str:
    """The address of the page after a row, or before it, with both axes pinned."""
    snapshot = page.asked.snapshot
    key = (*(row._mapping[name] for name in snapshot.order.names), row._fid, row._valid_from)
    given = request.query_params.multi_items()
    query = {k: v for k, v in given if k not in ("recorded", "commit", "offset")}
    query |= {
        "token": write_token(key, backwards=backwards),
        "revision": str(snapshot.moment.revision),
        "datetime": write_datetime(snapshot.moment.when),
    }
    return address(request, "collections", page.asked.layer.record.id, "items", **query)


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


def _headers(asked: Asked) -> dict[str, str]:
    headers = _pinned_to(asked.snapshot, asked.crs_uri)
    if asked.several:
        profile = f"{_PROFILES}versions-as-features-unique-ids"
        headers["Link"] = f'<{profile}>; rel="profile"'
    return headers


def _pinned_to(snapshot: Snapshot, system: str = _CRS84) -> dict[str, str]:
    return {"Content-Crs": f"<{system}>", "Content-Revision": str(snapshot.moment.revision)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return value.isoformat() if isinstance(value, date) else value


def _end(end: datetime | None) -> str:
    return ".." if end is None else format_instant(end)


def _http_date(instant: datetime) -> str:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    day, month = days[instant.weekday()], months[instant.month - 1]
    return f"{day}, {instant.day:02} {month} {instant.year:04} {instant:%H:%M:%S} GMT"


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
            parameters=("collectionId", *OWN),
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
