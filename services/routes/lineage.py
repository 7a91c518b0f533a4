"""What a feature came from, and what came of it: splits and merges, with their documents."""

from __future__ import annotations

import functools
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownFeature
from layers.model import Link
from layers.published import PublishedLayer
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.memento import kept_revision, original_link
from services.negotiation import GEOJSON, JSON, check_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import Pins, check_names, read_pins
from spatial.periods import Interval, format_instant


async def lineage(request: Request) -> Response:
    """Answer all ancestors and all descendants of a feature."""
    check_format(request)
    check_names(request, (*TIME, "f"))
    document, layer, pins = await run_in_threadpool(_read, request)
    headers = {"Content-Revision": str(document["revision"])}
    more: dict[str, Any] = {"layer": layer.record, "pinned": pins.complete}
    return respond(request, document, "lineage.html", headers=headers, **more)


def _read(request: Request) -> tuple[dict[str, Any], PublishedLayer, Pins]:
    layer: PublishedLayer = request.state.admitted.layer(request.path_params["collectionId"])
    request.state.admitted.note(layer, "lineage")
    pins = read_pins(request, layer.record)
    until = pins.when
    if isinstance(until, Interval):
        raise BadParameter("datetime: lineage is what had happened by an instant; write one")
    feature_id = request.path_params["featureId"]
    revision = layer.at(**pins.known).moment.revision
    if not layer.lifeline(feature_id, revision=revision).periods:
        raise UnknownFeature(f"{layer.record.id} has no feature {feature_id!r}")
    up, down = layer.lineage(feature_id, revision=revision, until=until)
    kept = kept_revision(revision, pins)
    write = functools.partial(_link_document, request, layer, kept)
    here = ("collections", layer.record.id, "items", feature_id)
    history = address(request, *here, "versions", revision=kept)
    document = {
        "id": feature_id,
        "collection": layer.record.id,
        "revision": revision,
        "datetime": None if until is None else format_instant(until),
        "ancestors": [write(found, found.ancestor) for found in up],
        "descendants": [write(found, found.descendant) for found in down],
        "links": [
            *self_links(request, JSON, *here, "lineage"),
            original_link(request, layer.record.id, feature_id, kept),
            link(history, "version-history", GEOJSON, "Its versions"),
        ],
    }
    return document, layer, pins


def _link_document(
    request: Request, layer: PublishedLayer, kept: int | None, found: Link, other: str
) -> dict[str, Any]:
    """That one came from another; the commit and its document are for staff."""
    said: dict[str, Any] = {
        "ancestor": found.ancestor,
        "descendant": found.descendant,
        "at": format_instant(found.at),
        "revision": found.revision,
    }
    if layer.reader.knows_internals(layer.record):
        said |= {"commit": found.commit, "document": found.document}
    here = ("collections", layer.record.id, "items", other, "versions")
    href = address(request, *here, revision=kept)
    return said | {"links": [link(href, "version-history", GEOJSON, other)]}


DOORS = (
    # Before the feature itself, whose id may have slashes.
    Door(
        "/collections/{collectionId}/items/{featureId}/lineage",
        "GET",
        lineage,
        operation(
            "getLineage",
            "What a feature came from, and what came of it · 沿革",
            "features",
            parameters=("collectionId", "featureId", *TIME, "f"),
        ),
        rule=Rule.LAYER,
    ),
)
