"""When anything changed in a collection, or in a box of it: for a slider of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.published import PublishedLayer
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.negotiation import JSON, check_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import (
    LARGEST_LIMIT,
    Pins,
    check_names,
    read_bbox,
    read_limit,
    read_number,
    read_pins,
    write_datetime,
)
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, parse_instant

_OWN = ("bbox", *TIME, "axis", "limit", "token", "f")
_DEFAULT = 1000
_AXES = ("valid", "recorded")


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found; one more than the limit where there are more."""

    layer: PublishedLayer
    pins: Pins
    revision: int
    within: Interval
    limit: int
    note: str | None
    instants: Sequence[datetime]
    revisions: Sequence[int]

    @property
    def is_cut(self) -> bool:
        return len(self.instants) > self.limit

    @property
    def token(self) -> str:
        last = self.limit - 1
        return str(self.revisions[last]) if self.revisions else format_instant(self.instants[last])


async def change_dates(request: Request) -> Response:
    """Answer the instants at which the world changed, or what was known of it."""
    check_format(request)
    check_names(request, _OWN)
    axis = request.query_params.get("axis", "valid")
    if axis not in _AXES:
        raise BadParameter(f"axis={axis!r}: one of {', '.join(_AXES)}")
    found = await run_in_threadpool(_read, request, axis)
    layer_id, shown = found.layer.record.id, slice(found.limit)
    document: dict[str, Any] = {
        "collection": layer_id,
        "revision": found.revision,
        "axis": axis,
        "datetime": write_datetime(found.within),
        "instants": [format_instant(at) for at in found.instants[shown]],
    }
    if axis == "recorded":
        document["revisions"] = list(found.revisions[shown])
    document["numberReturned"] = len(document["instants"])
    document["links"] = self_links(request, JSON, "collections", layer_id, "change-dates")
    if found.is_cut:
        document["links"].append(_next_link(request, found))
    if found.note:
        document["notes"] = [found.note]
    headers = {"Content-Revision": str(found.revision)}
    pinned = found.pins.complete
    more: dict[str, Any] = {"pinned": pinned, "layer": found.layer.record}
    return respond(request, document, "change_dates.html", headers=headers, **more)


def _read(request: Request, axis: str) -> _Found:
    layer: PublishedLayer = request.state.admitted.layer(request.path_params["collectionId"])
    request.state.admitted.note(layer, "change-dates")
    pins = read_pins(request, layer.record)
    revision = layer.at(**pins.known).moment.revision
    when = pins.when or Interval(None, None)
    within = when if isinstance(when, Interval) else Interval(when, when)
    limit, note = read_limit(request, _DEFAULT, LARGEST_LIMIT)
    box, _ = read_bbox(request, layer.record.schema)
    asked: dict[str, Any] = {"revision": revision, "bbox": box, "limit": limit + 1}
    instants: list[datetime] = []
    numbers: list[int] = []
    if axis == "recorded":
        after = read_number(request, "token", smallest=0) or 0
        if after >= 2**31:
            raise BadParameter(f"token={after}: follow a next link as it is")
        told = layer.recordings(within, after=after, **asked)
        numbers, instants = [n for n, _ in told], [at for _, at in told]
    else:
        instants = layer.change_dates(within, after=_read_token(request), **asked)
    return _Found(layer, pins, revision, within, limit, note, instants, numbers)


def _read_token(request: Request) -> datetime | None:
    text = request.query_params.get("token")
    try:
        return None if text is None else parse_instant(text, UTC)
    except SpatialError as error:
        raise BadParameter(f"token: {error}; follow a next link as it is") from None


def _next_link(request: Request, found: _Found) -> dict[str, str]:
    query = {k: v for k, v in request.query_params.items() if k not in ("recorded", "commit")}
    query |= {"token": found.token, "revision": str(found.revision)}
    query["datetime"] = write_datetime(found.within)
    href = address(request, "collections", found.layer.record.id, "change-dates", **query)
    return link(href, "next", JSON, "The next page")


DOORS = (
    Door(
        "/collections/{collectionId}/change-dates",
        "GET",
        change_dates,
        operation(
            "getChangeDates",
            "When anything changed, in a box · 变更时刻",
            "features",
            parameters=("collectionId", "bbox", *TIME, "axis", "limit-instants", "token", "f"),
        ),
        rule=Rule.LAYER,
    ),
)
