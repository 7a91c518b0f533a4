"""Versions of one resource over HTTP: their links and dates (RFC 7089, RFC 5829)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from layers.reading.lifelines import Lifeline
from services.links import address, link, self_links
from services.negotiation import GEOJSON
from services.parameters import Pins
from services.problems import problem
from spatial.periods import format_instant

LINK_FORMAT = "application/link-format"
_TOLD = ("href", "title")
_NOT_IN_HEADERS = frozenset({"alternate", "collection"})


def http_date(instant: datetime) -> str:
    """Write an instant as HTTP does; what is finer than a second is left out.

    >>> http_date(datetime(2012, 10, 14, 16, 43, 17, tzinfo=UTC))
    'Sun, 14 Oct 2012 16:43:17 GMT'
    """
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    at = instant.astimezone(UTC)
    day, month = days[at.weekday()], months[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} GMT"


def version_links(
    request: Request,
    layer_id: str,
    feature_id: str,
    lifeline: Lifeline,
    start: datetime,
    revision: int | None = None,
) -> list[dict[str, str]]:
    """Return the links of one version of a feature: to itself, its neighbours, and all of them.

    Parameters
    ----------
    feature_id : str
        Of the feature, also where the request names the version by an id of its own.
    lifeline : Lifeline
        Of the feature, at the revision that was read.
    start : datetime
        Of the version that is answered.
    revision : int, optional
        Kept in the links where it was asked for.
    """
    here = (request, layer_id, feature_id)
    asked = ("collections", layer_id, "items", request.path_params["featureId"])
    found = [
        *self_links(request, GEOJSON, *asked),
        original_link(*here, revision),
        memento_link(*here, start, revision),
        *_history_links(*here, revision),
    ]
    neighbours = (
        ("predecessor-version", lifeline.before(start)),
        ("successor-version", lifeline.after(start)),
        ("latest-version", lifeline.latest),
    )
    return found + [memento_link(*here, at, revision, rel) for rel, at in neighbours if at]


def gone_links(
    request: Request,
    layer_id: str,
    feature_id: str,
    lifeline: Lifeline,
    revision: int | None = None,
) -> list[dict[str, str]]:
    """Return the links of a feature that is there at another time: to the last version, and all."""
    here = (request, layer_id, feature_id)
    found = [original_link(*here, revision), *_history_links(*here, revision)]
    if lifeline.latest is not None:
        found.append(memento_link(*here, lifeline.latest, revision, "latest-version"))
    return found


def kept_revision(read: int, pins: Pins) -> int | None:
    """Return the revision that links keep: the one read, where what was known was asked for."""
    asked = any(stated is not None for stated in pins.known.values())
    return read if asked else None


def answer_gone(request: Request, detail: str, links: Iterable[Mapping[str, str]]) -> Response:
    """Answer 410: the feature is not there at this instant; the links say when it is."""
    return problem(request, 410, detail, {"Link": link_header(links)})


def original_link(
    request: Request, layer_id: str, feature_id: str, revision: int | None, rel: str = "original"
) -> dict[str, str]:
    """Return the link to a feature whatever its version."""
    href = address(request, "collections", layer_id, "items", feature_id, revision=revision)
    return link(href, rel, GEOJSON, "The feature, now")


def memento_link(
    request: Request,
    layer_id: str,
    feature_id: str,
    start: datetime,
    revision: int | None,
    rel: str = "memento",
) -> dict[str, str]:
    """Return the link to a version, which is named by the instant in which it begins."""
    said = format_instant(start)
    here = ("collections", layer_id, "items", feature_id)
    href = address(request, *here, datetime=said, revision=revision)
    return link(href, rel, GEOJSON, f"As of {said}") | {"datetime": http_date(start)}


def link_header(links: Iterable[Mapping[str, str]]) -> str:
    """Return links as a Link header (RFC 8288); titles, which may be in any script, stay away.

    >>> link_header([{"href": "/x", "rel": "original", "type": "a/b", "title": "要素"}])
    '</x>; rel="original"; type="a/b"'
    """
    return ", ".join(_written(x) for x in links if x["rel"] not in _NOT_IN_HEADERS)


def link_format(links: Iterable[Mapping[str, str]]) -> bytes:
    """Return links as a document of their own (RFC 6690), one a line."""
    return ",\n".join(map(_written, links)).encode() + b"\n"


def _history_links(
    request: Request, layer_id: str, feature_id: str, revision: int | None
) -> list[dict[str, str]]:
    here = ("collections", layer_id, "items", feature_id, "versions")
    history = address(request, *here, revision=revision)
    return [link(history, rel, GEOJSON, "Its versions") for rel in ("timemap", "version-history")]


def _written(found: Mapping[str, str]) -> str:
    told = "; ".join(f'{name}="{text}"' for name, text in found.items() if name not in _TOLD)
    return f"<{found['href']}>; {told}"
