"""Cookies: the two that there are, never to be read by scripts or sent to other sites."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

SESSION = "shikong_session"
SIGN_IN = "shikong_sign_in"
SIGN_IN_S = 600


def keep(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Let the browser keep a value; over HTTPS only, where that is how clients come."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=_PATHS[name],
        secure=is_secure(request),
        httponly=True,
        samesite=_SITES[name],
    )


def drop(response: Response, name: str) -> None:
    """Let the browser forget a value."""
    response.delete_cookie(name, path=_PATHS[name], httponly=True)


def dropped(name: str) -> str:
    """Return the header that lets the browser forget a value.

    >>> dropped(SESSION).split(";")[0]
    'shikong_session=""'
    """
    response = Response()
    drop(response, name)
    return response.headers["set-cookie"]


def is_secure(request: Request) -> bool:
    """Return whether clients come over HTTPS, as the settings or the request say."""
    stated = request.app.state.settings.base_url
    return (stated or str(request.base_url)).startswith("https:")


_PATHS = {SESSION: "/", SIGN_IN: "/login"}
# A provider sends the browser back from another site: that request must carry the cookie.
_SITES: dict[str, Literal["lax", "strict"]] = {SESSION: "lax", SIGN_IN: "lax"}
