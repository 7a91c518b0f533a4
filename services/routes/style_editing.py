"""Styles written over HTTP (OGC API Styles, manage-styles): by those who publish their layer."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import Forbidden
from layers.store import PublishedLayer
from layers.styles import NewStyle, Style, layer_of
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter, MethodRefused, PreconditionFailed
from services.links import address, base_url, link
from services.negotiation import JSON
from services.openapi import change
from services.parameters import check_names, read_body
from services.routes.styles import CLASSES, SLD, STYLE
from services.style_documents import stored_style, style_tag, templated, title_of
from services.validators import Conditions, names_tag, read_conditions
from services.writing.bodies import check_media_type, parse
from tiles.styling.checking import check_style
from tiles.styling.sld.reading import read_sld

LARGEST_BODY = 1 << 20
_JSON_TYPES = (STYLE, "application/vnd.maplibre.style+json", JSON)
_XML_TYPES = (SLD, "application/vnd.ogc.se+xml", "application/xml", "text/xml")
BODY_TYPES = (*_JSON_TYPES, *_XML_TYPES)
_NO_STORE = {"Cache-Control": "no-store"}
# As many as name a style alike at one time.
_TRIES = 20
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants of a style: see the parameters of that name."""

    layer: PublishedLayer
    only: bool
    chosen: bool | None
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Stated:
    """A style as a body states it, checked."""

    document: Mapping[str, Any]
    name: str | None
    warnings: tuple[str, ...] = ()


async def create(request: Request) -> Response:
    """Create a style of a layer, under a name that is made of its own."""
    check_names(request, ("collection", "validate", "default"))
    layer_id = request.query_params.get("collection")
    if layer_id is None:
        raise BadParameter("collection is missing: the id of the layer that the style is of")
    asked = await run_in_threadpool(_ask, request, layer_id)
    stated = await _read(request, asked)
    if asked.only:
        return _said(stated)
    return await run_in_threadpool(_create, request, asked, stated)


async def replace(request: Request) -> Response:
    """Put a style in force under an id, new or in place of the one that there is."""
    check_names(request, ("validate", "default"))
    style_id = request.path_params["styleId"]
    _refuse_own(style_id)
    asked = await run_in_threadpool(_ask, request, layer_of(style_id))
    stated = await _read(request, asked)
    if asked.only:
        return _said(stated)
    return await run_in_threadpool(_write, request, asked, stated, style_id)


async def delete(request: Request) -> Response:
    """Take a stored style away."""
    check_names(request, ())
    style_id = request.path_params["styleId"]
    _refuse_own(style_id)
    asked = await run_in_threadpool(_ask, request, layer_of(style_id))
    admitted: Admitted = request.state.admitted
    check = _checking(request, asked)
    await run_in_threadpool(admitted.delete_style, style_id, check)
    return Response(None, 204, _NO_STORE)


def _refuse_own(style_id: str) -> None:
    if "." not in style_id:
        raise MethodRefused(
            f"{style_id!r} is the platform's own style of that layer; write one of your own, such "
            f"as {style_id[:48]}.plan, with default=true where the layer is to be drawn by it",
            ("GET", "HEAD"),
        )


def _ask(request: Request, layer_id: str) -> Asked:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(layer_id)
    admitted.check_may_style(layer)
    query = request.query_params
    validate = query.get("validate", "yes")
    if validate not in ("yes", "no", "only"):
        raise BadParameter(f"validate={validate!r}: it is yes, no or only")
    default = query.get("default")
    if default not in (None, "true", "false"):
        raise BadParameter(f"default={default!r}: it is true or false")
    chosen = None if default is None else default == "true"
    return Asked(layer, validate == "only", chosen, read_conditions(request))


async def _read(request: Request, asked: Asked) -> Stated:
    """Read a body: a style, or an SLD of which what can be said is taken."""
    check_media_type(request, BODY_TYPES)
    remedy = f"a style may have {LARGEST_BODY >> 20} MB here; make it shorter"
    body = await read_body(request, LARGEST_BODY, remedy)
    header = Message()
    header["content-type"] = request.headers["content-type"]
    read = _from_sld if header.get_content_type() in _XML_TYPES else _from_json
    return await run_in_threadpool(read, body, asked, base_url(request))


def _from_json(body: bytes, asked: Asked, base: str) -> Stated:
    document = templated(parse(body), base)
    record = asked.layer.record
    check_style(document, record.id, [f.id for f in asked.layer.reader.fields(record)])
    name = document.get("name")
    return Stated(document, name if isinstance(name, str) else None)


def _from_sld(body: bytes, asked: Asked, base: str) -> Stated:
    record = asked.layer.record
    fields = asked.layer.reader.fields(record)
    found = read_sld(body, record.id, record.schema, fields)
    # What an SLD says may be no style either: sizes below nothing, a text too many.
    check_style(found.document, record.id, [f.id for f in fields])
    return Stated(found.document, found.name, found.warnings)


def _create(request: Request, asked: Asked, stated: Stated) -> Response:
    new = dataclasses.replace(asked, conditions=Conditions(none_match="*"))
    for left in reversed(range(_TRIES)):
        try:
            return _write(request, new, stated, _free_name(request, asked, stated))
        except PreconditionFailed:
            # Somebody else took the name meanwhile; there is another.
            if not left:
                raise
    raise AssertionError("a try returns or raises")


def _free_name(request: Request, asked: Asked, stated: Stated) -> str:
    admitted: Admitted = request.state.admitted
    layer_id = asked.layer.record.id
    known = {style.id for style in admitted.styles(layer_id)}
    name = _NOT_OF_A_NAME.sub("-", (stated.name or "").lower()).strip("-_")[:50] or "style"
    numbered = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(i for i in (f"{layer_id}.{n}" for n in numbered) if i not in known)


def _write(request: Request, asked: Asked, stated: Stated, style_id: str) -> Response:
    admitted: Admitted = request.state.admitted
    title = title_of(stated.document, asked.layer.record.schema.title)
    wanted = NewStyle(style_id, title, stated.document, asked.chosen)
    was: list[Style | None] = []
    check = _checking(request, asked)

    def remembering(style: Style | None) -> None:
        check(style)
        was.append(style)

    style = admitted.write_style(wanted, remembering)
    tag = style_tag(request, stored_style(asked.layer, style))
    headers = _NO_STORE | {"ETag": tag}
    created = was[-1] is None
    there = address(request, "styles", style_id)
    if created:
        headers["Location"] = there
    elif not stated.warnings:
        return Response(None, 204, headers)
    document = {
        "id": style_id,
        "title": f"{title.zh} · {title.en}",
        "default": style.chosen,
        "warnings": list(stated.warnings),
        "links": [link(there, "stylesheet", STYLE)],
    }
    return Response(orjson.dumps(document), 201 if created else 200, headers, JSON)


def _said(stated: Stated) -> Response:
    """Answer that a body is a style, and what of it could not be said."""
    if not stated.warnings:
        return Response(None, 204, _NO_STORE)
    document = {"warnings": list(stated.warnings)}
    return Response(orjson.dumps(document), 200, _NO_STORE, JSON)


def _checking(request: Request, asked: Asked) -> Callable[[Style | None], None]:
    """What is asked of the style in force before it is written over."""
    conditions = asked.conditions

    def check(style: Style | None) -> None:
        if style is None:
            if conditions.match is not None:
                raise PreconditionFailed("there is no such style, and If-Match asks for one")
            return
        found = stored_style(asked.layer, style)
        if not found.whole:
            raise Forbidden(
                f"{style.id} names fields that you do not see; who sees them may change it"
            )
        tag = style_tag(request, found)
        if conditions.match is not None and not names_tag(conditions.match, tag, weakly=False):
            raise PreconditionFailed(
                f"{style.id} is no more as If-Match says; nothing was written. Read it again"
            )
        none = conditions.none_match
        if none is not None and names_tag(none, tag, weakly=True):
            raise PreconditionFailed(f"{style.id} is there, and If-None-Match asks that it is not")

    return check


_STYLE = "/styles/{styleId}"
DOORS = (
    Door(
        "/styles",
        "POST",
        create,
        change(
            "createStyle",
            "Create a style · 新增样式",
            parameters=("collection", "validate", "default"),
            body=BODY_TYPES,
            done=(200, 201, 204),
            tag="styles",
        ),
        tuple(f"{CLASSES}{name}" for name in ("manage-styles", "style-validation")),
        rule=Rule.WRITE,
    ),
    Door(
        _STYLE,
        "PUT",
        replace,
        change(
            "replaceStyle",
            "Create or replace a style · 新增或替换样式",
            parameters=("styleId", "validate", "default", "If-Match"),
            body=BODY_TYPES,
            done=(200, 201, 204),
            tag="styles",
        ),
        rule=Rule.WRITE,
    ),
    Door(
        _STYLE,
        "DELETE",
        delete,
        change(
            "deleteStyle",
            "Take a style away · 删除样式",
            parameters=("styleId", "If-Match"),
            done=(204,),
            tag="styles",
        ),
        rule=Rule.WRITE,
    ),
)
