"""Tiles of several collections at once: one request, one tile, a layer for each collection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownRevision
from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.negotiation import answer_bytes, check_format
from services.openapi import operation
from services.parameters import Pins, check_names, read_pins_in
from services.routes.tiles import find_place
from services.tile_documents import picture_formats
from tiles.errors import NotAnInstant
from tiles.grids import Place
from tiles.vector import MEDIA_TYPE, tile

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
    content, selection = await run_in_threadpool(_read_tile, request, where)
    used = ", ".join(f"{layer.record.id}={s.moment.revision}" for layer, s in selection.found)
    headers = {"Content-Revision": used} if used else {}
    pinned, status = selection.pinned, 200 if content else 204
    return answer_bytes(request, content, MEDIA_TYPE, headers, pinned=pinned, status=status)


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


def _read_tile(request: Request, where: Place) -> tuple[bytes, Selection]:
    admitted: Admitted = request.state.admitted
    selection = read_selection(request)
    parts = []
    for layer, snapshot in selection.found:
        admitted.note(layer, "tile")
        parts.append(tile(snapshot, where))
    # The layers of a tile are a repeated field: tiles one after the other are one tile.
    return b"".join(parts), selection


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
