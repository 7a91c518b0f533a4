"""Collections: the layers that the reader may see, and one of them with its extent and fields."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Field, Kind
from layers.store import PublishedLayer
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.links import address, link, self_links
from services.negotiation import GEOJSON, JSON, check_format, wants_html
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names
from spatial.crs import crs_uri
from spatial.periods import format_instant

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_TILED_BY = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"


async def find_layer(request: Request) -> PublishedLayer:
    """Return the layer of the path, as the reader sees it."""
    admitted: Admitted = request.state.admitted
    return await run_in_threadpool(admitted.layer, request.path_params["collectionId"])


async def collections(request: Request) -> Response:
    """Answer the collections."""
    check_format(request)
    check_names(request, ("f",))
    found = await run_in_threadpool(_read_all, request.state.admitted)
    document = {
        "links": self_links(request, JSON, "collections"),
        "collections": [collection_document(request, layer) for layer in found],
        "numberMatched": len(found),
        "numberReturned": len(found),
    }
    return respond(request, document, "collections.html")


async def collection(request: Request) -> Response:
    """Answer one collection."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    await run_in_threadpool(layer.extent)
    document = collection_document(request, layer)
    document["links"] += self_links(request, JSON, "collections", layer.record.id)
    fields = layer.reader.fields(layer.record)
    document["fields"] = [_field_document(f) for f in fields]
    if wants_html(request):
        # Clients take it for a promise that features can be had in it (Part 2); people may know.
        document["storageCrs"] = crs_uri(layer.record.schema.crs)
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
        "titles": {"en": schema.title.en, "zh": schema.title.zh},
        "description": f"{schema.description.zh} {schema.description.en}".strip(),
        "attribution": schema.attribution,
        "itemType": "feature",
        "kind": schema.kind.value,
        "synthetic": schema.synthetic,
        "timeZone": schema.time_zone,
        "revision": record.head,
        "extent": _extent_document(layer),
        "crs": [CRS84],
        "links": _links(request, layer),
    }
    if schema.kind is Kind.STATE:
        versioning: dict[str, Any] = {"timeAxis": "validity-time", "mutationTime": "client"}
        document["versioning"] = versioning | ({"backdating": True} if schema.backdating else {})
    return document


def _read_all(admitted: Admitted) -> list[PublishedLayer]:
    found = admitted.published()
    for layer in found:
        layer.extent()
    return found


def _extent_document(layer: PublishedLayer) -> dict[str, Any]:
    extent = layer.extent()
    start = None if extent.start is None else format_instant(extent.start)
    end = None if extent.end is None else format_instant(extent.end)
    document: dict[str, Any] = {"temporal": {"interval": [[start, end]]}}
    if extent.bounds is not None:
        document["spatial"] = {"bbox": [list(extent.bounds)], "crs": CRS84}
    return document


def _links(request: Request, layer: PublishedLayer) -> list[dict[str, str]]:
    here = ("collections", layer.record.id)
    items = address(request, *here, "items")
    return [
        link(items, "items", GEOJSON, "Features · 要素"),
        link(f"{items}?f=html", "items", "text/html", "Features as a page"),
        link(address(request, *here, "revisions"), "version-history", JSON, "Revisions · 版本"),
        link(address(request, *here, "tiles"), _TILED_BY, JSON, "Vector tiles · 矢量瓦片"),
    ]


def _field_document(f: Field) -> dict[str, Any]:
    return {
        "id": f.id,
        "type": f.type.value,
        "title": {"en": f.title.en, "zh": f.title.zh},
        "role": f.role.value if f.role else None,
        "unit": f.unit,
        "codes": {code: {"en": t.en, "zh": t.zh} for code, t in f.codes.items()},
    }


DOORS = (
    Door(
        "/collections",
        "GET",
        collections,
        operation(
            "getCollections",
            "Collections · 图层",
            "collections",
            parameters=("f",),
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
            parameters=("collectionId", "f"),
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
