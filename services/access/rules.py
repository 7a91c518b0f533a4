"""Rules: what a route asks of whoever comes. One a route; a route without one is not served."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from layers.access.policy import Caller
from layers.errors import Forbidden
from services.access.forms import check_csrf
from services.errors import Unauthorized
from services.links import address
from services.negotiation import wants_html

Endpoint = Callable[..., Awaitable[Response]]
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Rule(StrEnum):
    """What a route asks of whoever comes."""

    OPEN = "open"
    """Nothing: it says nothing of layers, people or data."""
    CATALOGUE = "catalogue"
    """Nothing, and tells of the layers that its reader sees."""
    LAYER = "layer"
    """That the reader sees the layer of the path, which else is not there."""
    WRITE = "write"
    """Somebody who may change anything; what, the commit asks."""
    SIGNED_IN = "signed-in"
    """Somebody, whoever it is."""
    ADMINISTER = "administer"
    """An administrator of something."""


def ruled(rule: Rule) -> Callable[[Endpoint], Endpoint]:
    """Return what puts a rule before a route's endpoint.

    Raises
    ------
    Unauthorized
        When asked by nobody who is known, where somebody is needed.
    Forbidden
        When asked by somebody who may not; or without the page's own token, in a session.
    """

    def put_before(endpoint: Endpoint) -> Endpoint:
        @functools.wraps(endpoint)
        async def guarded(request: Request, **values: Any) -> Response:
            refusal = _refusal(request, rule)
            if refusal is not None:
                return refusal
            if request.method not in SAFE:
                await check_csrf(request)
            return await endpoint(request, **values)

        guarded.rule = rule  # type: ignore[attr-defined]
        return guarded

    return put_before


def rule_of(endpoint: object) -> Rule | None:
    """Return the rule before an endpoint, None where there is none."""
    return getattr(endpoint, "rule", None)


def _refusal(request: Request, rule: Rule) -> Response | None:
    if rule in (Rule.OPEN, Rule.CATALOGUE, Rule.LAYER):
        return None
    who: Caller = request.state.who
    if who.is_anonymous:
        if request.method in SAFE and wants_html(request):
            here = request.url.path
            return RedirectResponse(address(request, "login", next=here), 303, _NO_STORE)
        raise Unauthorized(_NEEDED[rule])
    if rule is Rule.WRITE and not who.writer().permits:
        raise Forbidden(f"{who.name} may read, and change nothing; apply for it")
    if rule is Rule.ADMINISTER and not who.administers:
        raise Forbidden(f"{who.name} is no administrator")
    return None


_NO_STORE = {"Cache-Control": "no-store"}
_NEEDED = {
    Rule.WRITE: "writing needs an API key (Authorization: Bearer ...); make one with: "
    "shikong keys create --role publisher",
    Rule.SIGNED_IN: "this is for people who have signed in, or show an API key "
    "(Authorization: Bearer ...)",
    Rule.ADMINISTER: "this is for administrators: sign in, or show an API key "
    "(Authorization: Bearer ...)",
}
