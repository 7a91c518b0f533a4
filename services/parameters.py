"""What a request asks, as typed values: strings end here."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request

from layers.model import Layer
from layers.reading.cql2 import TEXT, read_filter
from layers.reading.features import Box
from services.errors import BadParameter, BodyTooLarge, BodyTooSlow
from spatial.crs import parse_crs
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, parse_datetime, parse_instant

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000
_LONGEST = 2_000
# A polygon of some hundred vertices is longer than any other parameter.
_LONG = {"filter": 16_000}
FILTER = ("filter", "filter-lang", "filter-crs")
LONGEST_BODY_S = 120.0


@dataclass(frozen=True, slots=True)
class Pins:
    """The time of a read as the request states it; None where it does not."""

    when: datetime | Interval | None
    revision: int | None
    recorded: datetime | None
    commit: str | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What pins the state of knowledge, as `PublishedLayer.at` takes it."""
        return {"revision": self.revision, "recorded": self.recorded, "commit": self.commit}

    @property
    def complete(self) -> bool:
        """Whether both axes are pinned: such an answer can never change."""
        closed = isinstance(self.when, datetime) or (
            isinstance(self.when, Interval) and self.when.end is not None
        )
        return (self.revision is not None or self.commit is not None) and closed


def check_text(request: Request) -> None:
    """Refuse a NUL anywhere in an address: no text of the store can hold one.

    Raises
    ------
    BadParameter
    """
    if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise BadParameter("the address has a NUL character (%00), which no text can have here")


def check_names(request: Request, known: Collection[str]) -> None:
    """Refuse parameters that the resource does not have, and one that is given twice.

    Raises
    ------
    BadParameter
    """
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there are none here"
            raise BadParameter(f"there is no parameter {name!r}; {there}")
        if names.count(name) > 1:
            raise BadParameter(f"parameter {name!r} is given twice; give it once")
        longest = _LONG.get(name, _LONGEST)
        if len(request.query_params[name]) > longest:
            raise BadParameter(f"parameter {name!r} is longer than {longest} characters")


async def read_body(request: Request, largest: int, remedy: str) -> bytes:
    """Read a body of at most so many bytes; it is believed only where it says that it has more.

    Raises
    ------
    BodyTooLarge
        With the remedy.
    BodyTooSlow
        Where it has not come whole within two minutes: who sends drop by drop holds a place.
    """
    stated = request.headers.get("content-length", "")
    if len(stated) < 19 and stated.isascii() and stated.isdigit() and int(stated) > largest:
        raise BodyTooLarge(remedy)
    try:
        async with asyncio.timeout(LONGEST_BODY_S):
            return await _read_parts(request, largest, remedy)
    except TimeoutError:
        told = f"the body did not come whole within {LONGEST_BODY_S:.0f} s"
        raise BodyTooSlow(f"{told}; send it faster, or less of it") from None


async def _read_parts(request: Request, largest: int, remedy: str) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > largest:
            raise BodyTooLarge(remedy)
        parts.append(part)
    return b"".join(parts)


def read_pins(request: Request, layer: Layer) -> Pins:
    """Read ``datetime``, and ``revision``, ``recorded`` or ``commit``.

    Raises
    ------
    BadParameter
        Where one is malformed, or two of the last three are given.
    """
    query, zone = request.query_params, layer.schema.zone
    when = recorded = None
    try:
        if "datetime" in query:
            when = parse_datetime(query["datetime"], zone)
        if "recorded" in query:
            recorded = parse_instant(query["recorded"], zone)
    except SpatialError as error:
        raise BadParameter(f"datetime or recorded: {error}") from None
    revision = None
    if "revision" in query:
        revision = _whole_number("revision", query["revision"], smallest=1)
    pinning = [name for name in ("revision", "recorded", "commit") if name in query]
    if len(pinning) > 1:
        raise BadParameter(f"{' and '.join(pinning)} both pin what was known; give one of them")
    return Pins(when, revision, recorded, query.get("commit"))


def read_limit(request: Request) -> tuple[int, str | None]:
    """Read ``limit``; return it and, where it was reduced, the sentence that says so."""
    asked = request.query_params.get("limit")
    if asked is None:
        return DEFAULT_LIMIT, None
    limit = _whole_number("limit", asked, smallest=1)
    if limit > LARGEST_LIMIT:
        return LARGEST_LIMIT, f"limit {limit} was reduced to {LARGEST_LIMIT}; follow the next links"
    return limit, None


def read_bbox(request: Request) -> Box | None:
    """Read ``bbox``: four numbers, or six of which the heights are passed over, in CRS84.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get("bbox")
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise BadParameter(f"bbox={text!r}: write west,south,east,north in degrees") from None
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise BadParameter(f"bbox={text!r}: write west,south,east,north in degrees")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise BadParameter(
            f"bbox={text!r} lies outside -180..180, -90..90, or its south is above its north"
        )
    return west, south, east, north


def read_filter_parameters(request: Request) -> dict[str, Any]:
    """Read ``filter``, ``filter-lang`` and ``filter-crs``, as `Query` takes them.

    Raises
    ------
    BadQuery
        Where the filter can't be read.
    BadParameter
        For a reference system that there is not, or a language or system without a filter.
    """
    query = request.query_params
    text = query.get("filter")
    if text is None:
        for name in FILTER[1:]:
            if name in query:
                raise BadParameter(f"{name} belongs to a filter, and there is none")
        return {}
    found: dict[str, Any] = {"filter": read_filter(text, query.get("filter-lang", TEXT))}
    if "filter-crs" in query:
        try:
            found["filter_crs"] = parse_crs(query["filter-crs"])
        except SpatialError as error:
            raise BadParameter(f"filter-crs: {error}") from None
        if not (found["filter_crs"].is_geographic or found["filter_crs"].is_projected):
            raise BadParameter(f"filter-crs: {query['filter-crs']} has no horizontal plane")
    return found


def read_token(request: Request) -> tuple[str, datetime] | None:
    """Read ``token``, which a next link carries: the key after which the page begins."""
    text = request.query_params.get("token")
    if text is None:
        return None
    try:
        fid, start = orjson.loads(base64.urlsafe_b64decode(text.encode() + b"=="))
        if not isinstance(fid, str) or "\x00" in fid:
            raise ValueError
        return fid, datetime.fromisoformat(start)
    except (ValueError, TypeError, AttributeError, binascii.Error, UnicodeError):
        raise BadParameter("token is none of ours; follow a next link as it is") from None


def write_token(fid: str, start: datetime) -> str:
    """Return the token of a page that begins after a key.

    >>> from datetime import UTC
    >>> write_token("7", datetime(2014, 1, 1, tzinfo=UTC))
    'WyI3IiwiMjAxNC0wMS0wMVQwMDowMDowMFoiXQ'
    """
    return base64.urlsafe_b64encode(orjson.dumps([fid, format_instant(start)])).decode().rstrip("=")


def write_datetime(when: Any) -> str:
    """Return a ``datetime`` parameter for an instant or interval."""
    if isinstance(when, datetime):
        return format_instant(when)
    start = ".." if when.start is None else format_instant(when.start)
    end = ".." if when.end is None else format_instant(when.end)
    return f"{start}/{end}"


def _whole_number(name: str, text: str, *, smallest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) < smallest:
        raise BadParameter(f"{name}={text!r}: a whole number of at least {smallest}")
    return int(text)
