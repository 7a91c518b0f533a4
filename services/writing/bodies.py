"""Bodies of JSON: of which kind, how long, and that each says one thing only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from services.errors import BadBody, BadFeature, WrongMediaType
from services.parameters import read_body

_ESCAPED_NUL = b"\\u0000"


async def read_json(request: Request, offered: tuple[str, ...], largest: int) -> Any:
    """Read a body of JSON.

    Parameters
    ----------
    offered : tuple of str
        The media types that are taken.
    largest : int
        Bytes at most.

    Raises
    ------
    WrongMediaType
        Where it is of another kind, compressed, or in another encoding than UTF-8.
    BadBody
        Where it says of no kind to be, is no JSON, or says something twice.
    BodyTooLarge, BodyTooSlow
    """
    check_media_type(request, offered)
    remedy = f"a body may have {largest >> 20} MB here; send less at a time, or publish a file"
    return await run_in_threadpool(parse, await read_body(request, largest, remedy))


def check_media_type(request: Request, offered: tuple[str, ...]) -> None:
    """Refuse a body by what its headers say of it.

    Raises
    ------
    WrongMediaType, BadBody
    """
    stated = request.headers.get("content-type")
    if stated is None:
        raise BadBody(f"Content-Type is missing; it is one of {', '.join(offered)}")
    header = Message()
    header["content-type"] = stated
    kind, charset = header.get_content_type(), header.get_content_charset("utf-8")
    # What is no media type at all is text/plain to the parser.
    if kind not in offered:
        raise WrongMediaType(f"Content-Type {stated!r} is not taken here", offered)
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise WrongMediaType(f"charset {charset!r} is not taken; send UTF-8", offered)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise WrongMediaType(f"Content-Encoding {coding!r} is not taken; send it plain", offered)


def parse(body: bytes) -> Any:
    """Parse JSON that says each thing once.

    Raises
    ------
    BadBody
        Where it is none, or a member of an object is there twice.
    BadFeature
        Where a text has a NUL character, which no text can have here.

    Examples
    --------
    >>> parse(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    services.errors.BadBody: the body has a member 'a' twice in one object; say it once
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(f"the body is not UTF-8, from byte {error.start} on") from None
    try:
        document = orjson.loads(body)
        # orjson takes the last of several members of one name, and says nothing.
        json.loads(text, object_pairs_hook=_refuse_twice, parse_int=str, parse_float=str)
    except orjson.JSONDecodeError as error:
        raise BadBody(f"the body is no JSON: {error}") from None
    except RecursionError:
        raise BadBody("values stand too deep in each other in the body") from None
    if _ESCAPED_NUL in body:
        for where, value in _texts(document):
            if "\x00" in value:
                raise BadFeature(("a text has a NUL character, which none can have here", where))
    return document


def pointer(*path: str | int) -> str:
    """Return a JSON pointer (RFC 6901).

    >>> pointer("properties", "a/b")
    '/properties/a~1b'
    """
    return "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in path)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Counted once: a body may have a hundred thousand.
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise BadBody(f"the body has a member {twice[:100]!r} twice in one object; say it once")
    return found


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """Every text of a document with its place; names of members stand at their own."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, str):
            yield where, value
        elif isinstance(value, dict):
            yield from ((where, name) for name in value)
            waiting += [(where + pointer(name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(where + pointer(n), inner) for n, inner in enumerate(value)]
