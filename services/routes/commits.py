"""Commits: what changed on the platform, layer by layer; and what a legal document changed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Revision
from services.access.admission import Admitted
from services.access.rules import Rule, ruled
from services.errors import Unauthorized
from services.links import address, link, self_links
from services.negotiation import JSON, check_format
from services.pages import respond
from services.parameters import check_names
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


class CommitsDocument(BaseModel):
    """Commits, the newest first."""

    commits: list[CommitDocument]
    links: list[Link]


@router.head("/commits", include_in_schema=False)
@router.get(
    "/commits",
    response_model=CommitsDocument,
    response_model_exclude_none=True,
    responses={code: {"description": "What was wrong"} for code in (400, 401, 406, 422, 429)},
    operation_id="getCommits",
    summary="Commits over all layers · 提交列表",
)
@ruled(Rule.CATALOGUE)
async def commits(
    request: Request,
    document: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    f: str | None = None,
) -> Response:
    """Answer the newest commits; with a document, all that it created, changed and retired."""
    check_format(request)
    check_names(request, ("document", "limit", "f"))
    if document is not None and request.state.who.is_anonymous:
        raise Unauthorized(
            "which documents stand behind a commit is internal; show an API key "
            "(Authorization: Bearer ...)"
        )
    found = await run_in_threadpool(_read, request, document, limit)
    answer = {"commits": found, "links": self_links(request, JSON, "commits")}
    return respond(request, answer, "commits.html", cause=document)


def _read(request: Request, document: str | None, limit: int) -> list[dict[str, Any]]:
    admitted: Admitted = request.state.admitted
    reader = admitted.reader
    records = {record.id: record for record in admitted.layers()}
    # A commit touches each layer once.
    revisions = admitted.log(document=document, limit=limit * max(len(records), 1))
    by_commit = itertools.groupby(revisions, key=lambda r: r.commit.id)
    groups = [list(group) for _, group in itertools.islice(by_commit, limit)]
    tags: dict[int, list[str]] = {}
    for tag in admitted.tags():
        tags.setdefault(tag.commit, []).append(tag.name)
    known = {i for i, record in records.items() if reader.knows_internals(record)}
    return [_commit(request, group, tags, known, named=document is not None) for group in groups]


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
