"""What a request asks of a collection's features, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyproj import CRS
from starlette.requests import Request

from layers.model import Kind, Schema
from layers.reading.boxes import LONLAT
from layers.reading.features import Query
from layers.reading.ordering import Sort, check_sorts
from layers.store import PublishedLayer, Snapshot
from services.errors import BadParameter
from services.paging import Token, read_offset, read_token
from services.parameters import (
    FILTER,
    Pins,
    check_names,
    read_bbox,
    read_filter_parameters,
    read_number,
    read_pins,
    write_datetime,
)
from services.profiles import Profile, read_profile
from services.systems import find_system
from spatial.crs import crs_uri
from spatial.periods import Interval

# Of these a property of the same name is reached through `filter`.
OWN = (
    "bbox",
    "bbox-crs",
    "datetime",
    "revision",
    "recorded",
    "commit",
    "crs",
    "limit",
    "offset",
    "token",
    "sortby",
    "properties",
    "exclude-properties",
    "skipGeometry",
    "ids",
    "q",
    "count",
    *FILTER,
    "profile",
    "f",
)
_OWN = frozenset(OWN)
_MOST_IDS = 1000
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Asked:
    """What a request asks of a collection's features.

    Attributes
    ----------
    snapshot : Snapshot
        Of the time that is asked, with the query; without its limit.
    limit : int or None
        Features that are wanted, None where the client states none.
    pins : Pins
        The time as the request states it.
    crs : CRS
        Of the coordinates in the answer.
    place : CRS or None
        The same where the request names it, None where it doesn't.
    count : bool
        Whether the number of all that match is wanted.
    profile : Profile
        How several versions of a feature are to stand in the answer.
    backwards, paged : bool
        Whether it is the page before a token's key; whether it is any but the first.
    """

    layer: PublishedLayer
    snapshot: Snapshot
    limit: int | None
    pins: Pins
    crs: CRS
    place: CRS | None
    count: bool
    profile: Profile
    backwards: bool
    paged: bool

    @cached_property
    def crs_uri(self) -> str:
        """The system of the answer, as ``Content-Crs`` has it."""
        return crs_uri(self.crs)

    @property
    def all_pages(self) -> Snapshot:
        """The snapshot of all pages together."""
        return self.snapshot.where(after=None, backwards=False, sort=(), offset=0)

    @property
    def several(self) -> bool:
        """Whether one feature may stand in the answer in several versions."""
        state = self.layer.record.schema.kind is Kind.STATE
        return state and isinstance(self.snapshot.moment.when, Interval)

    @property
    def pinned(self) -> bool:
        """Whether the answer can never change; events of a day to come can still happen."""
        when, now = self.pins.when, self.snapshot.moment.now
        ended = not isinstance(when, Interval) or when.end is None or when.end <= now
        return self.pins.complete and ended

    @property
    def is_whole(self) -> bool:
        """Whether nothing narrows the snapshot."""
        q = self.snapshot.query
        narrowed = (q.bbox, q.equal, q.where, q.filter, q.ids, q.q, self.paged)
        return not any(narrowed)

    @property
    def steady(self) -> bool:
        """Whether the same question has the same answer as long as nothing happens."""
        return self.pinned or not self.pins.knows


def read_query(request: Request, layer: PublishedLayer) -> Asked:
    """Read every parameter of an items request.

    Raises
    ------
    BadParameter, BadQuery
        Naming the parameter and what it may be.
    """
    token = read_token(request)
    pins = read_pins(request, layer.record, several=token is not None, default=token is None)
    if token is not None:
        pins = _go_on(layer, pins, token)
    # A read of now is answered for the instant since when all is as it is.
    now = None if pins.knows else layer.present()
    snapshot = layer.at(pins.when, **pins.known, now=now)
    check_names(request, (*OWN, *snapshot.fields), layer.record.schema.zone)
    asked, schema = request.query_params, layer.record.schema
    box, box_crs = read_bbox(request, schema)
    query = Query(
        bbox=box,
        bbox_crs=box_crs,
        placeless=True,
        equal={k: v for k, v in asked.items() if k not in _OWN},
        restricted=True,
        q=asked.get("q"),
        **read_filter_parameters(request),
        ids=_read_ids(asked.get("ids")),
        sort=_read_sorts(asked.get("sortby")),
        only=_read_fields(asked, snapshot.fields),
        geometry=not read_flag(request, "skipGeometry"),
        offset=read_offset(request),
    )
    snapshot = dataclasses.replace(snapshot, query=query)
    if query.sort:
        check_sorts(query.sort, snapshot.sortables)
    if token is not None:
        if query.offset:
            raise BadParameter("offset and token are two ways to go on; give one of them")
        snapshot = snapshot.where(after=token.key(snapshot.order), backwards=token.backwards)
    return Asked(
        layer,
        snapshot,
        read_number(request, "limit", smallest=1),
        pins,
        read_crs(request, schema) or LONLAT,
        read_crs(request, schema),
        _reads_exactly(asked.get("count")),
        read_profile(request),
        backwards=token is not None and token.backwards,
        paged=token is not None or query.offset > 0,
    )


def _go_on(layer: PublishedLayer, stated: Pins, token: Token) -> Pins:
    """The time of the list that a token is of; another would make one list of two.

    Whatever a client states beside the token must say that time, in whichever way.
    """
    if stated.when not in (None, token.when):
        told = (
            f"datetime says another time than the list that is read, {write_datetime(token.when)}"
        )
        raise BadParameter(f"{told}; leave it out, or leave the token out to begin anew")
    for name, value in stated.known.items():
        if value is None:
            continue
        moment = layer.at(token.when, **{name: value}).moment
        if moment.revision != token.revision:
            told = f"{name} says revision {moment.revision}, and the list is of {token.revision}"
            raise BadParameter(f"{told}; leave it out, or leave the token out to begin anew")
    return Pins(token.when, token.revision, None)


def read_crs(request: Request, schema: Schema) -> CRS | None:
    """Read ``crs``, None where it is absent.

    Raises
    ------
    BadParameter
        With those that are offered.
    """
    text = request.query_params.get("crs")
    return None if text is None else find_system("crs", text, schema)


def read_flag(request: Request, name: str) -> bool:
    """Read a parameter that is ``true`` or ``false``, false where absent.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get(name, "false")
    if text not in _BOOLEANS:
        raise BadParameter(f"{name}={text!r}: write true or false")
    return _BOOLEANS[text]


def _reads_exactly(text: str | None) -> bool:
    if text not in (None, "exact"):
        raise BadParameter(f"count={text!r}: write count=exact, or leave it out")
    return text is not None


def _read_ids(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    ids = tuple(dict.fromkeys(text.split(",")))
    if not all(ids) or len(ids) > _MOST_IDS:
        raise BadParameter(f"ids: write 1 to {_MOST_IDS} ids with commas between")
    return ids


def _read_sorts(text: str | None) -> tuple[Sort, ...]:
    if text is None:
        return ()
    # A plus sign in an address is a blank to whoever reads it.
    parts = [part.strip() for part in text.split(",")]
    if not all(part.strip("+-") for part in parts):
        raise BadParameter(f"sortby={text!r}: write properties with commas between, -name descends")
    return tuple(Sort(part.lstrip("+-"), part.startswith("-")) for part in parts)


def _read_fields(asked: Mapping[str, Any], known: tuple[str, ...]) -> frozenset[str] | None:
    wanted, unwanted = (
        None if text is None else [name for name in text.split(",") if name]
        for text in (asked.get("properties"), asked.get("exclude-properties"))
    )
    if wanted is not None and unwanted is not None:
        raise BadParameter("properties and exclude-properties are opposites; give one of them")
    for name in wanted or unwanted or ():
        if name not in known:
            raise BadParameter(f"there is no property {name!r}; there are: {', '.join(known)}")
    if wanted is not None:
        return frozenset(wanted)
    return None if unwanted is None else frozenset(known) - frozenset(unwanted)
