"""Tiles of several collections at once: one request, one tile, a layer for each collection."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownRevision
from layers.reading.features import Query
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.negotiation import answer_bytes, check_format, make_etag
from services.openapi import operation
from services.parameters import Pins, check_names, read_pins_in
from services.routes.tiles import find_place
from services.tile_documents import picture_formats
from services.tile_questions import question_of
from spatial.periods import parse_instant
from tiles.errors import NotAnInstant
from tiles.grids import Place
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.vector import MEDIA_TYPE

# Of plain dates: several layers may each have a zone of their own.
ZONE = ZoneInfo("Asia/Shanghai")
SEVERAL = ("collections", "datetime", "recorded", "commit")


@dataclass(frozen=True, slots=True)
class Selection:
    """The layers that a request is of, each as known then; one that was not known is not there."""

    pins: Pins
    found: tuple[tuple[PublishedLayer, Snapshot], ...]
    named: bool

    @property
    def pinned(self) -> bool:
        """Whether the answer can never change: which layers there are must be said too."""
        return self.pins.complete and self.named


async def dataset_tile(request: Request) -> Response:
    """Answer one tile of several layers; 204 where nothing lies in it."""
    check_format(request, offered=("mvt",))
    check_several(request, (*SEVERAL, "f"))
    where = find_place(request)
    selection, questions = await run_in_threadpool(_ask, request, where)
    maker: TileMaker = request.app.state.tiles
    tiles = [await maker.answer(question) for question in questions]
    # The layers of a tile are a repeated field: tiles one after the other are one tile.
    content = b"".join(tile.body for tile in tiles)
    used = ", ".join(f"{layer.record.id}={s.moment.revision}" for layer, s in selection.found)
    headers = {"Content-Revision": used} if used else {}
    thinned = [q.layer.record.id for q, t in zip(questions, tiles, strict=True) if t.thinned]
    if thinned:
        headers["Shikong-Thinned"] = ", ".join(thinned)
    etag = make_etag("".join(tile.etag for tile in tiles).encode())
    own = (request, content, MEDIA_TYPE, headers)
    status = 200 if content else 204
    return answer_bytes(*own, pinned=selection.pinned, status=status, etag=etag)


def check_several(request: Request, known: tuple[str, ...]) -> None:
    """Refuse parameters that a resource of several layers does not have.

    Raises
    ------
    BadParameter
    """
    if "revision" in request.query_params:
        raise BadParameter(
            "revision is the number of one layer's state, and this is of several layers; pin them "
            "all with commit=<number or tag> or recorded=<instant>"
        )
    check_names(request, known, ZONE)


def read_selection(request: Request) -> Selection:
    """Return the layers that ``collections`` names, all with vectors where absent, at their pins.

    Raises
    ------
    UnknownLayer, UnknownCommit
        Where there is none for this caller.
    BadParameter
        Where a name says nothing, or a layer has no vectors.
    NotAnInstant
        For an interval.
    """
    admitted: Admitted = request.state.admitted
    pins = read_pins_in(request, ZONE)
    if pins.when is not None and not isinstance(pins.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    now = admitted.clock()
    found = []
    for layer in _layers(request):
        try:
            found.append((layer, layer.at(pins.when, **pins.known, now=now)))
        except UnknownRevision:
            # Nothing of it was known then, and so there is nothing to see.
            continue
    return Selection(pins, tuple(found), "collections" in request.query_params)


def _layers(request: Request) -> list[PublishedLayer]:
    admitted: Admitted = request.state.admitted
    text = request.query_params.get("collections")
    if text is None:
        every = [layer for layer in admitted.published() if not picture_formats(layer)]
        return sorted(every, key=lambda layer: layer.record.id)
    names = dict.fromkeys(name.strip() for name in text.split(","))
    if "" in names:
        raise BadParameter(f"collections={text!r}: write ids with commas between, parcels,grids")
    found = [admitted.layer(name) for name in names]
    for layer in found:
        if picture_formats(layer):
            raise BadParameter(f"{layer.record.id} is of pictures, and has no vector tiles")
    return found


def _ask(request: Request, where: Place) -> tuple[Selection, list[TileQuestion]]:
    admitted: Admitted = request.state.admitted
    selection = read_selection(request)
    questions = []
    for layer, snapshot in selection.found:
        admitted.note(layer, "tile", restricted=False)
        pins = dataclasses.replace(selection.pins, when=_instant(selection.pins, layer, request))
        if pins.knows:
            # Found already: a commit, or an instant, is a revision of each layer.
            known = snapshot.moment.revision
            pins = dataclasses.replace(pins, revision=known, recorded=None, commit=None)
        questions.append(question_of(layer, pins, where, Query(), None).question)
    return selection, questions


def _instant(pins: Pins, layer: PublishedLayer, request: Request) -> datetime | None:
    """The instant of a layer: the one that is asked for, else its own default."""
    default = layer.record.schema.default_datetime
    if default is not None and "datetime" not in request.query_params:
        return parse_instant(default, layer.record.schema.zone)
    return pins.when if isinstance(pins.when, datetime) else None


DOORS = (
    Door(
        "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        "GET",
        dataset_tile,
        operation(
            "tiles.dataset.vector.getTile",
            "A vector tile of several layers · 多图层矢量瓦片",
            "tiles",
            parameters=(
                "tileMatrixSetId",
                "tileMatrix",
                "tileRow",
                "tileCol",
                *SEVERAL,
                "f-tile",
            ),
            media_types=(MEDIA_TYPE,),
        ),
        (
            "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/collections-selection",
            "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/datetime",
        ),
        rule=Rule.CATALOGUE,
    ),
)
