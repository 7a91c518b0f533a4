"""Tags: names of commits, listed and given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Tag
from services.access.admission import Admitted
from services.access.rules import Rule, ruled
from services.errors import BadFeature
from services.links import address, link, self_links
from services.negotiation import JSON, check_format
from services.openapi import PROBLEMS
from services.pages import respond
from services.parameters import check_names
from services.routes.revisions import Link
from services.writing.bodies import read_json
from spatial.periods import format_instant

LARGEST_BODY = 1 << 20
_LONGEST_NOTE = 2_000
router = APIRouter(tags=["revisions"])


class TagDocument(BaseModel):
    """A name for a commit."""

    name: str
    commit: int
    recorded: str
    author: str
    note: str
    links: list[Link]


class TagsDocument(BaseModel):
    """Tags, in the order of their commits."""

    tags: list[TagDocument]
    links: list[Link]


_WANTED = {
    "type": "object",
    "required": ["name", "commit"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "commit": {"type": "integer", "minimum": 1},
        "note": {"type": "string", "maxLength": _LONGEST_NOTE, "default": ""},
    },
}


@router.head("/tags", include_in_schema=False)
@router.get(
    "/tags",
    response_model=TagsDocument,
    operation_id="getTags",
    summary="Names of commits · 标签",
    response_model_exclude_none=True,
    responses=PROBLEMS,
)
@ruled(Rule.CATALOGUE)
async def tags(request: Request, f: str | None = None) -> Response:
    """Answer the tags that the reader may know: they are internal."""
    return await _answer_tags(request, None)


@router.head("/collections/{collectionId}/tags", include_in_schema=False)
@router.get(
    "/collections/{collectionId}/tags",
    response_model=TagsDocument,
    operation_id="getCollectionTags",
    summary="Names of commits that touched a collection · 图层的标签",
    response_model_exclude_none=True,
    responses=PROBLEMS,
)
@ruled(Rule.LAYER)
async def tags_of_layer(
    request: Request,
    collectionId: str,  # noqa: N803
    f: str | None = None,
) -> Response:
    """Answer the tags of the commits that touched one layer."""
    return await _answer_tags(request, collectionId)


@router.post(
    "/tags",
    response_model=TagDocument,
    status_code=201,
    operation_id="createTag",
    summary="Name a commit · 设置标签",
    responses=PROBLEMS
    | {
        200: {"description": "It has that name already", "model": TagDocument},
        403: {"description": "Not of those who publish all layers of the commit"},
        408: {"description": "The body did not come whole in time"},
        409: {"description": "The name is another commit's"},
        413: {"description": "The body is too large"},
        415: {"description": "The body is no JSON"},
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {JSON: {"schema": _WANTED}}},
        "security": [{"key": []}],
    },
)
@ruled(Rule.WRITE)
async def create_tag(request: Request) -> Response:
    """Name a commit, for good: whoever publishes all layers that they see it touched."""
    check_names(request, ())
    name, commit, note = _read_wanted(await read_json(request, (JSON,), LARGEST_BODY))
    admitted: Admitted = request.state.admitted
    made, found = await run_in_threadpool(admitted.tag, name, commit, note)
    body = orjson.dumps(_tag(request, found))
    return Response(body, 201 if made else 200, {"Cache-Control": "no-store"}, JSON)


def _read_wanted(document: Any) -> tuple[str, int, str]:
    if not isinstance(document, Mapping):
        raise BadFeature(('an object: {"name": "...", "commit": 7}', ""))
    for name in document:
        if name not in ("name", "commit", "note"):
            raise BadFeature(("there are name, commit and note", f"/{name}"))
    name, commit, note = document.get("name"), document.get("commit"), document.get("note", "")
    if not isinstance(name, str):
        raise BadFeature(("a text", "/name"))
    if type(commit) is not int or not 0 < commit < 2**63:
        raise BadFeature(("the number of a commit", "/commit"))
    if not isinstance(note, str) or len(note) > _LONGEST_NOTE:
        raise BadFeature((f"a text of at most {_LONGEST_NOTE} characters", "/note"))
    return name, commit, note


async def _answer_tags(request: Request, layer_id: str | None) -> Response:
    check_format(request)
    check_names(request, ("f",))
    layer = None
    if layer_id is not None:
        layer = (await run_in_threadpool(request.state.admitted.layer, layer_id)).record
    found = await run_in_threadpool(request.state.admitted.tags, layer_id)
    here = ("tags",) if layer_id is None else ("collections", layer_id, "tags")
    answer = {
        "tags": [_tag(request, tag) for tag in found],
        "links": self_links(request, JSON, *here),
    }
    return respond(request, answer, "tags.html", layer=layer)


def _tag(request: Request, tag: Tag) -> dict[str, Any]:
    number = str(tag.commit)
    return {
        "name": tag.name,
        "commit": tag.commit,
        "recorded": format_instant(tag.recorded_at),
        "author": tag.author,
        "note": tag.note,
        "links": [link(address(request, "commits", number), "item", JSON, "The commit")],
    }
