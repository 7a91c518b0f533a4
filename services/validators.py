"""Validators: the tag of one version of a feature, when it was recorded, and what asks for them.

The tag of a version is made of what its reader sees of it, and of who that is: whoever sees less
learns nothing by it of what they do not see. It is the same in every format and reference system
but for what stands after the dash, so that If-Match names the version whatever was read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson
import sqlalchemy as sa
from starlette.requests import Request

from layers.store import Snapshot
from services.errors import BadParameter, PreconditionFailed

_TAGS = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
_DIGITS = 32


def feature_tag(snapshot: Snapshot, row: sa.Row[Any], form: str = "json") -> str:
    """Return the strong tag of one version of a feature as its reader sees it.

    Parameters
    ----------
    row : Row
        Of a query that is ``marked``, with all its fields.
    form : str
        A word for the format, and whatever else makes the answer another one.
    """
    layer, values = snapshot.layer, row._mapping
    told = (
        layer.record.id,
        row._fid,
        row._valid_from,
        row._valid_to,
        values["_mark"],
        layer.sight.fingerprint,
        snapshot.shown.properties(row),
    )
    digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f'"{digest[:_DIGITS]}-{form}"'


def http_date(instant: datetime) -> str:
    """Return an instant as headers have it, to the second.

    >>> http_date(datetime(2014, 5, 14, 4, 0, 0, 5, tzinfo=UTC))
    'Wed, 14 May 2014 04:00:00 GMT'
    """
    return format_datetime(instant.astimezone(UTC).replace(microsecond=0), usegmt=True)


@dataclass(frozen=True, slots=True)
class Conditions:
    """On which conditions something is to be changed.

    Attributes
    ----------
    match, none_match : str or None
        The headers If-Match and If-None-Match.
    unmodified_since : datetime or None
        The header If-Unmodified-Since; has no part where If-Match is there.
    """

    match: str | None = None
    none_match: str | None = None
    unmodified_since: datetime | None = None

    @property
    def pinned(self) -> bool:
        """Whether they say which state of a feature is meant."""
        return self.match is not None or self.unmodified_since is not None

    def check(self, snapshot: Snapshot, row: sa.Row[Any]) -> None:
        """Refuse a feature that is in another state than the one that is meant.

        Raises
        ------
        PreconditionFailed
        """
        name = f"{row._fid!r} of {snapshot.layer.record.id}"
        tag = feature_tag(snapshot, row)
        if self.match is not None and not names_tag(self.match, tag, weakly=False):
            raise PreconditionFailed(
                f"{name} is no more as If-Match says; nothing was written. Read it again"
            )
        since = self.unmodified_since
        later = since is not None and row._recorded.replace(microsecond=0) > since
        if self.match is None and since is not None and later:
            raise PreconditionFailed(
                f"{name} changed after {http_date(since)}; nothing was written. Read it again"
            )
        if self.none_match is not None and names_tag(self.none_match, tag, weakly=True):
            raise PreconditionFailed(f"{name} is there, and If-None-Match asks that it is not")


def read_conditions(request: Request) -> Conditions:
    """Read the conditions of a request.

    Raises
    ------
    BadParameter
        Where a date is none: who asks for a condition must not get by without it.
    """
    headers = request.headers
    since = headers.get("if-unmodified-since")
    try:
        known = None if since is None else parsedate_to_datetime(since)
        if known is not None and known.tzinfo is None:
            known = known.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise BadParameter(
            f"If-Unmodified-Since: {since!r} is no date such as Wed, 14 May 2014 04:00:00 GMT"
        ) from None
    return Conditions(headers.get("if-match"), headers.get("if-none-match"), known)


def names_tag(header: str, tag: str, *, weakly: bool) -> bool:
    """Return whether a list of tags names the version of a tag, in whatever format.

    >>> names_tag('W/"ab-sld10", "cd-json"', '"cd-sld10"', weakly=False)
    True
    """
    if header.strip() == "*":
        return True
    wanted = tag[1:-1].partition("-")[0]
    found = _TAGS.finditer(header)
    return any((weakly or not match[1]) and match[2].partition("-")[0] == wanted for match in found)
