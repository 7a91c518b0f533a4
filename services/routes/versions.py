"""The versions of a feature: its time map (RFC 7089), as JSON, as links, and as a page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownFeature
from layers.reading.lifelines import lifeline_of
from layers.store import PublishedLayer, Snapshot
from services.access.rules import Rule
from services.doors import Door
from services.links import address, link, self_links
from services.memento import (
    LINK_FORMAT,
    http_date,
    kept_revision,
    link_format,
    link_header,
    memento_link,
    original_link,
)
from services.negotiation import GEOJSON, JSON, answer_bytes, check_format, prefers
from services.openapi import operation
from services.pages import respond
from services.parameters import Pins, check_names, read_pins
from services.routes.collections import find_layer
from services.routes.items import feature_document

_OFFERED = ("json", "html", "link-format")
_PINS = ("revision", "recorded", "commit")
_IN_HEADERS = ("self", "original", "latest-version")


async def versions(request: Request) -> Response:
    """Answer the versions of a feature, the first first."""
    check_format(request, offered=_OFFERED)
    check_names(request, (*_PINS, "f"))
    layer = await find_layer(request)
    feature_id = request.path_params["featureId"]
    pins = read_pins(request, layer.record)
    await run_in_threadpool(request.state.admitted.note, layer, "versions")
    snapshot, rows = await run_in_threadpool(_read_versions, layer, feature_id, pins)
    links = _links(request, snapshot, rows, pins)
    headers = {"Content-Revision": str(snapshot.moment.revision)}
    headers["Link"] = link_header(x for x in links if x["rel"] in _IN_HEADERS)
    if prefers(request, "link-format", LINK_FORMAT):
        return answer_bytes(request, link_format(links), LINK_FORMAT, headers)
    return respond(
        request,
        _document(request, snapshot, rows, links, pins),
        "versions.html",
        media_type=GEOJSON,
        headers=headers,
        layer=layer.record,
        fields=snapshot.shown.every,
    )


def _read_versions(
    layer: PublishedLayer, feature_id: str, pins: Pins
) -> tuple[Snapshot, list[sa.Row[Any]]]:
    revision = layer.at(**pins.known).moment.revision
    snapshot = layer.versions(feature_id, revision=revision)
    rows = snapshot.rows()
    if not rows:
        raise UnknownFeature(f"{layer.record.id} has no feature {feature_id!r}")
    return snapshot, rows


def _document(
    request: Request,
    snapshot: Snapshot,
    rows: list[sa.Row[Any]],
    links: list[dict[str, str]],
    pins: Pins,
) -> dict[str, Any]:
    layer_id, revision = snapshot.layer.record.id, kept_revision(snapshot.moment.revision, pins)
    found = [
        feature_document(snapshot, row, True)
        | {"links": [memento_link(request, layer_id, row._fid, row._valid_from, revision)]}
        for row in rows
    ]
    return {
        "type": "FeatureCollection",
        "id": request.path_params["featureId"],
        "collection": layer_id,
        "revision": snapshot.moment.revision,
        "numberReturned": len(found),
        "features": found,
        "links": links,
    }


def _links(
    request: Request, snapshot: Snapshot, rows: list[sa.Row[Any]], pins: Pins
) -> list[dict[str, str]]:
    """The time map itself: every version's link, the original's, and that of the last version."""
    layer_id, feature_id = snapshot.layer.record.id, request.path_params["featureId"]
    revision, starts = kept_revision(snapshot.moment.revision, pins), lifeline_of(rows).starts
    here = (request, layer_id, feature_id)
    segments = ("collections", layer_id, "items", feature_id, "versions")
    own, *others = self_links(request, GEOJSON, *segments)
    query = {k: v for k, v in request.query_params.multi_items() if k != "f"}
    plain = address(request, *segments, **query, f="link-format")
    return [
        own | _reach(starts),
        *others,
        link(plain, "alternate", LINK_FORMAT, "As links"),
        original_link(*here, revision),
        # The feature itself takes a datetime: it is its own gate to its versions.
        original_link(*here, revision, "timegate"),
        *(memento_link(*here, start, revision) for start in starts),
        memento_link(*here, starts[-1], revision, "latest-version"),
        link(address(request, "collections", layer_id), "collection", JSON, "The collection"),
    ]


def _reach(starts: tuple[datetime, ...]) -> dict[str, str]:
    return {"from": http_date(starts[0]), "until": http_date(starts[-1])}


DOORS = (
    # Before the feature itself, whose id may have slashes.
    Door(
        "/collections/{collectionId}/items/{featureId}/versions",
        "GET",
        versions,
        operation(
            "getVersions",
            "The versions of a feature · 历史版本",
            "features",
            parameters=("collectionId", "featureId", *_PINS, "f-versions"),
            media_types=(GEOJSON, "text/html", LINK_FORMAT),
            schema={"$ref": "#/components/schemas/FeatureCollection"},
        ),
        rule=Rule.LAYER,
    ),
)
