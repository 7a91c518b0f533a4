"""Editing over HTTP: features created, replaced, updated and deleted (OGC API Features Part 4).

Each is an edit of the store, in a commit of its own. A version is never written to: what changes is
the feature, from an instant on that the body states (``time``), or from now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.commits import Committed
from layers.edits import Retire
from layers.errors import EditConflict, FeatureGone, UnknownFeature
from layers.store import PublishedLayer, Snapshot
from layers.writers import Verb
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter, MethodRefused, PreconditionFailed
from services.feature_documents import feature_document
from services.links import address, link
from services.negotiation import GEOJSON, JSON
from services.openapi import change, choices
from services.parameters import check_names
from services.routes.collections import find_layer
from services.systems import find_system
from services.validators import feature_tag, http_date, read_conditions
from services.writing.bodies import read_json
from services.writing.features import Form, form_of, read_feature, read_patch
from services.writing.mutations import (
    STATEMENT,
    Mutation,
    Seen,
    check_may_edit,
    exists,
    insertion,
    patch,
    read_statement,
    replacement,
    split_version,
)
from spatial.crs import CRS84, crs_uri
from spatial.errors import SpatialError
from spatial.periods import parse_instant

LARGEST_BODY = 16 << 20
FEATURE_TYPES = (GEOJSON, JSON, "application/fg+json", "application/vnd.ogc.fg+json")
PATCH_TYPES = ("application/merge-patch+json",)
MUTATION_DATETIME = "ogc-mutation-datetime"
_READING = ("GET", "HEAD", "OPTIONS")
_NO_STORE = {"Cache-Control": "no-store"}


async def create(request: Request) -> Response:
    """Create a feature; its id is made of its key fields, or by the store."""
    mutation, form = await _begin(request, in_body=True)
    document = await read_json(request, FEATURE_TYPES, LARGEST_BODY)
    return await run_in_threadpool(_create, request, mutation, form, document)


def _create(request: Request, mutation: Mutation, form: Form, document: Any) -> Response:
    stated = read_feature(document, form)
    try:
        done = mutation.commit(insertion(stated))
    except EditConflict as error:
        if mutation.conditions.none_match == "*":
            raise PreconditionFailed(str(error)) from None
        raise
    [feature_id] = done.reports[mutation.record.id].named
    return _answer(request, mutation, done, feature_id, stated.start, created=True)


async def replace(request: Request) -> Response:
    """Replace a feature, from an instant on."""
    mutation, form = await _begin(request, in_body=True)
    document = await read_json(request, FEATURE_TYPES, LARGEST_BODY)
    return await run_in_threadpool(_replace, request, mutation, form, document)


def _replace(request: Request, mutation: Mutation, form: Form, document: Any) -> Response:
    feature_id, start = request.path_params["featureId"], _start_of(document, form)

    def build(seen: Seen) -> Any:
        return replacement(mutation, seen, read_feature(document, form, mutation.current(seen)))

    done = mutation.change(feature_id, start, build)
    return _answer(request, mutation, done, feature_id, start)


async def update(request: Request) -> Response:
    """Update some of a feature by a merge patch, from an instant on."""
    mutation, form = await _begin(request, in_body=True)
    document = await read_json(request, PATCH_TYPES, LARGEST_BODY)
    return await run_in_threadpool(_update, request, mutation, form, document)


def _update(request: Request, mutation: Mutation, form: Form, document: Any) -> Response:
    feature_id, start = request.path_params["featureId"], _start_of(document, form)

    def build(seen: Seen) -> Any:
        return patch(seen, read_patch(document, form, mutation.current(seen)))

    done = mutation.change(feature_id, start, build)
    return _answer(request, mutation, done, feature_id, start)


async def delete(request: Request) -> Response:
    """Retire a feature, from the instant that the header OGC-Mutation-Datetime states, or now."""
    mutation, form = await _begin(request, in_body=False)
    return await run_in_threadpool(_delete, request, mutation, form)


def _delete(request: Request, mutation: Mutation, form: Form) -> Response:
    feature_id, start = request.path_params["featureId"], None
    stated = request.headers.get(MUTATION_DATETIME)
    try:
        start = None if stated is None else parse_instant(stated, form.zone)
    except SpatialError as error:
        raise BadParameter(f"OGC-Mutation-Datetime: {error}") from None
    done = mutation.change(feature_id, start, lambda seen: Retire(seen.id, start))
    return _answer(request, mutation, done, feature_id, start)


async def options_of_items(request: Request) -> Response:
    """Answer which methods a collection's features have for whoever asks."""
    check_names(request, ())
    layer = await find_layer(request)
    allowed = list(_READING) + (["POST"] if _may(request, layer, whole=True) else [])
    return _options(allowed)


async def options_of_item(request: Request) -> Response:
    """Answer which methods a feature has for whoever asks; a version can only be read."""
    check_names(request, ())
    layer = await find_layer(request)
    allowed = list(_READING)
    if not await run_in_threadpool(_is_version, layer, request.path_params["featureId"]):
        allowed += ["PUT", "PATCH"] if _may(request, layer, whole=False) else []
        allowed += ["DELETE"] if _may(request, layer, whole=True) else []
    return _options(allowed)


def _options(allowed: list[str]) -> Response:
    headers = {"Allow": ", ".join(allowed), "Vary": "Authorization, Cookie, X-API-Key"}
    if "POST" in allowed:
        headers["Accept-Post"] = ", ".join(FEATURE_TYPES)
    if "PATCH" in allowed:
        headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
    return Response(None, 200, headers | _NO_STORE)


def _may(request: Request, layer: PublishedLayer, *, whole: bool) -> bool:
    """Whether the caller may edit features; whole ones, and not some of their fields alone."""
    record, writer = layer.record, request.state.admitted.caller.writer()
    permits = writer.permits_for(record.id, record.department, Verb.EDIT) or ()
    return any(p.fields is None or not whole for p in permits)


async def _begin(request: Request, *, in_body: bool) -> tuple[Mutation, Form]:
    """Read all of a change but its body, and refuse whoever may not make any."""
    _refuse_datetime(request, in_body=in_body)
    statement, conditions = read_statement(request), read_conditions(request)
    layer = await find_layer(request)
    admitted: Admitted = request.state.admitted
    check_may_edit(admitted, layer.record)
    feature_id = request.path_params.get("featureId")
    if feature_id is not None and await run_in_threadpool(_is_version, layer, feature_id):
        said = f"{feature_id!r} is a version, which never changes; change the feature itself"
        raise MethodRefused(said, _READING)
    await run_in_threadpool(admitted.note, layer, "edit")
    form = form_of(layer.record, layer.reader, find_crs(request, layer))
    return Mutation(admitted, layer, conditions, statement, describe), form


def _refuse_datetime(request: Request, *, in_body: bool) -> None:
    if "datetime" in request.query_params:
        said = "an address with datetime is that of a version, which never changes; leave it out"
        raise MethodRefused(said, _READING)
    if in_body and MUTATION_DATETIME in request.headers:
        raise BadParameter(
            "OGC-Mutation-Datetime is for DELETE; the body says from when on it is so, in "
            '"time": {"interval": [start, ".."]}'
        )


def find_crs(request: Request, layer: PublishedLayer) -> Any:
    """Return the system of a body's geometries: that of Content-Crs, or longitude and latitude.

    Raises
    ------
    BadParameter
        Where the collection does not offer it.
    """
    # The standard has it in angle brackets; QGIS has it without.
    stated = request.headers.get("content-crs", CRS84).strip().removeprefix("<").removesuffix(">")
    return find_system("Content-Crs", stated, layer.record.schema)


def describe(snapshot: Snapshot, row: sa.Row[Any]) -> Mapping[str, Any]:
    """Return a feature as whoever changes it reads it, and states it again."""
    document: dict[str, Any] = orjson.loads(orjson.dumps(feature_document(snapshot, row, False)))
    return document


def _is_version(layer: PublishedLayer, feature_id: str) -> bool:
    """Whether an id is that of a version; a feature of its own may be called so, too."""
    return split_version(feature_id) is not None and not exists(layer, feature_id)


def _start_of(document: Any, form: Form) -> datetime | None:
    """From when on a body says that something is so, where it says so rightly."""
    try:
        return parse_instant(document["time"]["interval"][0], form.zone)
    except (SpatialError, KeyError, TypeError, IndexError):
        return None


def _answer(
    request: Request,
    mutation: Mutation,
    done: Committed,
    feature_id: str,
    start: datetime | None,
    *,
    created: bool = False,
) -> Response:
    """Answer what was done: where the feature is, its new tag, and itself where that is asked."""
    record, said = mutation.record, mutation.statement
    report = done.reports[record.id]
    headers = dict(_NO_STORE)
    if said.dry_run:
        counts = {n: getattr(report, n) for n in ("created", "changed", "retired", "unchanged")}
        told = {"dry_run": True, "id": feature_id, **counts}
        return Response(orjson.dumps(told), 200, headers, JSON)
    revision = report.revision if done.commit else mutation.admitted.layer(record.id).record.head
    headers |= {"Content-Revision": str(revision), **said.preference.applied}
    if created:
        headers["Location"] = address(request, "collections", record.id, "items", feature_id)
    seen = _after(mutation, feature_id, start)
    if seen is not None:
        headers["ETag"] = feature_tag(seen.snapshot, seen.row)
        headers["Last-Modified"] = http_date(seen.row._recorded)
    if seen is not None and said.preference.content == "representation":
        return _represent(request, seen, 201 if created else 200, headers)
    return Response(None, 201 if created else 204, headers)


def _after(mutation: Mutation, feature_id: str, start: datetime | None) -> Seen | None:
    layer = mutation.admitted.layer(mutation.record.id)
    try:
        return dataclasses.replace(mutation, layer=layer).see(feature_id, start)
    except (FeatureGone, UnknownFeature):
        return None


def _represent(request: Request, seen: Seen, status: int, headers: dict[str, str]) -> Response:
    here = ("collections", seen.snapshot.layer.record.id, "items", seen.id)
    document = feature_document(seen.snapshot, seen.row, False)
    document["revision"] = seen.revision
    document["links"] = [link(address(request, *here), "self", GEOJSON, "This document")]
    headers["Content-Crs"] = f"<{crs_uri(CRS84)}>"
    headers["Content-Location"] = address(request, *here)
    return Response(orjson.dumps(document), status, headers, GEOJSON)


_PART_4 = "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/"
_ITEMS = "/collections/{collectionId}/items"
_ITEM = f"{_ITEMS}/{{featureId}}"
_OF_ITEMS, _OF_ITEM = ("collectionId", *STATEMENT), ("collectionId", "featureId", *STATEMENT)
_CONDITIONS = ("If-Match", "If-Unmodified-Since")
DOORS = (
    Door(
        _ITEMS,
        "POST",
        create,
        change(
            "createFeature",
            "Create a feature · 新增要素",
            parameters=(*_OF_ITEMS, "Content-Crs", "Prefer"),
            body=FEATURE_TYPES,
            done=(200, 201),
        ),
        (f"{_PART_4}create-replace-delete", f"{_PART_4}features"),
        rule=Rule.WRITE,
    ),
    Door(
        _ITEMS,
        "OPTIONS",
        options_of_items,
        choices("optionsOfFeatures", "What may be done with the features", ("collectionId",)),
        rule=Rule.LAYER,
    ),
    Door(
        _ITEM,
        "PUT",
        replace,
        change(
            "replaceFeature",
            "Replace a feature · 替换要素",
            parameters=(*_OF_ITEM, *_CONDITIONS, "Content-Crs", "Prefer"),
            body=FEATURE_TYPES,
            done=(200, 204),
        ),
        tuple(f"{_PART_4}optimistic-locking-{by}" for by in ("etags", "timestamps")),
        rule=Rule.WRITE,
    ),
    Door(
        _ITEM,
        "PATCH",
        update,
        change(
            "updateFeature",
            "Update some of a feature · 更新要素",
            parameters=(*_OF_ITEM, *_CONDITIONS, "Content-Crs", "Prefer"),
            body=PATCH_TYPES,
            done=(200, 204),
        ),
        (f"{_PART_4}update",),
        rule=Rule.WRITE,
    ),
    Door(
        _ITEM,
        "DELETE",
        delete,
        change(
            "deleteFeature",
            "Retire a feature · 注销要素",
            parameters=(*_OF_ITEM, *_CONDITIONS, "OGC-Mutation-Datetime"),
            done=(200, 204),
        ),
        rule=Rule.WRITE,
    ),
    Door(
        _ITEM,
        "OPTIONS",
        options_of_item,
        choices("optionsOfFeature", "What may be done with it", ("collectionId", "featureId")),
        rule=Rule.LAYER,
    ),
)
