"""One feature, at an instant or in one of its versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyproj import CRS
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import FeatureGone
from layers.reading.boxes import LONLAT
from layers.reading.lifelines import Lifeline
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.feature_documents import feature_document
from services.formats import ITEM, Format, json_fg
from services.links import address, base_url, link
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which feature is asked for, as of when, and in which form.

    Attributes
    ----------
    snapshot : Snapshot
        Of the instant; of one feature the present is no part of the answer: its tag tells what it
        says.
    crs : CRS or None
        Of the coordinates, None where the request names none.
    """

    layer: PublishedLayer
    snapshot: Snapshot
    feature_id: str
    pins: Pins
    crs: CRS | None
    chosen: Format

    @property
    def one(self) -> Snapshot:
        """The snapshot of the feature alone, with what its tag is made of."""
        return self.snapshot.where(ids=[self.feature_id], limit=1, marked=True)

    @property
    def may_be_version(self) -> bool:
        """Whether the id may be that of a version."""
        return _VERSION_ID.fullmatch(self.feature_id) is not None


@dataclass(frozen=True, slots=True)
class Found:
    """The row that was found, and all periods of its feature.

    Attributes
    ----------
    unique : bool
        Whether the version was asked for by an id of its own.
    """

    row: Any
    lifeline: Lifeline
    unique: bool = False


async def item(request: Request) -> Response:
    """Answer one feature at an instant, or one version by its own id."""
    chosen = choose_format(request, ITEM)
    unchanged = _unchanged(request, chosen)
    if unchanged is not None:
        return unchanged
    answer = await _answer_soon(request, chosen)
    return await run_in_threadpool(_answer, request, chosen) if answer is None else answer


def _unchanged(request: Request, chosen: Format) -> Response | None:
    """Answer 304 where nothing has happened since the client was told: nothing is asked."""
    if not any(name == b"if-none-match" for name, _ in request.scope["headers"]):
        return None
    layer = _known_layer(request)
    if layer is None:
        return None
    found = _tags(request).find(_state(request, layer, chosen))
    if found is None or not has_etag(request, found.etag):
        return None
    return not_modified(request, found.etag, found.headers, pinned=found.pinned)


def _known_layer(request: Request) -> PublishedLayer | None:
    """The layer of the path, if it and its present are known without asking.

    None where the audit notes who reads it: that is asked of the database, too.
    """
    admitted: Admitted = request.state.admitted
    layer = admitted.known_layer(request.path_params["collectionId"])
    known = layer is not None and layer.knows_present and not admitted.notes(layer)
    return layer if known else None


def _tags(request: Request) -> Tags:
    tags: Tags = request.app.state.tags
    return tags


def _state(request: Request, layer: PublishedLayer, chosen: Format) -> Any:
    """All that an answer of now depends on."""
    scope = request.scope
    asked = (base_url(request), scope["path"], scope["query_string"], chosen.name)
    return (*asked, layer.record.id, layer.record.head, layer.present(), layer.sight.fingerprint)


async def _answer_soon(request: Request, chosen: Format) -> Response | None:
    """Answer what one statement tells; None where it takes more than that, or a thread."""
    layer = _known_layer(request)
    asked = request.query_params
    if layer is None or chosen.name != "json" or "recorded" in asked or "commit" in asked:
        return None
    wanted = _read_wanted(request, layer, chosen)
    if wanted.may_be_version:
        return None
    rows = await wanted.one.lives_soon(wanted.crs or LONLAT)
    if rows is None:
        return None
    row = next(rows.named())
    found = Found(row, Lifeline(tuple((start, end) for start, end in row._periods)))
    return _tell(request, wanted, found)


def _answer(request: Request, chosen: Format) -> Response:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    wanted = _read_wanted(request, layer, chosen)
    admitted.note(layer, "item")
    try:
        found = _find(wanted)
    except FeatureGone as error:
        return answer_gone(request, str(error), _gone_links(request, wanted))
    return _tell(request, wanted, found)


def _read_wanted(request: Request, layer: PublishedLayer, chosen: Format) -> Wanted:
    check_names(request, (*TIME, "crs", "f"))
    pins = read_pins(request, layer.record, default=True)
    if isinstance(pins.when, Interval):
        raise BadParameter("one feature is as it is at an instant; all that it was is at /versions")
    crs = read_crs(request, layer.record.schema)
    snapshot = layer.at(pins.when, **pins.known)
    return Wanted(layer, snapshot, request.path_params["featureId"], pins, crs, chosen)


def _tell(request: Request, wanted: Wanted, found: Found) -> Response:
    """Answer with the row that was found."""
    snapshot, row, pins, chosen = wanted.snapshot, found.row, wanted.pins, wanted.chosen
    links = _item_links(request, wanted, found)
    document = feature_document(snapshot, row, found.unique)
    if pins.knows or chosen.name == "html":
        # Else it would be another answer after each commit, though the feature is as it was.
        document["revision"] = snapshot.moment.revision
    document["links"] = links
    if chosen.name == "jsonfg":
        document = json_fg.root(json_fg.feature(document, row), snapshot, wanted.crs)
    system = CRS84 if wanted.crs is None or chosen.name == "jsonfg" else wanted.crs
    headers = {
        "Content-Crs": f"<{crs_uri(system)}>",
        "Content-Revision": str(snapshot.moment.revision),
        "Memento-Datetime": http_date(row._valid_from),
        "Link": link_header(links),
        "Last-Modified": http_date(row._recorded),
    }
    tag = feature_tag(snapshot, row, _form(chosen, wanted.crs))
    layer, admitted = wanted.layer, request.state.admitted
    if chosen.name != "html" and not pins.knows and not admitted.notes(layer):
        told = Remembered(tag, headers, pinned=pins.complete)
        _tags(request).keep(_state(request, layer, chosen), told)
    return respond(
        request,
        document,
        "item.html",
        media_type=chosen.media_type,
        as_page=chosen.name == "html",
        headers=headers,
        pinned=pins.complete,
        etag=tag,
        layer=layer.record,
        fields=snapshot.shown.every,
    )


def _form(chosen: Format, crs: CRS | None) -> str:
    """What makes one answer of a version another."""
    return chosen.name if crs is None else f"{chosen.name}.{crs_uri(crs).rpartition('/')[2]}"


def _find(wanted: Wanted) -> Found:
    """Return the feature's row; of a version id, the row of that version."""
    revision = wanted.snapshot.moment.revision
    match = _VERSION_ID.fullmatch(wanted.feature_id)
    if match is not None:
        every = wanted.layer.versions(match[1], revision=revision)
        row = _find_version(_read_rows(wanted, every.where(marked=True)), match[2])
        if row is not None:
            return Found(row, wanted.layer.lifeline(row._fid, revision=revision), unique=True)
    rows = _read_rows(wanted, wanted.one)
    row = rows[0] if rows else wanted.snapshot.one(wanted.feature_id)
    return Found(row, wanted.layer.lifeline(row._fid, revision=revision))


def _read_rows(wanted: Wanted, snapshot: Snapshot) -> Sequence[Any]:
    if wanted.chosen.name == "jsonfg":
        return json_fg.read_rows(snapshot, wanted.crs)
    return list(snapshot.page(wanted.crs or LONLAT).named())


def _find_version(rows: Sequence[Any], start: str) -> Any:
    try:
        instant = parse_version_instant(start)
    except SpatialError:
        return None
    return next((row for row in rows if row._valid_from == instant), None)


def _item_links(request: Request, wanted: Wanted, found: Found) -> list[dict[str, str]]:
    layer_id, row = wanted.layer.record.id, found.row
    kept = kept_revision(wanted.snapshot.moment.revision, wanted.pins)
    links = version_links(request, layer_id, row._fid, found.lifeline, row._valid_from, kept)
    links.append(link(address(request, "collections", layer_id), "collection", JSON, "The layer"))
    return links


def _gone_links(request: Request, wanted: Wanted) -> list[dict[str, str]]:
    layer, pins = wanted.layer, wanted.pins
    revision = layer.at(**pins.known).moment.revision
    lifeline = layer.lifeline(wanted.feature_id, revision=revision)
    kept = kept_revision(revision, pins)
    return gone_links(request, layer.record.id, wanted.feature_id, lifeline, kept)


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
