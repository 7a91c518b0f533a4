"""Numbers of features by period and by property: for a histogram."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.model import Field, Kind
from layers.published import PublishedLayer
from layers.reading.calendars import Step, period_starts
from layers.reading.features import Query
from layers.reading.histograms import Grouping, Histogram
from layers.reading.snapshots import Snapshot
from layers.schemas.terms import title_of
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.negotiation import JSON, check_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import (
    FILTER,
    LARGEST_LIMIT,
    Pins,
    check_names,
    read_bbox,
    read_filter_parameters,
    read_limit,
    read_pins,
    write_datetime,
)
from spatial.periods import Interval, format_instant

_OWN = ("by", "period", "bbox", "bbox-crs", *FILTER, *TIME, "limit", "f")
_DEFAULT = 1000
# Values of a property; the rarer ones are counted together.
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked to be counted.

    Attributes
    ----------
    edges : sequence of datetime
        Of events the bounds of the periods; of things that last the instants. None where a number
        of all is wanted.
    rest : Interval, optional
        What is left, where there are more periods than an answer has.
    """

    layer: PublishedLayer
    snapshot: Snapshot
    pins: Pins
    step: Step | None
    by: Field | None
    edges: Sequence[datetime]
    rest: Interval | None
    notes: tuple[str, ...]

    @property
    def of_events(self) -> bool:
        return self.layer.record.schema.kind is Kind.EVENT

    def histogram(self) -> Histogram:
        """Return the numbers."""
        if self.step is not None and len(self.edges) <= self.of_events:
            return Histogram((), (), ())
        grouping = Grouping(self.by, self.edges, _MOST_VALUES)
        return self.layer.histogram(self.snapshot, grouping)


async def counts(request: Request) -> Response:
    """Answer how many events were reported in each period, or how many things there were."""
    check_format(request)
    asked, found = await run_in_threadpool(_read, request)
    record, moment = asked.layer.record, asked.snapshot.moment
    document: dict[str, Any] = {
        "collection": record.id,
        "revision": moment.revision,
        "datetime": write_datetime(moment.when),
        "counted": _counted(asked),
        "period": asked.step,
        "by": None if asked.by is None else asked.by.id,
        "timeZone": record.schema.time_zone,
    }
    if asked.by is not None:
        document["values"] = [_value_document(asked.by, v) for v in found.values]
    document["buckets"] = _buckets(asked, found)
    document["links"] = self_links(request, JSON, "collections", record.id, "counts")
    if asked.rest is not None:
        document["links"].append(_next_link(request, asked))
    notes = [*asked.notes]
    if found.is_cut:
        notes.append(f"only the {_MOST_VALUES} most frequent values stand alone; others: other")
    document |= {"notes": notes} if notes else {}
    headers = {"Content-Revision": str(moment.revision)}
    more: dict[str, Any] = {"layer": record, "field": asked.by, "pinned": _is_pinned(asked)}
    return respond(request, document, "counts.html", headers=headers, **more)


def _read(request: Request) -> tuple[_Asked, Histogram]:
    asked = _read_asked(request)
    return asked, asked.histogram()


def _read_asked(request: Request) -> _Asked:
    layer: PublishedLayer = request.state.admitted.layer(request.path_params["collectionId"])
    request.state.admitted.note(layer, "counts")
    pins = read_pins(request, layer.record, default=True)
    snapshot = layer.at(pins.when, **pins.known)
    check_names(request, (*_OWN, *snapshot.fields))
    by, step = _read_by(request, snapshot), _read_step(request)
    # Fields that are restricted cost more to read, and only one of them can be asked for.
    equal = {k: v for k, v in request.query_params.items() if k not in _OWN}
    asked = {snapshot.schema.find(name) for name in (*equal, *([by.id] if by else []))}
    restricted = any(f is not None and f.is_restricted for f in asked)
    narrowed = read_filter_parameters(request)
    box, crs = read_bbox(request, layer.record.schema)
    query = Query(
        bbox=box, bbox_crs=crs, placeless=True, equal=equal, restricted=restricted, **narrowed
    )
    snapshot = dataclasses.replace(snapshot, query=query)
    limit, note = read_limit(request, _DEFAULT, LARGEST_LIMIT)
    notes = () if note is None else (note,)
    told = _Asked(layer, snapshot, pins, step, by, (), None, notes)
    return told if step is None else _by_period(told, limit)


def _read_by(request: Request, snapshot: Snapshot) -> Field | None:
    name = request.query_params.get("by")
    if name is None:
        return None
    found = next((f for f in snapshot.shown.every if f.id == name), None)
    if found is None:
        raise BadParameter(f"by={name!r}: one of {', '.join(snapshot.fields)}")
    return found


def _read_step(request: Request) -> Step | None:
    text = request.query_params.get("period")
    try:
        return None if text is None else Step(text)
    except ValueError:
        raise BadParameter(f"period={text!r}: one of {', '.join(Step)}") from None


def _by_period(asked: _Asked, limit: int) -> _Asked:
    """The same with its edges: at most so many periods, the first first."""
    when, layer = asked.pins.when, asked.layer
    if isinstance(when, datetime):
        raise BadParameter("period: counts by period are of an interval; write datetime=a/b")
    now = asked.snapshot.moment.now
    wanted = when or Interval(None, None)
    end = now if wanted.end is None else wanted.end
    start = wanted.start
    if start is None:
        every = dataclasses.replace(asked.snapshot.moment, when=Interval(None, end))
        start = layer.first_counted(dataclasses.replace(asked.snapshot, moment=every))
    if start is None or start > end:
        start = end
    edges, rest = _edges(asked, start, end, limit)
    moment = dataclasses.replace(asked.snapshot.moment, when=Interval(start, end))
    snapshot = dataclasses.replace(asked.snapshot, moment=moment)
    return dataclasses.replace(asked, snapshot=snapshot, edges=edges, rest=rest)


def _edges(
    asked: _Asked, start: datetime, end: datetime, limit: int
) -> tuple[list[datetime], Interval | None]:
    """Bounds of periods of events, or instants: where periods begin in [start, end)."""
    assert asked.step is not None  # noqa: S101 - asked before
    zone = asked.layer.record.schema.zone
    begins = itertools.takewhile(lambda at: at < end, period_starts(asked.step, start, zone))
    found = list(itertools.islice(begins, limit + 2))
    if asked.of_events and start < end:
        # A period that begins before is counted from the start on, the last up to the end.
        found = [*dict.fromkeys((start, *found)), end][: limit + 2]
    most = limit + asked.of_events
    if len(found) <= most:
        return found, None
    following = found[most - 1] if asked.of_events else found[most]
    return found[:most], Interval(following, end)


def _buckets(asked: _Asked, found: Histogram) -> list[dict[str, Any]]:
    buckets = []
    for n, (numbers, other) in enumerate(zip(found.numbers, found.others, strict=True)):
        bucket: dict[str, Any] = _time_of(asked, n)
        bucket["count"] = sum(numbers.values()) + other
        if asked.by is not None:
            bucket["counts"] = [numbers.get(value, 0) for value in found.values]
            bucket |= {"other": other} if found.is_cut else {}
        buckets.append(bucket)
    return buckets


def _time_of(asked: _Asked, n: int) -> dict[str, Any]:
    if asked.step is None:
        return {}
    start = {"start": format_instant(asked.edges[n])}
    return start | ({"end": format_instant(asked.edges[n + 1])} if asked.of_events else {})


def _counted(asked: _Asked) -> str:
    """What the numbers are of, so that nobody has to guess."""
    if asked.of_events:
        when = asked.snapshot.moment.when
        return "reported-within" if isinstance(when, Interval) else "reported-by"
    if asked.step is None and isinstance(asked.snapshot.moment.when, Interval):
        return "versions-valid-within"
    return "valid-at-start" if asked.step is not None else "valid-at"


def _value_document(by: Field, value: Any) -> dict[str, Any]:
    said = value
    if isinstance(value, datetime):
        said = format_instant(value)
    elif isinstance(value, date):
        said = value.isoformat()
    title = title_of(by, str(said)) if str(said) in by.codes else None
    return {"value": said} | ({"title": {"en": title.en, "zh": title.zh}} if title else {})


def _is_pinned(asked: _Asked) -> bool:
    when, now = asked.pins.when, asked.snapshot.moment.now
    ended = not isinstance(when, Interval) or (when.end is not None and when.end <= now)
    open_start = isinstance(when, Interval) and when.start is None
    return asked.pins.complete and ended and not open_start


def _next_link(request: Request, asked: _Asked) -> dict[str, str]:
    query = {k: v for k, v in request.query_params.items() if k not in ("recorded", "commit")}
    revision = str(asked.snapshot.moment.revision)
    query |= {"datetime": write_datetime(asked.rest), "revision": revision}
    href = address(request, "collections", asked.layer.record.id, "counts", **query)
    return link(href, "next", JSON, "The next periods")


DOORS = (
    Door(
        "/collections/{collectionId}/counts",
        "GET",
        counts,
        operation(
            "getCounts",
            "Numbers by period and by property · 统计",
            "features",
            parameters=(
                "collectionId",
                *(n for n in _OWN if n not in ("limit", "f")),
                "limit-instants",
                "f",
            ),
        ),
        rule=Rule.LAYER,
    ),
)
