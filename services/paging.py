"""Pages: how much of all there is in one, and how the next and the one before are found."""

from __future__ import annotations

import base64
import binascii
from datetime import date, datetime
from typing import Any

import orjson
from starlette.requests import Request

from layers.model import FieldType
from layers.reading.ordering import Key, Order
from services.errors import BadParameter
from services.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, parse_number

LARGEST_OFFSET = 10_000_000


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
    offset = parse_number("offset", request.query_params.get("offset", "0"), smallest=0)
    if offset > LARGEST_OFFSET:
        raise BadParameter(f"offset={offset}: at most {LARGEST_OFFSET}; follow the next links")
    return offset


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
