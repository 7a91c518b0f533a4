"""Collections: the layers that the reader may see, and one of them with its extent and fields."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Field, Kind, Schema, Title
from layers.schemas.terms import Terms, term_document, terms_of
from layers.store import PublishedLayer
from layers.systems import offered_crs
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.links import address, link, self_links
from services.negotiation import GEOJSON, HTML, JSON, SCHEMA, check_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import check_names, parse_bbox, read_datetime, read_limit
from spatial.crs import crs_uri
from spatial.periods import format_instant

MOST_COLLECTIONS = 1_000
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_RELS = "http://www.opengis.net/def/rel/ogc/1.0/"
# What leads on from a collection: the segment after its path, how it is related to it, what it is,
# and what people call it. Links are given to those that this server has.
_RESOURCES = (
    ("items", "items", GEOJSON, "Features · 要素"),
    ("schema", f"{_RELS}schema", SCHEMA, "What features have · 字段模式"),
    ("queryables", f"{_RELS}queryables", SCHEMA, "What filters can name · 可查询字段"),
    ("sortables", f"{_RELS}sortables", SCHEMA, "What orders can name · 可排序字段"),
    ("revisions", "version-history", JSON, "Revisions · 版本"),
    ("tiles", f"{_RELS}tilesets-vector", JSON, "Vector tiles · 矢量瓦片"),
    ("map/tiles", f"{_RELS}tilesets-map", JSON, "Map tiles · 地图瓦片"),
    ("styles", f"{_RELS}styles", JSON, "Styles · 样式"),
    ("changes", "related", "application/x-ndjson", "Changes · 变更"),
    ("commits", "related", JSON, "Commits · 提交"),
    ("change-dates", "related", JSON, "When anything changed · 变更时刻"),
    ("counts", "related", JSON, "Counts · 计数"),
)


async def find_layer(request: Request) -> PublishedLayer:
    """Return the layer of the path, as the reader sees it."""
    admitted: Admitted = request.state.admitted
    return await run_in_threadpool(admitted.layer, request.path_params["collectionId"])


async def collections(request: Request) -> Response:
    """Answer the collections, those whose extent meets a box and a time where one is asked."""
    check_format(request)
    check_names(request, ("bbox", "datetime", "limit", "token", "f"))
    limit, note = read_limit(request, MOST_COLLECTIONS, MOST_COLLECTIONS)
    found = await run_in_threadpool(_read_all, request)
    after = request.query_params.get("token")
    left = [layer for layer in found if after is None or layer.record.id > after]
    document: dict[str, Any] = {
        "links": self_links(request, JSON, "collections"),
        "collections": [collection_document(request, layer) for layer in left[:limit]],
        "numberMatched": len(found),
        "numberReturned": len(left[:limit]),
    }
    if len(left) > limit:
        following = dict(request.query_params) | {"token": left[limit - 1].record.id}
        href = address(request, "collections", **following)
        document["links"].append(link(href, "next", JSON, "The next page · 下一页"))
    if note is not None:
        document["notes"] = [note]
    return respond(request, document, "collections.html")


async def collection(request: Request) -> Response:
    """Answer one collection; clients that add a time to every address get the same."""
    check_format(request)
    check_names(request, (*TIME, "f"))
    layer = await find_layer(request)
    await run_in_threadpool(layer.extent)
    document = collection_document(request, layer)
    document["links"] += self_links(request, JSON, "collections", layer.record.id)
    fields = layer.reader.fields(layer.record)
    document["fields"] = [_field_document(f) for f in fields]
    return respond(request, document, "collection.html", layer=layer.record)


async def approve(request: Request) -> Response:
    """Let a pending layer be seen by those who may see it."""
    check_names(request, ())
    admitted: Admitted = request.state.admitted
    layer_id = request.path_params["collectionId"]
    await run_in_threadpool(admitted.approve, layer_id)
    answer = {"collection": layer_id, "pending": False}
    return Response(orjson.dumps(answer), 200, {"Cache-Control": "no-store"}, JSON)


def collection_document(request: Request, layer: PublishedLayer) -> dict[str, Any]:
    """Return a collection object; the extent must have been read, or is read here."""
    record, schema = layer.record, layer.record.schema
    document: dict[str, Any] = {
        "id": record.id,
        "title": f"{schema.title.zh} · {schema.title.en}",
        "titles": _both(schema.title),
        "description": f"{schema.description.zh} {schema.description.en}".strip(),
        "attribution": schema.attribution,
        "itemType": "feature",
        "kind": schema.kind.value,
        "synthetic": schema.synthetic,
        "timeZone": schema.time_zone,
        "revision": record.head,
        "extent": _extent_document(layer),
        "crs": list(offered_crs(schema)),
        "storageCrs": crs_uri(schema.crs),
        "links": [*_links(request, layer)],
    }
    return document | dict(_belongings(schema))


def _belongings(schema: Schema) -> Iterator[tuple[str, Any]]:
    """What a collection says where there is something to say."""
    if schema.theme is not None:
        yield "theme", {"id": schema.theme.id, "title": _both(schema.theme.title)}
    if schema.owner is not None:
        yield "owner", _both(schema.owner)
    if schema.update_cycle is not None:
        yield "updateCycle", schema.update_cycle
    if schema.kind is Kind.STATE:
        versioning: dict[str, Any] = {"timeAxis": "validity-time", "mutationTime": "client"}
        yield "versioning", versioning | ({"backdating": True} if schema.backdating else {})


def _read_all(request: Request) -> list[PublishedLayer]:
    """The layers whose extents, as their reader sees them, are what is asked; in one order."""
    text = request.query_params.get("bbox")
    box = None if text is None else parse_bbox(text)
    read_datetime(request, UTC)
    found = []
    for layer in request.state.admitted.published():
        extent = layer.extent()
        when = read_datetime(request, layer.record.schema.zone)
        if (box is None or extent.meets_box(box)) and (when is None or extent.meets_time(when)):
            found.append(layer)
    return sorted(found, key=lambda layer: layer.record.id)


def _extent_document(layer: PublishedLayer) -> dict[str, Any]:
    extent = layer.extent()
    start = None if extent.start is None else format_instant(extent.start)
    end = None if extent.end is None else format_instant(extent.end)
    document: dict[str, Any] = {"temporal": {"interval": [[start, end]]}}
    if extent.bounds is not None:
        document["spatial"] = {"bbox": [list(extent.bounds)], "crs": CRS84}
    return document


def _links(request: Request, layer: PublishedLayer) -> Iterator[dict[str, str]]:
    here = ("collections", layer.record.id)
    for segment, rel, media_type, title in _RESOURCES:
        if f"/collections/{{collectionId}}/{segment}" not in request.app.state.paths:
            continue
        if segment == "map/tiles" and not layer.record.schema.raster:
            continue
        there = address(request, *here, *segment.split("/"))
        yield link(there, rel, media_type, title)
        if segment == "items":
            yield link(f"{there}?f=html", rel, HTML, "Features as a page")
    if layer.record.schema.license is not None:
        # Of another server, which says what its text is.
        yield {"href": layer.record.schema.license, "rel": "license", "title": "License · 许可"}


def _field_document(f: Field) -> dict[str, Any]:
    return {
        "id": f.id,
        "type": f.type.value,
        "title": _both(f.title),
        "role": f.role.value if f.role else None,
        "unit": f.unit,
        "codes": {code: _code_document(terms_of(f, code)) for code in f.codes},
    }


def _code_document(terms: Terms) -> dict[str, Any]:
    """What a code is called, from when until when; and what it was before."""
    *before, newest = (term_document(term) for term in terms)
    return newest | ({"before": before} if before else {})


def _both(title: Title) -> dict[str, str]:
    return {"en": title.en, "zh": title.zh}


DOORS = (
    Door(
        "/collections",
        "GET",
        collections,
        operation(
            "getCollections",
            "Collections · 图层",
            "collections",
            parameters=("bbox", "datetime-extent", "limit-collections", "token", "f"),
            errors=(400, 401, 406),
        ),
        ("http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/collections/{collectionId}",
        "GET",
        collection,
        operation(
            "getCollection",
            "One collection · 单个图层",
            "collections",
            parameters=("collectionId", *TIME, "f"),
        ),
        rule=Rule.LAYER,
    ),
    Door(
        "/collections/{collectionId}/approval",
        "POST",
        approve,
        operation(
            "approve",
            "Let a pending layer be seen · 审核通过",
            "collections",
            parameters=("collectionId",),
            errors=(400, 401, 403, 404),
        ),
        rule=Rule.WRITE,
    ),
)
