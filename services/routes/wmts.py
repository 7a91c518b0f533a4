"""WMTS 1.0.0 over the same tiles, for desktop GIS: by parameters, and by addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import BadRequest, NotFound, UnknownLayer
from services.access.admission import Admitted
from services.access.rules import Rule, ruled
from services.doors import Door
from services.errors import BadParameter, NotAcceptable, WmtsFault
from services.links import base_url, written_query
from services.negotiation import answer_bytes
from services.openapi import operation
from services.openapi_tiles import WMTS
from services.parameters import check_names
from services.problems import DETAILS, STATUS, status_of
from services.wmts_documents import (
    CURRENT,
    FORMATS,
    STYLE,
    VERSION,
    XML,
    describe_service,
    formats_of,
    report,
)
from spatial.errors import SpatialError
from tiles.errors import TileOutside, TilesError, UnknownMatrixSet

_NEEDED = ("layer", "format", "tilematrixset", "tilematrix", "tilerow", "tilecol")
_OPERATIONS = ("GetCapabilities", "GetTile")
# What the doors find wrong, as OWS calls it, and the parameter that it is of.
_CODES: Mapping[type[Exception], tuple[str, str | None]] = {
    UnknownLayer: ("InvalidParameterValue", "layer"),
    UnknownMatrixSet: ("InvalidParameterValue", "tilematrixset"),
    TileOutside: ("TileOutOfRange", None),
    NotAcceptable: ("InvalidParameterValue", "format"),
    BadParameter: ("InvalidParameterValue", None),
    BadRequest: ("InvalidParameterValue", None),
    TilesError: ("InvalidParameterValue", None),
    SpatialError: ("InvalidParameterValue", None),
}
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One tile, as WMTS asks for it."""

    layer: str
    style: str
    matrix_set: str
    numbers: tuple[str, str, str]
    time: str
    media_type: str


def _reporting(handler: Handler) -> Handler:
    """Put around a handler what says in XML what went wrong."""

    @wraps(handler)
    async def reported(request: Request) -> Response:
        try:
            return await handler(request)
        except tuple(STATUS) as error:
            return _report(error)

    return reported


@_reporting
async def wmts(request: Request) -> Response:
    """Answer what is asked by parameters, whose names are of any case."""
    asked = _lowered(request)
    if asked.get("service", "WMTS").upper() != "WMTS":
        raise WmtsFault("InvalidParameterValue", "service", "this is a WMTS: service=WMTS")
    for name in ("service", "request"):
        _required(asked, name)
    wanted = {name.lower(): name for name in _OPERATIONS}.get(asked["request"].lower())
    if wanted is None:
        told = f"request={asked['request']!r}: there are {' and '.join(_OPERATIONS)}"
        raise WmtsFault("OperationNotSupported", "request", told)
    if wanted == "GetCapabilities":
        return await _capabilities(request, asked.get("acceptversions", VERSION))
    try:
        return await _tile(request, _asked_by_parameters(asked))
    except (NotFound, TilesError) as error:
        # By parameters nothing is not found: their values are wrong.
        code, locator = _code_of(error)
        raise WmtsFault(code, locator, str(error)) from None


@_reporting
async def capabilities(request: Request) -> Response:
    """Answer the capabilities at an address of their own."""
    check_names(request, ())
    return await _capabilities(request, VERSION)


@_reporting
async def addressed_tile(request: Request) -> Response:
    """Answer the tile of an address."""
    check_names(request, ("f",))
    path, f = request.path_params, request.query_params.get("f")
    named = {name: media_type for media_type, name in FORMATS.items()}
    if f is not None and f not in named:
        raise NotAcceptable(f"f={f!r} is not offered here; f is one of {', '.join(named)}")
    found = _Asked(
        layer=path["collectionId"],
        style=path["style"],
        matrix_set=path["tileMatrixSetId"],
        numbers=(path["tileMatrix"], path["tileRow"], path["tileCol"]),
        time=path["time"],
        media_type="" if f is None else named[f],
    )
    return await _tile(request, found)


async def _capabilities(request: Request, versions: str) -> Response:
    if VERSION not in versions.split(","):
        told = f"acceptversions={versions!r}: there is {VERSION}"
        raise WmtsFault("VersionNegotiationFailed", "acceptversions", told)
    body = await run_in_threadpool(_describe, request)
    return answer_bytes(request, body, XML)


def _describe(request: Request) -> bytes:
    admitted: Admitted = request.state.admitted
    layers = sorted(admitted.published(), key=lambda layer: layer.record.id)
    return describe_service(base_url(request), layers)


async def _tile(request: Request, asked: _Asked) -> Response:
    """Ask the door of the tile itself; it knows of caches, pins and who may see what."""
    admitted: Admitted = request.state.admitted
    layer = await run_in_threadpool(admitted.layer, asked.layer)
    offered = formats_of(layer)
    media_type = asked.media_type or offered[0]
    if media_type not in offered:
        told = f"{layer.record.id} comes as {' or '.join(offered)}, not as {media_type!r}"
        raise WmtsFault("InvalidParameterValue", "format", told)
    if asked.style not in ("", STYLE):
        told = f"style={asked.style!r}: there is {STYLE}"
        raise WmtsFault("InvalidParameterValue", "style", told)
    kind = "tiles" if media_type in FORMATS and FORMATS[media_type] == "mvt" else "map/tiles"
    template = f"/collections/{{collectionId}}/{kind}/{{tileMatrixSetId}}" + _NUMBERS
    door = next(d for d in request.app.state.doors if (d.path, d.method) == (template, "GET"))
    values = {
        "collectionId": asked.layer,
        "tileMatrixSetId": asked.matrix_set,
        **dict(zip(("tileMatrix", "tileRow", "tileCol"), asked.numbers, strict=True)),
    }
    query = {"f": FORMATS[media_type]}
    if asked.time not in ("", CURRENT):
        query["datetime"] = asked.time
    said = written_query(query).removeprefix("?").encode()
    told_on = {"path_params": values, "path": template.format(**values), "query_string": said}
    return await ruled(door.rule)(door.handler)(Request({**request.scope, **told_on}))


_NUMBERS = "/{tileMatrix}/{tileRow}/{tileCol}"


def _lowered(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if found.setdefault(name.lower(), value) != value:
            told = f"{name} is given twice, with two values; give one"
            raise WmtsFault("InvalidParameterValue", name.lower(), told)
    return found


def _required(asked: Mapping[str, str], name: str) -> str:
    if not asked.get(name):
        raise WmtsFault("MissingParameterValue", name, f"give {name}=...")
    return asked[name]


def _asked_by_parameters(asked: Mapping[str, str]) -> _Asked:
    if asked.get("version", VERSION) != VERSION:
        told = f"version={asked['version']!r}: there is {VERSION}"
        raise WmtsFault("InvalidParameterValue", "version", told)
    needed = {name: _required(asked, name) for name in _NEEDED}
    return _Asked(
        layer=needed["layer"],
        style=asked.get("style", ""),
        matrix_set=needed["tilematrixset"],
        numbers=(needed["tilematrix"], needed["tilerow"], needed["tilecol"]),
        time=asked.get("time", ""),
        media_type=needed["format"],
    )


def _code_of(error: Exception) -> tuple[str, str | None]:
    if isinstance(error, WmtsFault):
        return error.code, error.locator
    for kind, found in _CODES.items():
        if isinstance(error, kind):
            return found
    return "NoApplicableCode", None


def _report(error: Exception) -> Response:
    status = status_of(error)
    if status >= 500:
        text = DETAILS.get(status, "an internal error")
        return Response(report("NoApplicableCode", None, text), status, _NO_STORE, XML)
    return Response(report(*_code_of(error), str(error)), status, _NO_STORE, XML)


_NO_STORE = {"Cache-Control": "no-store"}
_REFUSED = {
    str(code): {
        "description": "What was wrong, as an OWS ExceptionReport · 错误",
        "content": {XML: {"schema": {"type": "string"}}},
    }
    for code in (400, 404, 406)
}


def _operation(name: str, summary: str, parameters: tuple[str, ...], kind: str) -> dict[str, Any]:
    found = operation(
        name, summary, "tiles", parameters=parameters, media_types=(kind,), errors=(401,)
    )
    return found | {"responses": found["responses"] | _REFUSED}


DOORS = (
    Door(
        "/wmts",
        "GET",
        wmts,
        _operation("getWmts", "WMTS 1.0.0, by parameters · WMTS", WMTS, XML),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/wmts/1.0.0/WMTSCapabilities.xml",
        "GET",
        capabilities,
        _operation("getWmtsCapabilities", "Capabilities of the WMTS · WMTS 能力文档", (), XML),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/wmts/1.0.0/{collectionId}/{style}/{time}/{tileMatrixSetId}" + _NUMBERS,
        "GET",
        addressed_tile,
        _operation(
            "getWmtsTile",
            "A tile of the WMTS · WMTS 瓦片",
            (
                "collectionId",
                "style",
                "time",
                "tileMatrixSetId",
                "tileMatrix",
                "tileRow",
                "tileCol",
                "f-tile",
            ),
            "application/vnd.mapbox-vector-tile",
        ),
        rule=Rule.LAYER,
    ),
)
