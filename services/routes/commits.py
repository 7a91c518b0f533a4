"""Commits: what changed on the platform, and what a legal document changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import UnknownCommit
from layers.model import Revision
from services.access.admission import Admitted
from services.access.rules import Rule, ruled
from services.errors import Unauthorized
from services.links import address, link, self_links
from services.negotiation import JSON, check_format
from services.openapi import PROBLEMS
from services.pages import respond
from services.parameters import check_names, parse_number, read_number
from services.routes.revisions import Link
from spatial.periods import format_instant

_MOST = 1000
# Of each layer so many features are named; the counts are whole.
_NAMED = 10_000
router = APIRouter(tags=["revisions"])


class LayerChange(BaseModel):
    """What a commit did in one layer, as far as the reader sees it."""

    collection: str
    revision: int
    created: int | None = None
    changed: int | None = None
    retired: int | None = None
    features: dict[str, list[str]] | None = None
    links: list[Link] = Field(default_factory=list)


class CommitDocument(BaseModel):
    """One commit; who made it, why, and by which document, is for staff."""

    id: int
    recorded: str
    simulated: bool
    author: str | None = None
    message: str | None = None
    document: str | None = None
    tags: list[str] | None = None
    layers: list[LayerChange]
    links: list[Link] = Field(default_factory=list)


class CommitsDocument(BaseModel):
    """Commits, the newest first."""

    commits: list[CommitDocument]
    links: list[Link]


_SHOWN: dict[str, Any] = {"response_model_exclude_none": True, "responses": PROBLEMS}
_Limit = Annotated[int, Query(ge=1, le=_MOST)]


@router.head("/commits", include_in_schema=False)
@router.get(
    "/commits",
    response_model=CommitsDocument,
    operation_id="getCommits",
    summary="Commits over all layers · 提交列表",
    **_SHOWN,
)
@ruled(Rule.CATALOGUE)
async def commits(
    request: Request,
    document: str | None = None,
    limit: _Limit = 100,
    token: str | None = None,
    f: str | None = None,
) -> Response:
    """Answer the newest commits; with a document, all that it created, changed and retired."""
    return await _answer_commits(request, None, document, limit)


@router.head("/collections/{collectionId}/commits", include_in_schema=False)
@router.get(
    "/collections/{collectionId}/commits",
    response_model=CommitsDocument,
    operation_id="getCollectionCommits",
    summary="Commits that touched a collection · 图层的提交",
    **_SHOWN,
)
@ruled(Rule.LAYER)
async def commits_of_layer(
    request: Request,
    collectionId: str,  # noqa: N803
    document: str | None = None,
    limit: _Limit = 100,
    token: str | None = None,
    f: str | None = None,
) -> Response:
    """Answer what the newest commits did in one layer."""
    return await _answer_commits(request, collectionId, document, limit)


@router.head("/commits/{commitId}", include_in_schema=False)
@router.get(
    "/commits/{commitId}",
    response_model=CommitDocument,
    operation_id="getCommit",
    summary="One commit · 单次提交",
    **_SHOWN,
)
@ruled(Rule.CATALOGUE)
async def commit(
    request: Request,
    commitId: str,  # noqa: N803
    f: str | None = None,
) -> Response:
    """Answer one commit: what it did in each layer that the reader sees."""
    check_format(request)
    check_names(request, ("f",))
    number = parse_number("commit", commitId, smallest=1)
    found = await run_in_threadpool(_read, request, 1, commit=number)
    if not found:
        raise UnknownCommit(f"there is no commit {number}; /commits lists them")
    own = self_links(request, JSON, "commits", str(number))
    own.append(link(address(request, "commits"), "collection", JSON, "Commits"))
    return respond(request, found[0] | {"links": own}, "commit.html")


async def _answer_commits(
    request: Request, layer_id: str | None, document: str | None, limit: int
) -> Response:
    check_format(request)
    check_names(request, ("document", "limit", "token", "f"))
    layer = None
    if layer_id is not None:
        layer = (await run_in_threadpool(request.state.admitted.layer, layer_id)).record
    if document is not None and request.state.who.is_anonymous:
        raise Unauthorized(
            "which documents stand behind a commit is internal; show an API key "
            "(Authorization: Bearer ...)"
        )
    before = read_number(request, "token", smallest=1)
    wanted = {"layer_id": layer_id, "document": document, "before": before}
    found = await run_in_threadpool(_read, request, limit + 1, **wanted)
    here = ("commits",) if layer_id is None else ("collections", layer_id, "commits")
    links = self_links(request, JSON, *here)
    if len(found) > limit:
        following = dict(request.query_params) | {"token": found[limit - 1]["id"]}
        links.append(link(address(request, *here, **following), "next", JSON, "Earlier ones"))
    answer = {"commits": found[:limit], "links": links}
    return respond(request, answer, "commits.html", cause=document, layer=layer)


def _read(request: Request, limit: int, **wanted: Any) -> list[dict[str, Any]]:
    admitted: Admitted = request.state.admitted
    reader = admitted.reader
    records = {record.id: record for record in admitted.layers()}
    # A commit touches each layer once.
    each = 1 if wanted.get("layer_id") is not None else max(len(records), 1)
    revisions = admitted.log(limit=limit * each, **wanted)
    by_commit = itertools.groupby(revisions, key=lambda r: r.commit.id)
    groups = [list(group) for _, group in itertools.islice(by_commit, limit)]
    tags: dict[int, list[str]] = {}
    for tag in admitted.tags():
        tags.setdefault(tag.commit, []).append(tag.name)
    known = {i for i, record in records.items() if reader.knows_internals(record)}
    named = wanted.get("document") is not None
    return [_commit(request, group, tags, known, named=named) for group in groups]


def _commit(
    request: Request,
    revisions: Iterable[Revision],
    tags: dict[int, list[str]],
    known: set[str],
    *,
    named: bool,
) -> dict[str, Any]:
    revisions = list(revisions)
    made = revisions[0].commit
    found: dict[str, Any] = {
        "id": made.id,
        "recorded": format_instant(made.recorded_at),
        "simulated": made.simulated,
        "layers": [_layer(request, r, named=named) for r in revisions],
        "links": [link(address(request, "commits", str(made.id)), "self", JSON, "The commit")],
    }
    internal = [r for r in revisions if r.layer in known]
    if internal:
        made = internal[0].commit
        found |= {
            "author": made.author,
            "message": made.message,
            "document": made.document,
            "tags": tags.get(made.id, []),
        }
    return found


def _layer(request: Request, r: Revision, *, named: bool) -> dict[str, Any]:
    here = ("collections", r.layer, "revisions", str(r.number))
    found: dict[str, Any] = {
        "collection": r.layer,
        "revision": r.number,
        "links": [link(address(request, *here), "item", JSON, "The revision")],
    }
    if r.n_created is not None:
        found |= {"created": r.n_created, "changed": r.n_changed, "retired": r.n_retired}
    if named:
        admitted: Admitted = request.state.admitted
        touched = admitted.layer(r.layer).touched(r.number)
        features: dict[str, list[str]] = {"created": [], "changed": [], "retired": []}
        for feature, kind in itertools.islice(touched, _NAMED):
            features[kind].append(feature)
        found["features"] = features
    return found
