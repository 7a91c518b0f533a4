"""A hatch before the router, through which what is asked most goes straight to its door.

To find a route among all, and what the framework puts around each, costs more than most answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from re import Match, Pattern
from typing import Any

from starlette.convertors import Convertor
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from services.access.rules import Endpoint, ruled
from services.doors import Door
from services.problems import STATUS, answer_error, answer_http_error

_Way = tuple[Door, Pattern[str], dict[str, Convertor[Any]], Endpoint]
_OURS = tuple(STATUS)


class _Parameters(QueryParams):
    """Parameters of an address; to look for one that is not there costs little."""

    def __init__(self, query: bytes) -> None:
        super().__init__(query)
        self._values = dict(self.multi_items())

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the last value of a parameter."""
        return self._values.get(key, default)


class _Asking(Request):
    @cached_property
    def query_params(self) -> QueryParams:
        """The parameters of the address."""
        return _Parameters(self.scope["query_string"])


class Hatch:
    """Middleware, the innermost: calls the endpoints of a few doors itself.

    Parameters
    ----------
    doors : iterable of Door
        That answer GET, in the order in which they are to be looked for. The router has them too.
    """

    def __init__(self, app: ASGIApp, doors: Iterable[Door]) -> None:
        self.app = app
        self._ways: list[_Way] = []
        for door in doors:
            pattern, _, convertors = compile_path(route_path(door))
            self._ways.append((door, pattern, convertors, ruled(door.rule)(door.handler)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on to the router what is for another door."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for door, pattern, convertors, endpoint in self._ways:
            found = pattern.match(path)
            if found is not None:
                # The log names the route on which something broke.
                scope["route"], scope["path_params"] = door, _values(found, convertors)
                await _answer(endpoint, scope, receive, send)
                return
        await self.app(scope, receive, send)


def route_path(door: Door) -> str:
    """Return a door's path as the router takes it.

    Servers decode %2F before the router sees it: the id of a feature may have slashes.
    """
    return door.path.replace("{featureId}", "{featureId:path}")


def _values(found: Match[str], convertors: dict[str, Convertor[Any]]) -> dict[str, Any]:
    return {name: convertors[name].convert(text) for name, text in found.groupdict().items()}


async def _answer(endpoint: Callable[..., Any], scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the router would; what nobody expected goes on to where it is logged."""
    request = _Asking(scope, receive, send)
    try:
        response = await endpoint(request)
    except HTTPException as error:
        response = await answer_http_error(request, error)
    except _OURS as error:
        response = await answer_error(request, error)
    await response(scope, receive, send)
