"""Who is asking: a credential becomes a Reader, once, before any route is reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.errors import BadCredential, Forbidden, LayersError
from layers.keys import Key, find_key
from layers.readers import Reader, Writer
from services.errors import ServicesError, Unauthorized
from services.parameters import check_text
from services.problems import answer_error


async def identify(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Set ``request.state.reader`` and ``key``; a wrong credential is 401, never ignored."""
    request.state.reader, request.state.key = Reader.anonymous(), None
    try:
        credential = _credential(request)
        if credential is not None:
            store = request.app.state.store
            key = await run_in_threadpool(find_key, store.database, store.clock, credential)
            request.state.key = key
            request.state.reader = Reader(f"key:{key.id}", staff=True)
        check_text(request)
        return await call_next(request)
    except (LayersError, ServicesError) as error:
        return await answer_error(request, error)


def require_writer(request: Request) -> Writer:
    """Return who may write.

    Raises
    ------
    Unauthorized
        Where no key was shown.
    Forbidden
        Where the key only reads.
    """
    key: Key | None = request.state.key
    if key is None:
        raise Unauthorized(
            "writing needs an API key (Authorization: Bearer ...); make one with: "
            "shikong keys create --role publisher"
        )
    if key.role != "publisher":
        raise Forbidden(f"key {key.name!r} has role {key.role}; writing needs role publisher")
    return Writer(key.name)


def _credential(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise BadCredential("write Authorization: Bearer <API key>")
        return token.strip()
    return request.headers.get("x-api-key")
