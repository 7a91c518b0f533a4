"""What describes tiles: tilesets of one collection and of several, as metadata and as TileJSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Title
from layers.store import PublishedLayer
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import NotAcceptable
from services.links import address, base_url, said_again, self_links, written_query
from services.negotiation import JSON, answer_json, check_format, prefers
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import FILTER, check_names, read_filter_parameters, read_pins
from services.routes.dataset_tiles import SEVERAL, check_several, read_selection
from services.tile_documents import (
    TILEJSON,
    Part,
    Tiled,
    describe_tilejson,
    describe_tileset,
    is_mercator,
    list_tilesets,
)
from services.tile_questions import ALL
from tiles.errors import NotAnInstant
from tiles.grids import matrix_set

_FORMATS = ("json", "html", "tilejson")
# What a tile's address carries on, of that of the document that describes it.
_OF_ONE = (*TIME, *FILTER, "properties")
_DATASET = Title("All layers in one tile", "多图层瓦片")
_ABOUT_DATASET = Title("A layer of the tile for each collection.", "每个图层为瓦片中的一层。")


async def tilesets(request: Request) -> Response:
    """Answer the tilesets of a collection."""
    check_format(request)
    check_names(request, (*_OF_ONE, "f"))
    tiled = await run_in_threadpool(_read_one, request, ("tiles",))
    layer = tiled.parts[0].layer.record
    return respond(request, list_tilesets(tiled), "tilesets.html", layer=layer)


async def tileset(request: Request) -> Response:
    """Answer one tileset's description."""
    check_format(request, offered=_FORMATS)
    check_names(request, (*_OF_ONE, "f"))
    name = request.path_params["tileMatrixSetId"]
    matrix_set(name)
    tiled = await run_in_threadpool(_read_one, request, ("tiles", name))
    return answer_tileset(request, tiled, name, layer=tiled.parts[0].layer.record)


async def dataset_tilesets(request: Request) -> Response:
    """Answer the tilesets of several collections."""
    check_format(request)
    check_several(request, (*SEVERAL, "f"))
    tiled = await run_in_threadpool(_read_several, request, ("tiles",))
    return respond(request, list_tilesets(tiled), "tilesets.html", layer=None)


async def dataset_tileset(request: Request) -> Response:
    """Answer one tileset's description, of several collections."""
    check_format(request, offered=_FORMATS)
    check_several(request, (*SEVERAL, "f"))
    name = request.path_params["tileMatrixSetId"]
    matrix_set(name)
    tiled = await run_in_threadpool(_read_several, request, ("tiles", name))
    return answer_tileset(request, tiled, name, layer=None)


def answer_tileset(
    request: Request, tiled: Tiled, name: str, page: str = "tileset.html", **context: Any
) -> Response:
    """Answer with a tileset's metadata, as TileJSON where that is asked for.

    Raises
    ------
    NotAcceptable
        For TileJSON of a matrix set that it does not know.
    """
    if not prefers(request, "tilejson", TILEJSON):
        return respond(request, describe_tileset(tiled, name), page, **context)
    if not is_mercator(name):
        raise NotAcceptable(
            f"TileJSON knows only the zooms of Mercator, and {name} has others; ask for f=json, or "
            "for the tileset WebMercatorQuad"
        )
    named = request.query_params.get("f") is not None
    return answer_json(
        request, describe_tilejson(tiled, name), media_type=JSON if named else TILEJSON
    )


def _read_one(request: Request, here: tuple[str, ...]) -> Tiled:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    schema, pins = layer.record.schema, read_pins(request, layer.record)
    if pins.when is not None and not isinstance(pins.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    read_filter_parameters(request)
    revision = layer.at(pins.when, **pins.known).moment.revision
    names = request.query_params.get("properties")
    wanted = None if names in (None, ALL) else frozenset(str(names).split(","))
    segments = ("collections", layer.record.id)
    return Tiled(
        schema.title,
        schema.description,
        address(request, *segments, "tiles"),
        base_url(request),
        (_part(layer, revision, wanted),),
        said_again(request, ("f",), {}),
        tuple(self_links(request, JSON, *segments, *here)),
    )


def _read_several(request: Request, here: tuple[str, ...]) -> Tiled:
    selection = read_selection(request)
    parts = tuple(_part(layer, at.moment.revision) for layer, at in selection.found)
    said = said_again(request, ("f",), {})
    if selection.pins.complete and not selection.named:
        # Only where the layers are named can the tiles be kept for ever.
        names = ",".join(part.layer.record.id for part in parts)
        said = written_query({k: v for k, v in request.query_params.items() if k != "f"})
        said += f"&collections={names}"
    return Tiled(
        _DATASET,
        _ABOUT_DATASET,
        address(request, "tiles"),
        base_url(request),
        parts,
        said,
        tuple(self_links(request, JSON, *here)),
    )


def _part(layer: PublishedLayer, revision: int, wanted: frozenset[str] | None = None) -> Part:
    # Where the features of an older state lay is not known without reading them.
    bounds = layer.extent().bounds if revision == layer.record.head else None
    return Part(layer, bounds, wanted)


_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"
_TMS = "http://www.opengis.net/spec/tms/2.0/conf/"
_HERE = "/collections/{collectionId}/tiles"
_KINDS = (JSON, "text/html")
_ONE_KINDS = (*_KINDS, TILEJSON)


def _door(
    path: str,
    handler: Callable[..., Any],
    name: str,
    summary: str,
    parameters: tuple[str, ...],
    *conformance: str,
) -> Door:
    one = path.endswith("}")
    own = tuple(p for p in ("collectionId", "tileMatrixSetId") if f"{{{p}}}" in path)
    described = operation(
        name,
        summary,
        "tiles",
        parameters=(*own, *parameters, "f-tileset" if one else "f"),
        media_types=_ONE_KINDS if one else _KINDS,
    )
    rule = Rule.LAYER if "collectionId" in own else Rule.CATALOGUE
    return Door(path, "GET", handler, described, conformance, rule=rule)


DOORS = (
    _door(
        _HERE,
        tilesets,
        "tiles.collection.vector.getTileSetsList",
        "Tilesets · 瓦片集",
        _OF_ONE,
        *(f"{_TILES}{n}" for n in ("core", "tilesets-list", "geodata-tilesets", "mvt", "oas30")),
    ),
    _door(
        _HERE + "/{tileMatrixSetId}",
        tileset,
        "tiles.collection.vector.getTileSet",
        "One tileset · 单个瓦片集",
        _OF_ONE,
        f"{_TILES}tileset",
        *(f"{_TMS}{n}" for n in ("tilesetmetadata", "json-tilesetmetadata")),
        *(f"{_TMS}{n}" for n in ("tilematrixsetlimits", "json-tilematrixsetlimits")),
    ),
    _door(
        "/tiles",
        dataset_tilesets,
        "tiles.dataset.vector.getTileSetsList",
        "Tilesets of several layers · 多图层瓦片集",
        SEVERAL,
        f"{_TILES}dataset-tilesets",
    ),
    _door(
        "/tiles/{tileMatrixSetId}",
        dataset_tileset,
        "tiles.dataset.vector.getTileSet",
        "One tileset of several layers · 单个多图层瓦片集",
        SEVERAL,
    ),
)
