"""How the guest is asked: as whom, in a thread, and with what it may see of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlencode

import orjson
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from pygeoapi.api import API, APIRequest
from starlette.requests import Request
from starlette.types import Message

from layers.errors import NotFound
from services.errors import BadBody, BadParameter
from services.guest.configuration import LANGUAGES, guest_api
from services.guest.session import Session, admitted
from services.links import base_url

RUN_AT_ONCE = 4
Answer = tuple[Mapping[str, str], bytes]
Function = Callable[..., tuple[Mapping[str, str], int, str | bytes]]
# Of this event loop: executions beyond it wait without holding the threads of other doors
_limiter: RunVar[CapacityLimiter] = RunVar("guest_limiter")


class UnknownProcess(NotFound):
    """No process of that id."""


async def ask(
    request: Request,
    function: Function,
    process_id: str | None = None,
    *,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Run a function of pygeoapi as the reader of the request, in a thread.

    Parameters
    ----------
    function : callable
        Of ``pygeoapi.api.processes``: takes the API, the request and a process id.
    query : mapping of str to str, optional
        What the guest shall see of the query.
    body : bytes
        What it shall see of the body. With one the function works, and waits for its turn.

    Returns
    -------
    tuple
        Headers and body of its answer.

    Raises
    ------
    UnknownProcess
        Where there is none of that id.
    BadBody
        Where the guest refuses what it was asked.
    """
    api = guest_api(base_url(request))
    asked = await APIRequest.from_starlette(_for_guest(request, query or {}, body), api.locales)
    session = Session(request.state.admitted)
    with admitted(session):
        headers, status, content = await to_thread.run_sync(
            _run, function, api, asked, process_id, limiter=_turns() if body else None
        )
    if status == HTTPStatus.NOT_FOUND:
        there = ", ".join(api.manager.processes)
        raise UnknownProcess(f"there is no process {process_id!r}; there are: {there}")
    if status != HTTPStatus.OK:
        raise BadBody(str(orjson.loads(content)["description"]))
    return headers, content.encode() if isinstance(content, str) else content


def _run(
    function: Function,
    api: API,
    asked: APIRequest,
    process_id: str | None,
) -> tuple[Mapping[str, str], int, str | bytes]:
    return function(api, asked, process_id)


def _for_guest(request: Request, query: Mapping[str, str], body: bytes) -> Request:
    """Return the request as the guest shall see it: JSON wanted, so that it makes no HTML.

    Its pages take their assets from elsewhere, which an intranet can't reach.
    """
    wanted = {"f": "json", **query, "lang": language_of(request)}
    seen = {"query_string": urlencode(wanted).encode(), "headers": []}
    scope = dict(request.scope) | seen

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


def language_of(request: Request) -> str:
    """Return the language of the answer: ``lang`` first, then the Accept-Language header.

    Chosen here, as pygeoapi fails on some of the tags that browsers send.

    Raises
    ------
    BadParameter
        For a ``lang`` that is not offered.
    """
    lang = request.query_params.get("lang")
    if lang is None:
        return _preferred(request.headers.get("accept-language", ""))
    if lang not in LANGUAGES:
        raise BadParameter(f"lang={lang!r} is not offered; lang is one of {', '.join(LANGUAGES)}")
    return lang


def _preferred(header: str) -> str:
    """Return the offered language of the greatest weight, the first of equal ones."""
    best, greatest = LANGUAGES[0], 0.0
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";q=")
        name = tag.split("-")[0].strip().lower()
        try:
            value = float(weight or 1)
        except ValueError:
            continue
        if name in LANGUAGES and value > greatest:
            best, greatest = name, value
    return best


def _turns() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(CapacityLimiter(RUN_AT_ONCE))
        return _limiter.get()
