"""Revisions of a collection: the log, one of them, and the upload that makes another."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from shapely.errors import ShapelyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import LayersError, RuleBroken, UnknownRevision
from layers.model import Document, Mode, Revision
from layers.publish import Reload
from layers.published import PublishedLayer
from layers.report import Report
from layers.sourcing.frames import FrameSource
from services.access.bounds import check_geojson
from services.access.rules import Rule, ruled
from services.errors import BadBody, BadParameter
from services.links import address, link, self_links
from services.negotiation import GEOJSON, JSON, check_format
from services.openapi import PROBLEMS
from services.pages import respond
from services.parameters import check_names, read_body, read_number
from services.problems import problem, status_of
from services.reports import shown_to
from services.routes.collections import find_layer
from spatial.crs import CRS84
from spatial.errors import SpatialError
from spatial.periods import format_instant, parse_instant

_MOST = 1000
_UPLOAD = ("mode", "valid-from", "message", "document", "dry-run", "consent")
LARGEST_BODY = 32 << 20
_TOO_LARGE = f"a body may have {LARGEST_BODY >> 20} MB; publish a file instead"
router = APIRouter(tags=["revisions"])


class Link(BaseModel):
    """Where to go from here."""

    href: str
    rel: str
    type: str
    title: str = ""


class BrokenDocument(BaseModel):
    """Faults of one kind that a rule of the layer found, and the first of their rows."""

    rule: str
    fault: str
    outcome: str
    count: int
    rows: list[int]


class SuggestedDocument(BaseModel):
    """A column that may be a field that is lacking; of its values the titles of codes."""

    field: str
    column: str
    score: float
    reasons: list[str]
    values: dict[str, str]


class ReportDocument(BaseModel):
    """What a publish found in its source, for staff who see the whole layer; no ids and no causes.

    How columns became fields, and which may be those that are lacking, is for who sees all fields.
    """

    source: str
    rows_read: int
    rows_refused: int
    repaired: int
    without_geometry: int
    without_key: int
    repeated_keys: int
    rules_broken: list[BrokenDocument]
    rules_unasked: list[str]
    reference_system: dict[str, Any] | None = None
    mapping: dict[str, Any] | None = None
    suggested: list[SuggestedDocument] = Field(default_factory=list)
    columns_left_out: list[str]
    fields_lacking: list[str]


class RevisionDocument(BaseModel):
    """One revision; who made it and why is for staff, counts are of what the reader sees."""

    number: int
    recorded: str
    simulated: bool
    commit: int | None = None
    author: str | None = None
    message: str | None = None
    document: str | None = None
    live: int | None = None
    created: int | None = None
    changed: int | None = None
    retired: int | None = None
    report: ReportDocument | None = None
    links: list[Link] = Field(default_factory=list)


class RevisionsDocument(BaseModel):
    """The revisions of a collection, newest first."""

    collection: str
    revisions: list[RevisionDocument]
    links: list[Link]


class Published(BaseModel):
    """What an upload did, or would do."""

    commit: int | None
    revision: int | None
    dry_run: bool
    created: int
    changed: int
    retired: int
    unchanged: int
    report: ReportDocument | None = None


@router.head("/collections/{collectionId}/revisions", include_in_schema=False)
@router.get(
    "/collections/{collectionId}/revisions",
    response_model=RevisionsDocument,
    responses=PROBLEMS,
    operation_id="getRevisions",
    summary="Revisions of a collection · 版本列表",
)
@ruled(Rule.LAYER)
async def revisions(
    request: Request,
    collectionId: str,  # noqa: N803
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    token: str | None = None,
    f: str | None = None,
) -> Response:
    """Answer the log, the newest first."""
    check_format(request)
    check_names(request, ("limit", "token", "f"))
    layer = await find_layer(request)
    before = read_number(request, "token", smallest=1)
    found = await run_in_threadpool(layer.revisions, before=before, limit=limit)
    staff = layer.reader.knows_internals(layer.record)
    here = ("collections", layer.record.id, "revisions")
    links = self_links(request, JSON, *here)
    if found and found[-1].number > 1:
        following = dict(request.query_params) | {"token": found[-1].number}
        links.append(link(address(request, *here, **following), "next", JSON, "Earlier ones"))
    document = {
        "collection": layer.record.id,
        "revisions": [_document(request, r, staff) for r in found],
        "links": links,
    }
    return respond(request, document, "revisions.html", layer=layer.record)


@router.head("/collections/{collectionId}/revisions/{number}", include_in_schema=False)
@router.get(
    "/collections/{collectionId}/revisions/{number}",
    response_model=RevisionDocument,
    responses=PROBLEMS,
    operation_id="getRevision",
    summary="One revision · 单个版本",
)
@ruled(Rule.LAYER)
async def revision(
    request: Request,
    collectionId: str,  # noqa: N803
    number: str,
    f: str | None = None,
) -> Response:
    """Answer one revision."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    if not re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
        raise BadParameter(f"revision {number!r}: a whole number of at least 1")
    found = await run_in_threadpool(layer.revision, int(number))
    document = _document(request, found, layer.reader.knows_internals(layer.record))
    if report := shown_to(layer.reader, layer.record, found.report):
        document["report"] = report
        document["links"] += await run_in_threadpool(_faults_link, request, layer, found.number)
    return respond(request, document, "revision.html", layer=layer.record)


@router.post(
    "/collections/{collectionId}/revisions",
    response_model=Published,
    status_code=201,
    responses=PROBLEMS
    | {
        200: {"description": "Nothing differed, or a dry run", "model": Published},
        403: {"description": "The key only reads"},
        409: {"description": "The store's state forbids it"},
        413: {"description": "The body is too large"},
    },
    operation_id="publishRevision",
    summary="Publish features as a revision · 发布新版本",
    description="An upsert unless said. The answer, and a refusal by a rule, a limit or a missing "
    "consent, has the report of what was found, as far as its sender may know it.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/geo+json": {"schema": {"type": "object"}}},
        },
        "security": [{"key": []}],
    },
)
@ruled(Rule.WRITE)
async def publish(
    request: Request,
    collectionId: str,  # noqa: N803
    mode: str | None = None,
    valid_from: Annotated[str | None, Query(alias="valid-from")] = None,
    message: str = "",
    document: str | None = None,
    dry_run: Annotated[bool, Query(alias="dry-run")] = False,
    consent: Annotated[bool, Query()] = False,
) -> Response:
    """Publish the GeoJSON of the body into a collection that exists: an upsert unless said."""
    check_names(request, _UPLOAD)
    layer = await find_layer(request)
    body = await read_body(request, LARGEST_BODY, _TOO_LARGE)
    reload = Reload(
        source=await run_in_threadpool(_source, body),
        mode=_mode(mode),
        valid_from=_start(valid_from, layer.record.schema.zone),
        consent=consent,
        suggesting=dry_run,
    )
    statement = (message, Document(document) if document else None)
    return await run_in_threadpool(_commit, request, layer, reload, statement, dry_run)


def _commit(
    request: Request,
    layer: PublishedLayer,
    reload: Reload,
    statement: tuple[str, Document | None],
    dry_run: bool,
) -> Response:
    message, document = statement
    layer_id, admitted = layer.record.id, request.state.admitted
    try:
        done = admitted.commit({layer_id: reload}, message, document=document, dry_run=dry_run)
    except LayersError as error:
        if error.report is None:
            raise
        return _refusal(request, layer, error, error.report)
    report = done.reports[layer_id]
    shown = shown_to(layer.reader, layer.record, report.document())
    answer = Published(
        commit=done.commit,
        revision=report.revision if done.commit else None,
        dry_run=dry_run,
        created=report.created,
        changed=report.changed,
        retired=report.retired,
        unchanged=report.unchanged,
        report=None if shown is None else ReportDocument(**shown),
    )
    headers = {"Cache-Control": "no-store"}
    if done.commit is None:
        return Response(answer.model_dump_json(), 200, headers, JSON)
    number = str(report.revision)
    headers["Location"] = address(request, "collections", layer_id, "revisions", number)
    return Response(answer.model_dump_json(), 201, headers, JSON)


def _refusal(
    request: Request, layer: PublishedLayer, error: LayersError, report: Report
) -> Response:
    """Answer why an upload was refused, with all that was found in it."""
    shown = shown_to(layer.reader, layer.record, report.document()) or {}
    told = {broken["rule"] for broken in shown.get("rules_broken", ())}
    hidden = {broken.rule for broken in report.findings.broken} - told
    detail = str(error)
    if isinstance(error, RuleBroken) and any(f"the rule {rule} (" in detail for rule in hidden):
        detail = (
            "more rows break a rule of the layer than it allows, and that rule looks at a field "
            "which you may not see; ask whoever looks after the layer"
        )
    return problem(request, status_of(error), detail, report=shown)


def _faults_link(request: Request, layer: PublishedLayer, number: int) -> list[dict[str, str]]:
    """The link to the faults of a revision, where there are any that the reader may know."""
    try:
        if not layer.faults(number).faults:
            return []
    except UnknownRevision:
        return []
    here = ("collections", layer.record.id, "revisions", str(number), "faults")
    return [link(address(request, *here), "enclosure", GEOJSON, "问题图层 Faults as a layer")]


def _source(body: bytes) -> FrameSource:
    import geopandas as gpd  # late: pandas is 45 MB that who only reads does without

    try:
        document = orjson.loads(body)
        check_geojson(document)
        features = document["features"] if document["type"] == "FeatureCollection" else [document]
        rows = [
            {
                "properties": dict(f["properties"] or {}),
                "geometry": f["geometry"],
                "type": f["type"],
            }
            for f in features
        ]
        if not rows:
            raise BadBody("the body has no features; nothing was written")
        return FrameSource(gpd.GeoDataFrame.from_features(rows, crs=CRS84), "upload")
    except (KeyError, TypeError, ValueError, AttributeError, ShapelyError) as error:
        raise BadBody(f"the body is no GeoJSON feature or collection ({error})") from None


def _mode(text: str | None) -> Mode:
    try:
        return Mode(text or Mode.UPSERT)
    except ValueError:
        raise BadParameter(f"mode={text!r}: one of {', '.join(Mode)}") from None


def _start(text: str | None, zone: Any) -> datetime | date | None:
    try:
        return None if text is None else parse_instant(text, zone)
    except SpatialError as error:
        raise BadParameter(f"valid-from: {error}") from None


def _document(request: Request, found: Revision, staff: bool) -> dict[str, Any]:
    here = ("collections", found.layer)
    recorded = format_instant(found.commit.recorded_at)
    items = address(request, *here, "items", revision=found.number)
    number = str(found.number)
    did = address(
        request, *here, "changes", **{"from": found.number - 1, "to": number, "f": "json"}
    )
    links = [
        link(address(request, *here, "revisions", number), "self", JSON, ""),
        link(items, "items", GEOJSON, "Features as known then"),
        link(did, "related", JSON, "What it did"),
    ]
    if found.number > 1:
        before = address(request, *here, "revisions", str(found.number - 1))
        links.append(link(before, "prev", JSON, "The one before"))
    document: dict[str, Any] = {
        "number": found.number,
        "recorded": recorded,
        "simulated": found.commit.simulated,
        "links": links,
    }
    if found.n_live is not None:
        document |= {
            "live": found.n_live,
            "created": found.n_created,
            "changed": found.n_changed,
            "retired": found.n_retired,
        }
    if staff:
        document |= {
            "commit": found.commit.id,
            "author": found.commit.author,
            "message": found.commit.message,
            "document": found.commit.document,
        }
    return document
