"""What a request asks, as typed values: strings end here."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from pyproj import CRS
from starlette.requests import Request

from layers.model import FieldType, Layer, Schema
from layers.reading.boxes import LONLAT, Box
from layers.reading.ordering import Key, Order
from services.errors import BadParameter, BodyTooLarge, BodyTooSlow
from services.systems import find_system
from spatial.crs import is_north_first
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, parse_datetime, parse_instant

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000
LARGEST_OFFSET = 10_000_000
_LONGEST = 2_000
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
    def knows(self) -> bool:
        """Whether the state of knowledge is stated, and so may be an old one."""
        return any(stated is not None for stated in (self.revision, self.recorded, self.commit))

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
        if len(request.query_params[name]) > _LONGEST:
            raise BadParameter(f"parameter {name!r} is longer than {_LONGEST} characters")


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


def read_limit(request: Request) -> int | None:
    """Read ``limit``, None where it is absent.

    Raises
    ------
    BadParameter
    """
    asked = request.query_params.get("limit")
    return None if asked is None else _whole_number("limit", asked, smallest=1)


def page_limit(asked: int | None) -> tuple[int, str | None]:
    """Return the features of a page, and the sentence that says so where it was reduced.

    >>> page_limit(None), page_limit(20000)[0]
    ((100, None), 10000)
    """
    if asked is None:
        return DEFAULT_LIMIT, None
    if asked > LARGEST_LIMIT:
        return LARGEST_LIMIT, f"limit {asked} was reduced to {LARGEST_LIMIT}; follow the next links"
    return asked, None


def read_offset(request: Request) -> int:
    """Read ``offset``, 0 where it is absent.

    Raises
    ------
    BadParameter
        Also where it is so large that to count it off would take for ever.
    """
    offset = _whole_number("offset", request.query_params.get("offset", "0"), smallest=0)
    if offset > LARGEST_OFFSET:
        raise BadParameter(f"offset={offset}: at most {LARGEST_OFFSET}; follow the next links")
    return offset


def read_bbox(request: Request, schema: Schema) -> tuple[Box | None, CRS]:
    """Read ``bbox`` and ``bbox-crs``: four numbers, or six of which the heights are passed over.

    Returns
    -------
    tuple of Box or None, and CRS
        The box with x to the east and y to the north, whatever the authority's order.

    Raises
    ------
    BadParameter
    """
    query = request.query_params
    crs = LONLAT
    if "bbox-crs" in query:
        crs = find_system("bbox-crs", query["bbox-crs"], schema)
    text = query.get("bbox")
    if text is None:
        return None, crs
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise BadParameter(f"bbox={text!r}: write four numbers, west,south,east,north in CRS84")
    if is_north_first(crs):
        numbers = [numbers[n] for n in (1, 0, 3, 2)]
    west, south, east, north = numbers
    if south > north or (not crs.is_geographic and west > east):
        raise BadParameter(f"bbox={text!r}: its upper corner lies below its lower corner")
    if crs.is_geographic and not all((-180 <= west <= 180, -180 <= east <= 180)):
        raise BadParameter(f"bbox={text!r} has longitudes outside -180..180")
    if crs.is_geographic and not -90 <= south <= north <= 90:
        raise BadParameter(f"bbox={text!r} has latitudes outside -90..90")
    return (west, south, east, north), crs


def read_token(request: Request, order: Order) -> tuple[Key, bool] | None:
    """Read ``token``, which next and prev links carry.

    Returns
    -------
    tuple of key and bool
        The key at which the page begins, and whether it goes backwards from there.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get("token")
    if text is None:
        return None
    try:
        backwards, *values, fid, start = orjson.loads(
            base64.urlsafe_b64decode(text.encode() + b"==")
        )
        if not isinstance(fid, str) or "\x00" in fid or type(backwards) is not bool:
            raise ValueError
        kinds = [order.fields[s.name].type for s in order.sorts]
        key = [_told(value, kind) for value, kind in zip(values, kinds, strict=True)]
        return (*key, fid, datetime.fromisoformat(start)), backwards
    except (ValueError, TypeError, AttributeError, binascii.Error, UnicodeError):
        raise BadParameter("token is none of ours; follow a next or prev link as it is") from None


def write_token(key: Key, *, backwards: bool = False) -> str:
    """Return the token of a page that begins after a key, or ends before it.

    >>> from datetime import UTC
    >>> write_token(("7", datetime(2014, 1, 1, tzinfo=UTC)))
    'W2ZhbHNlLCI3IiwiMjAxNC0wMS0wMVQwMDowMDowMFoiXQ'
    """
    packed = orjson.dumps([backwards, *key], option=orjson.OPT_UTC_Z)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _told(value: Any, kind: FieldType) -> Any:
    """A value of a token as one of the field's type; what it can't be is a ValueError."""
    if value is None:
        return None
    if kind is FieldType.INSTANT:
        return datetime.fromisoformat(value)
    if kind is FieldType.DATE:
        return date.fromisoformat(value)
    if isinstance(value, str) and "\x00" in value:
        raise ValueError
    if kind is FieldType.INTEGER and not (type(value) is int and abs(value) < 2**63):
        raise ValueError
    return value


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
