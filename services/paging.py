"""Pages: how much of all there is in one, and how the next and the one before are found."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson
from starlette.requests import Request

from layers.model import FieldType
from layers.reading.ordering import Key, Order
from services.errors import BadParameter
from services.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, parse_number, write_datetime
from spatial.errors import SpatialError
from spatial.periods import Interval, parse_datetime

LARGEST_OFFSET = 10_000_000
_NONE_OF_OURS = "token is none of ours; follow a next or prev link as it is"


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


@dataclass(frozen=True, slots=True)
class Token:
    """Where a list goes on, and which list it is: that of one instant, as one revision knew it.

    Attributes
    ----------
    backwards : bool
        Whether the page ends before the key, or begins after it.
    values : tuple
        The key as it was written, of which the order of the list makes one.
    """

    revision: int
    when: datetime | Interval | None
    backwards: bool
    values: tuple[Any, ...]

    def key(self, order: Order) -> Key:
        """Return the key at which the page begins.

        Raises
        ------
        BadParameter
            Where it is none of this order.
        """
        try:
            *values, fid, start = self.values
            if not isinstance(fid, str) or "\x00" in fid:
                raise ValueError
            kinds = [order.fields[s.name].type for s in order.sorts]
            key = [_told(value, kind) for value, kind in zip(values, kinds, strict=True)]
            return (*key, fid, datetime.fromisoformat(start))
        except (ValueError, TypeError):
            raise BadParameter(_NONE_OF_OURS) from None


def read_token(request: Request) -> Token | None:
    """Read ``token``, which next and prev links carry.

    Raises
    ------
    BadParameter
    """
    text = request.query_params.get("token")
    if text is None:
        return None
    try:
        revision, when, backwards, *values = orjson.loads(
            base64.urlsafe_b64decode(text.encode() + b"==")
        )
        if type(backwards) is not bool or type(revision) is not int or not 0 < revision < 2**63:
            raise ValueError
        return Token(revision, parse_datetime(when, UTC), backwards, tuple(values))
    except (ValueError, TypeError, AttributeError, SpatialError):
        raise BadParameter(_NONE_OF_OURS) from None


def write_token(token: Token) -> str:
    """Return the text of a token.

    >>> start = datetime(2014, 1, 1, tzinfo=UTC)
    >>> write_token(Token(3, start, False, ("7", start)))
    'WzMsIjIwMTQtMDEtMDFUMDA6MDA6MDBaIixmYWxzZSwiNyIsIjIwMTQtMDEtMDFUMDA6MDA6MDBaIl0'
    """
    stated = [token.revision, write_datetime(token.when), token.backwards, *token.values]
    packed = orjson.dumps(stated, option=orjson.OPT_UTC_Z)
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
