"""One feature, at an instant or in one of its versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyproj import CRS
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import FeatureGone
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.feature_documents import feature_document
from services.formats import ITEM, Format, json_fg
from services.links import address, link
from services.memento import (
    answer_gone,
    gone_links,
    kept_revision,
    link_header,
    version_links,
)
from services.negotiation import GEOJSON, JSON, choose_format, has_etag, not_modified
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import Pins, check_names, read_pins
from services.queries import read_crs
from services.remembering import Remembered, Tags
from services.validators import feature_tag, http_date
from spatial.crs import CRS84, crs_uri
from spatial.errors import SpatialError
from spatial.periods import Interval, parse_version_instant

_VERSION_ID = re.compile(r"(.+)\.(\d{8}T\d{6}\.\d{6}Z)")


async def item(request: Request) -> Response:
    """Answer one feature at an instant, or one version by its own id."""
    chosen = choose_format(request, ITEM)
    unchanged = _unchanged(request, chosen)
    if unchanged is not None:
        return unchanged
    return await run_in_threadpool(_answer, request, chosen)


def _unchanged(request: Request, chosen: Format) -> Response | None:
    """Answer 304 where nothing has happened since the client was told: nothing is asked."""
    if "if-none-match" not in request.headers:
        return None
    admitted: Admitted = request.state.admitted
    layer = admitted.known_layer(request.path_params["collectionId"])
    if layer is None or not layer.knows_present or admitted.notes(layer):
        return None
    found = _tags(request).find(_state(request, layer, chosen))
    if found is None or not has_etag(request, found.etag):
        return None
    return not_modified(request, found.etag, found.headers, pinned=found.pinned)


def _tags(request: Request) -> Tags:
    tags: Tags = request.app.state.tags
    return tags


def _state(request: Request, layer: PublishedLayer, chosen: Format) -> Any:
    """All that an answer of now depends on."""
    sight = layer.reader.sight(layer.record).fingerprint
    asked = (str(request.url), chosen.name)
    return (*asked, layer.record.id, layer.record.head, layer.present(), sight)


def _answer(request: Request, chosen: Format) -> Response:
    check_names(request, (*TIME, "crs", "f"))
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    pins = read_pins(request, layer.record)
    if isinstance(pins.when, Interval):
        raise BadParameter("one feature is as it is at an instant; all that it was is at /versions")
    admitted.note(layer, "item")
    crs = read_crs(request, layer.record.schema)
    feature_id = request.path_params["featureId"]
    read = partial(_read_rows, crs=crs, chosen=chosen)
    try:
        snapshot, row, unique = _read_one(layer, feature_id, pins, read)
    except FeatureGone as error:
        return answer_gone(request, str(error), _gone_links(request, layer, feature_id, pins))
    links = _item_links(request, layer, row, snapshot, pins)
    document = feature_document(snapshot, row, unique)
    if pins.knows or chosen.name == "html":
        # Else it would be another answer after each commit, though the feature is as it was.
        document["revision"] = snapshot.moment.revision
    document["links"] = links
    if chosen.name == "jsonfg":
        document = json_fg.root(json_fg.feature(document, row), snapshot, crs)
    system = crs if crs is not None and chosen.name != "jsonfg" else CRS84
    headers = {
        "Content-Crs": f"<{crs_uri(system)}>",
        "Content-Revision": str(snapshot.moment.revision),
        "Memento-Datetime": http_date(row._valid_from),
        "Link": link_header(links),
        "Last-Modified": http_date(row._recorded),
    }
    tag = feature_tag(snapshot, row, _form(chosen, crs))
    if chosen.name != "html" and not pins.knows and not admitted.notes(layer):
        told = Remembered(tag, headers, pinned=pins.complete)
        _tags(request).keep(_state(request, layer, chosen), told)
    return respond(
        request,
        document,
        "item.html",
        media_type=chosen.media_type,
        headers=headers,
        pinned=pins.complete,
        etag=tag,
        layer=layer.record,
        fields=snapshot.shown.every,
    )


def _form(chosen: Format, crs: CRS | None) -> str:
    """What makes one answer of a version another."""
    return chosen.name if crs is None else f"{chosen.name}.{crs_uri(crs).rpartition('/')[2]}"


def _read_rows(snapshot: Snapshot, crs: CRS | None, chosen: Format) -> Sequence[Any]:
    snapshot = snapshot.where(marked=True)
    if chosen.name == "jsonfg":
        return json_fg.read_rows(snapshot, crs)
    found = snapshot.page() if crs is None else snapshot.page(crs)
    return list(found.named())


def _read_one(
    layer: PublishedLayer,
    feature_id: str,
    pins: Pins,
    read: Callable[[Snapshot], Sequence[Any]],
) -> tuple[Snapshot, Any, bool]:
    """Return the feature's row; of a version id, the row of that version."""
    # Of one feature the present instant is no part of the answer: its tag tells what it says.
    snapshot = layer.at(pins.when, **pins.known)
    match = _VERSION_ID.fullmatch(feature_id)
    if match is not None:
        every = layer.versions(match[1], revision=snapshot.moment.revision)
        row = _find_version(read(every), match[2])
        if row is not None:
            return snapshot, row, True
    rows = read(snapshot.where(ids=[feature_id], limit=1))
    return snapshot, rows[0] if rows else snapshot.one(feature_id), False


def _find_version(rows: Sequence[Any], start: str) -> Any:
    try:
        wanted = parse_version_instant(start)
    except SpatialError:
        return None
    return next((row for row in rows if row._valid_from == wanted), None)


def _item_links(
    request: Request, layer: PublishedLayer, row: Any, snapshot: Snapshot, pins: Pins
) -> list[dict[str, str]]:
    layer_id, read = layer.record.id, snapshot.moment.revision
    lifeline = layer.lifeline(row._fid, revision=read)
    kept = kept_revision(read, pins)
    links = version_links(request, layer_id, row._fid, lifeline, row._valid_from, kept)
    links.append(link(address(request, "collections", layer_id), "collection", JSON, "The layer"))
    return links


def _gone_links(
    request: Request, layer: PublishedLayer, feature_id: str, pins: Pins
) -> list[dict[str, str]]:
    revision = layer.at(**pins.known).moment.revision
    lifeline = layer.lifeline(feature_id, revision=revision)
    kept = kept_revision(revision, pins)
    return gone_links(request, layer.record.id, feature_id, lifeline, kept)


DOORS = (
    Door(
        "/collections/{collectionId}/items/{featureId}",
        "GET",
        item,
        operation(
            "getFeature",
            "One feature · 单个要素",
            "features",
            parameters=("collectionId", "featureId", *TIME, "crs", "f-item"),
            media_types=(GEOJSON, "text/html"),
            errors=(400, 401, 404, 406, 410, 422),
        ),
        rule=Rule.LAYER,
    ),
)
