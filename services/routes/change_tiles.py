"""Vector tiles of what differs between two revisions of a layer, or between two instants."""

from __future__ import annotations

from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.store import PublishedLayer, Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.negotiation import answer_bytes, check_format
from services.openapi import operation
from services.parameters import check_names
from services.routes.changes import Span, read_span
from services.routes.tiles import find_place
from tiles.grids import Place
from tiles.keeping.kept import State
from tiles.keeping.making import ChangeQuestion, TileMaker, key_of
from tiles.vector import MEDIA_TYPE

_OWN = ("from", "to", "datetime", "f")


async def change_tile(request: Request) -> Response:
    """Answer one tile of changes; 204 where nothing in it differs."""
    check_format(request, offered=("mvt",))
    check_names(request, _OWN)
    where = find_place(request)
    asked, span = await run_in_threadpool(_ask, request, where)
    maker: TileMaker = request.app.state.tiles
    tile = await maker.answer(asked)
    headers = {"Content-Revision": f"{span.after}/{span.to}"}
    status = 200 if tile.body else 204
    own = (request, tile.body, MEDIA_TYPE, headers)
    pinned = span.pinned and span.when is not None
    return answer_bytes(*own, pinned=pinned, status=status, etag=tile.etag)


def _ask(request: Request, where: Place) -> tuple[ChangeQuestion, Span]:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "tile", restricted=False)
    span = read_span(request, layer)
    return _question(layer, span, where), span


def _question(layer: PublishedLayer, span: Span, where: Place) -> ChangeQuestion:
    first, last = span.when or (layer.present(), layer.present())
    old, new = _at(layer, span.after, first), _at(layer, span.to, last)
    scope = layer.sight.fingerprint
    address = (where.matrix_set.id, where.zoom, where.row, where.column)
    told = [
        (s.moment.revision, layer.recorded(s.moment.revision), s.moment.when) for s in (old, new)
    ]
    key = key_of("changes", layer.record.id, scope, address, told)
    recorded = layer.recorded(span.to) or layer.record.recorded_at
    assert recorded is not None  # noqa: S101 - a layer that is served has a revision
    state = State(span.to, recorded, last)
    return ChangeQuestion(layer, new, where, None, scope, key, state, old)


def _at(layer: PublishedLayer, revision: int, when: datetime) -> Snapshot:
    return layer.at(when, revision=revision) if revision else layer.before(when)


DOORS = (
    Door(
        "/collections/{collectionId}/changes/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        "GET",
        change_tile,
        operation(
            "getChangeTile",
            "A vector tile of what was created, changed and retired · 变更瓦片",
            "tiles",
            parameters=(
                "collectionId",
                "tileMatrixSetId",
                "tileMatrix",
                "tileRow",
                "tileCol",
                "from",
                "to",
                "datetime-changes",
                "f-tile",
            ),
            media_types=(MEDIA_TYPE,),
        ),
        rule=Rule.LAYER,
    ),
)
