"""What a request asks, as typed values: strings end here."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from pyproj import CRS
from starlette.requests import Request

from layers.model import Layer, Schema
from layers.reading.boxes import LONLAT, Box
from layers.reading.cql2 import TEXT, read_filter
from services.errors import BadParameter, BodyTooLarge, BodyTooSlow
from services.systems import find_system
from spatial.crs import is_north_first, parse_crs
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant, parse_datetime, parse_instant

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000
_LONGEST = 2_000
# A polygon of some hundred vertices is longer than any other parameter.
_LONG = {"filter": 16_000}
FILTER = ("filter", "filter-lang", "filter-crs")
LONGEST_BODY_S = 120.0
CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Pins:
    """The time of a read as the request states it; None where it does not.

    Attributes
    ----------
    by_default : bool
        Whether `when` is the layer's own default, which may be another tomorrow.
    """

    when: datetime | Interval | None
    revision: int | None
    recorded: datetime | None
    commit: str | None = None
    by_default: bool = False

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
        known = self.revision is not None or self.commit is not None
        return known and closed and not self.by_default


def check_text(request: Request) -> None:
    """Refuse a NUL anywhere in an address: no text of the store can hold one.

    Raises
    ------
    BadParameter
    """
    if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise BadParameter("the address has a NUL character (%00), which no text can have here")


def check_names(request: Request, known: Collection[str], zone: tzinfo | None = None) -> None:
    """Refuse parameters that the resource does not have, and one that is given two values.

    Said again, a value is what it was: GDAL and others add their own parameters to every address,
    also to a next link that has them.

    Parameters
    ----------
    zone : tzinfo, optional
        The time zone of plain dates, where two ways of writing one ``datetime`` are one value.

    Raises
    ------
    BadParameter
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there are none here"
            raise BadParameter(f"there is no parameter {name!r}; {there}")
        if found.setdefault(name, value) != value and not _is_same(name, found[name], value, zone):
            raise BadParameter(f"parameter {name!r} is given twice, with two values; give one")
        longest = _LONG.get(name, _LONGEST)
        if len(value) > longest:
            raise BadParameter(f"parameter {name!r} is longer than {longest} characters")


def _is_same(name: str, one: str, other: str, zone: tzinfo | None) -> bool:
    """Whether two texts of a parameter say the same time."""
    if zone is None or name not in ("datetime", "recorded") or CURRENT in (one, other):
        return False
    try:
        return parse_datetime(one, zone) == parse_datetime(other, zone)
    except SpatialError:
        return False


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


def read_pins(
    request: Request, layer: Layer, *, several: bool = False, default: bool = False
) -> Pins:
    """Read ``datetime``, and ``revision``, ``recorded`` or ``commit``.

    ``datetime=current`` is now, also where the layer's default is another instant.

    Parameters
    ----------
    several : bool
        Whether the last three may stand together.
    default : bool
        Whether the layer's own default instant stands for a ``datetime`` that is not there.

    Raises
    ------
    BadParameter
        Where one is malformed, or two of the last three are given.
    """
    own = layer.schema.default_datetime if default else None
    return read_pins_in(request, layer.schema.zone, several=several, default=own)


def read_pins_in(
    request: Request, zone: tzinfo, *, several: bool = False, default: str | None = None
) -> Pins:
    """Read the same where no layer says the time zone of plain dates.

    Parameters
    ----------
    default : str, optional
        Stands for a ``datetime`` that is not there.

    Raises
    ------
    BadParameter
    """
    query = request.query_params
    when = recorded = None
    by_default = "datetime" not in query and default is not None
    text = default if by_default else query.get("datetime")
    try:
        # The way to now of a layer whose default is another time.
        if text is not None and text != CURRENT:
            when = parse_datetime(text, zone)
        if "recorded" in query:
            recorded = parse_instant(query["recorded"], zone)
    except SpatialError as error:
        raise BadParameter(f"datetime or recorded: {error}") from None
    revision = None
    if "revision" in query:
        revision = parse_number("revision", query["revision"], smallest=1)
    pinning = [name for name in ("revision", "recorded", "commit") if name in query]
    if len(pinning) > 1 and not several:
        raise BadParameter(f"{' and '.join(pinning)} both pin what was known; give one of them")
    return Pins(when, revision, recorded, query.get("commit"), by_default)


def read_limit(
    request: Request, default: int = DEFAULT_LIMIT, largest: int = LARGEST_LIMIT
) -> tuple[int, str | None]:
    """Read ``limit``; return it and, where it was reduced, the sentence that says so."""
    limit = read_number(request, "limit", smallest=1)
    if limit is None:
        return default, None
    if limit > largest:
        return largest, f"limit {limit} was reduced to {largest}; follow the next links"
    return limit, None


def read_number(request: Request, name: str, *, smallest: int) -> int | None:
    """Read a whole number, None where it is not given.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get(name)
    return None if text is None else parse_number(name, text, smallest=smallest)


def read_datetime(request: Request, zone: tzinfo) -> datetime | Interval | None:
    """Read ``datetime``: an instant or an interval, None where it is not given.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get("datetime")
    try:
        return None if text is None else parse_datetime(text, zone)
    except SpatialError as error:
        raise BadParameter(f"datetime: {error}") from None


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
    return (None if text is None else parse_bbox(text, crs)), crs


def parse_bbox(text: str, crs: CRS = LONLAT) -> Box:
    """Read a box: four numbers, or six of which the heights are passed over.

    Raises
    ------
    BadParameter

    Examples
    --------
    >>> parse_bbox("170,-10,-170,10")
    (170.0, -10.0, -170.0, 10.0)
    """
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
        found["filter_crs"] = read_filter_crs(query["filter-crs"])
    return found


def read_filter_crs(text: str) -> CRS:
    """Return the reference system of a filter's geometries.

    Raises
    ------
    BadParameter
    """
    try:
        found = parse_crs(text)
    except SpatialError as error:
        raise BadParameter(f"filter-crs: {error}") from None
    if not (found.is_geographic or found.is_projected):
        raise BadParameter(f"filter-crs: {text} has no horizontal plane")
    return found


def write_datetime(when: Any) -> str:
    """Return a ``datetime`` parameter for an instant or interval."""
    if isinstance(when, datetime):
        return format_instant(when)
    start = ".." if when.start is None else format_instant(when.start)
    end = ".." if when.end is None else format_instant(when.end)
    return f"{start}/{end}"


def parse_number(name: str, text: str, *, smallest: int) -> int:
    """Read a whole number that fits the database's.

    Raises
    ------
    BadParameter
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) < smallest:
        raise BadParameter(f"{name}={text!r}: a whole number of at least {smallest}")
    return int(text)
