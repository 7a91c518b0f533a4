"""A door: one route with all that the API says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.access.rules import Rule


@dataclass(frozen=True, slots=True)
class Door:
    """A route that describes itself.

    Attributes
    ----------
    path : str
        As OpenAPI and Starlette both write it: ``/processes/{processID}``.
    method : str
        One HTTP method.
    handler : callable
        Starlette endpoint.
    operation : mapping
        OpenAPI 3.0 operation object.
    conformance : tuple of str
        The classes that are true because this route is there.
    rule : Rule
        What it asks of whoever comes.
    """

    path: str
    method: str
    handler: Callable[[Request], Awaitable[Response]]
    operation: Mapping[str, Any]
    conformance: tuple[str, ...] = ()
    rule: Rule = field(kw_only=True)
