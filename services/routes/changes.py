"""Changes of a collection: what revisions did, version by version; or what differs then."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from layers.model import Layer
from layers.published import PublishedLayer
from layers.reading.changes import Place
from layers.reading.snapshots import Snapshot
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.feed import (
    NDJSON,
    difference_lines,
    offered_crs,
    read_place,
    version_lines,
    written,
)
from services.links import address, link
from services.negotiation import JSON, check_format, prefers, validated
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names, read_datetime, read_limit, read_number
from services.streams import begin_stream
from spatial.periods import Interval, format_instant

_OFFERED = ("ndjson", "json", "html")
_OWN = ("from", "to", "datetime", "crs", "limit", "token", "f")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the changes of a layer.

    Attributes
    ----------
    after, to : int
        Revisions: after the one, up to the other.
    when : tuple of datetime, optional
        Not what revisions did, but what differs: between `after` at the first of these instants,
        and `to` at the second.
    place : Place or str, optional
        After which the answer begins.
    """

    layer: PublishedLayer
    after: int
    to: int
    when: tuple[datetime, datetime] | None
    crs: str
    limit: int | None
    note: str | None
    place: Place | str | None
    pinned: bool

    @property
    def record(self) -> Layer:
        """The layer's record."""
        return self.layer.record

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the changes, one more than the limit where there are more."""
        limit = None if self.limit is None else self.limit + 1
        return itertools.islice(self._lines(), limit)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.when is None:
            resume = self.place if isinstance(self.place, Place) else None
            changes = self.layer.changes(self.after, self.to, resume=resume)
            return version_lines(changes, self.record, self.crs)
        after = self.place if isinstance(self.place, str) else None
        old, new = self._snapshot(self.after, 0), self._snapshot(self.to, 1)
        differences = self.layer.diff(old, new, after=after)
        return difference_lines(differences, self.record, self.crs)

    def _snapshot(self, revision: int, side: int) -> Snapshot:
        assert self.when is not None  # noqa: S101 - asked just before
        at = self.when[side]
        return self.layer.at(at, revision=revision) if revision else self.layer.before(at)

    def heading(self) -> dict[str, Any]:
        """Return what is said before the changes."""
        said: dict[str, Any] = {
            "type": "Changes",
            "collection": self.record.id,
            "from": self.after,
            "to": self.to,
        }
        if self.when is not None:
            said["datetime"] = "/".join(dict.fromkeys(map(format_instant, self.when)))
        said |= {"crs": self.crs, "schemas": self._schemas()}
        return said | ({"notes": [self.note]} if self.note else {})

    def _schemas(self) -> list[dict[str, Any]]:
        """Which fields versions have, since which revision, as far as the reader sees them."""
        found = []
        for since, _ in self.record.schemas:
            fields = self.layer.reader.fields(self.record.as_of(since))
            found.append({"since": since, "fields": {f.id: f.type.value for f in fields}})
        return found


async def changes(request: Request) -> Response:
    """Answer what revisions asserted and retracted; with a datetime, what differs there."""
    check_format(request, offered=_OFFERED)
    check_names(request, _OWN)
    streamed = _is_streamed(request)
    asked = await run_in_threadpool(_read_asked, request, streamed)
    if streamed:
        return await _stream(request, asked)
    found = await run_in_threadpool(lambda: list(asked.lines()))
    assert asked.limit is not None  # noqa: S101 - a page has one
    shown = found[: asked.limit]
    document = asked.heading() | {
        "changes": shown,
        "numberReturned": len(shown),
        "links": _own_links(request, asked, "json"),
    }
    if len(found) > len(shown):
        href = _next_address(request, asked, shown[-1]["token"], "json")
        document["links"].append(link(href, "next", JSON, "The next page"))
    fields = asked.layer.reader.fields(asked.record)
    more: dict[str, Any] = {"layer": asked.record, "fields": fields}
    return respond(request, document, "changes.html", pinned=asked.pinned, **more)


def _is_streamed(request: Request) -> bool:
    """Lines are what there is of it, where nothing else is asked for."""
    if "f" in request.query_params:
        return request.query_params["f"] == "ndjson"
    return request.headers.get("accept", "*/*") == "*/*" or prefers(request, "ndjson", NDJSON)


async def _stream(request: Request, asked: Asked) -> Response:
    # What it says is known by what it is made of, before any of it is read.
    told = (asked.record.id, asked.after, asked.to, asked.when, asked.crs, asked.limit, asked.place)
    sight = asked.layer.reader.sight(asked.record).fingerprint
    said = f"{told} {sight} {len(asked.record.schemas)} {request.url}"
    digest = hashlib.sha256(said.encode()).digest()
    headers, unchanged = validated(request, digest, NDJSON, pinned=asked.pinned)
    if unchanged or request.method == "HEAD":
        return Response(None, 304 if unchanged else 200, headers, NDJSON)
    parts = await begin_stream(_written(request, asked))
    return StreamingResponse(parts, 200, headers, NDJSON)


def _written(request: Request, asked: Asked) -> Generator[bytes]:
    """The lines as bytes: a heading, the changes, and an end, without which they are not whole."""
    own = _own_links(request, asked, "ndjson")
    waiting, size, n, last = [written(asked.heading() | {"links": own})], 0, 0, None
    following = None
    for line in asked.lines():
        if n == asked.limit:
            following = _next_address(request, asked, str(last), "ndjson")
            break
        n, last = n + 1, line["token"]
        waiting.append(written(line))
        size += len(waiting[-1])
        if size > _CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    waiting.append(written({"type": "End", "numberReturned": n, "token": last, "next": following}))
    yield b"".join(waiting)


_CHUNK = 64 << 10


def _own_links(request: Request, asked: Asked, f: str) -> list[dict[str, str]]:
    query = {k: v for k, v in request.query_params.items() if k != "f"}
    return [
        link(
            address(request, "collections", asked.record.id, "changes", **query, f=name),
            "self" if name == f else "alternate",
            media_type,
            title,
        )
        for name, media_type, title in _FORMATS
    ]


_FORMATS = (
    ("ndjson", NDJSON, "A stream of lines"),
    ("json", JSON, "A document"),
    ("html", "text/html", "As a page"),
)


def _next_address(request: Request, asked: Asked, token: str, f: str) -> str:
    query = dict(request.query_params) | {"token": token, "from": asked.after, "to": asked.to}
    query["f"] = f
    if asked.when is not None:
        query["datetime"] = "/".join(dict.fromkeys(map(format_instant, asked.when)))
    return address(request, "collections", asked.record.id, "changes", **query)


@dataclass(frozen=True, slots=True)
class Span:
    """Between what changes are asked for.

    Attributes
    ----------
    after, to : int
        Revisions.
    when : tuple of datetime, optional
        Instants, the same twice where one is stated; None where none is.
    pinned : bool
        Whether the answer can never change.
    """

    after: int
    to: int
    when: tuple[datetime, datetime] | None
    pinned: bool


def read_span(request: Request, layer: PublishedLayer) -> Span:
    """Read ``from``, ``to`` and ``datetime``.

    Raises
    ------
    BadParameter
    """
    query, head = request.query_params, layer.record.head
    to = read_number(request, "to", smallest=0)
    when = _read_when(request, layer)
    between = when is not None and when[0] != when[1]
    # Between two instants it is the world that changed, unless two revisions are named as well.
    after = read_number(request, "from", smallest=0)
    start = after if after is not None else (to if to is not None else head) if between else 0
    end = head if to is None else to
    if not start <= end <= head:
        raise BadParameter(f"from={start}, to={end}: revisions are 0 <= from <= to <= {head}")
    pinned = to is not None and (when is None or not _is_open(query["datetime"]))
    return Span(start, end, when, pinned)


def _read_asked(request: Request, streamed: bool) -> Asked:
    layer: PublishedLayer = request.state.admitted.layer(request.path_params["collectionId"])
    request.state.admitted.note(layer, "changes")
    query, span = request.query_params, read_span(request, layer)
    limit, note = (None, None) if streamed and "limit" not in query else read_limit(request)
    place = read_place(query["token"]) if "token" in query else None
    if place is not None and isinstance(place, str) is (span.when is None):
        raise BadParameter("token is of another kind of changes; follow a next link as it is")
    crs = query.get("crs", offered_crs(layer.record)[0])
    if crs not in offered_crs(layer.record):
        raise BadParameter(f"crs={crs!r}: one of {', '.join(offered_crs(layer.record))}")
    return Asked(layer, span.after, span.to, span.when, crs, limit, note, place, span.pinned)


def _read_when(request: Request, layer: PublishedLayer) -> tuple[datetime, datetime] | None:
    when = read_datetime(request, layer.record.schema.zone)
    if when is None or isinstance(when, datetime):
        return None if when is None else (when, when)
    if when.start is None:
        raise BadParameter("datetime: changes between two instants begin at one; write a/b or a/..")
    return when.start, _end(when, layer)


def _end(when: Interval, layer: PublishedLayer) -> datetime:
    if when.end is not None:
        return when.end
    assert when.start is not None  # noqa: S101 - looked at just before
    return max(layer.clock(), when.start)


def _is_open(text: str) -> bool:
    return text.endswith(("/..", "/"))


DOORS = (
    Door(
        "/collections/{collectionId}/changes",
        "GET",
        changes,
        operation(
            "getChanges",
            "What revisions asserted and retracted, or what differs at an instant · 变更",
            "revisions",
            parameters=(
                "collectionId",
                "from",
                "to",
                "datetime-changes",
                "crs-changes",
                "limit-changes",
                "token",
                "f-changes",
            ),
            media_types=(NDJSON, JSON, "text/html"),
        ),
        rule=Rule.LAYER,
    ),
)
