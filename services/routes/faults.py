"""The faults that a publish found, as a layer to download: kept with its revision."""

from __future__ import annotations

from typing import Any

import shapely
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.kept_faults import KeptFaults
from services.access.rules import Rule
from services.doors import Door
from services.links import address, link
from services.negotiation import GEOJSON, JSON, answer_bytes, as_json, check_format
from services.openapi import operation
from services.parameters import check_names, parse_number
from services.routes.collections import find_layer
from services.routes.exports import disposition
from spatial.crs import CRS84, transform


async def faults(request: Request) -> Response:
    """Answer the faults of one revision's source, as GeoJSON."""
    check_format(request, offered=("json",))
    check_names(request, ("f",))
    number = parse_number("revision", request.path_params["number"], smallest=1)
    layer = await find_layer(request)
    found = await run_in_threadpool(layer.faults, number)
    await run_in_threadpool(request.state.admitted.note, layer, "faults")
    here = ("collections", layer.record.id, "revisions", str(number))
    document = {
        "type": "FeatureCollection",
        "features": await run_in_threadpool(_features, found),
        "numberMatched": found.count,
        "numberReturned": len(found.faults),
        "links": [
            link(address(request, *here, "faults"), "self", GEOJSON, "This document"),
            link(address(request, *here), "up", JSON, "The revision"),
        ],
    }
    name = f"{layer.record.id}-{number}-faults.geojson"
    headers = {"Content-Disposition": disposition(name)}
    return answer_bytes(request, as_json(document), GEOJSON, headers)


def _features(found: KeptFaults) -> list[dict[str, Any]]:
    places = [fault.place for fault in found.faults]
    # What lies where the system does not reach is a fault without a place.
    places = list(transform(places, found.crs, CRS84, strict=False))
    return [
        {
            "type": "Feature",
            "id": n,
            "geometry": None
            if place is None or place.is_empty
            else shapely.geometry.mapping(place),
            "properties": {
                "rule": fault.rule,
                "row": fault.row,
                "other_row": fault.other_row,
                "measured": fault.measured,
                "allowed": fault.allowed,
                "unit": fault.unit,
                "message": fault.message,
            },
        }
        for n, (fault, place) in enumerate(zip(found.faults, places, strict=True), 1)
    ]


DOORS = (
    Door(
        "/collections/{collectionId}/revisions/{number}/faults",
        "GET",
        faults,
        operation(
            "getFaults",
            "The faults that a publish found, with their places, for staff who see the whole layer "
            "and every field of it: the first 1,000, shapes of more than 64 corners as boxes · "
            "问题图层",
            "revisions",
            parameters=("collectionId", "revisionNumber", "f-geojson"),
            media_types=(GEOJSON,),
        ),
        rule=Rule.LAYER,
    ),
)
