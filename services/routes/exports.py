"""All that a snapshot has, as a stream: begun before it is answered, ended when nobody reads it.

What is wrong before the first byte is a problem like any other. After it the connection breaks: a
file that is short must never look whole.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from pyproj import CRS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from layers.errands import leave
from layers.errors import StreamStopped
from layers.reading.snapshots import Snapshot
from layers.reading.streams import Patience
from services.access.queues import FairQueue
from services.errors import ClientGone, StreamBroken
from services.negotiation import IMMUTABLE, VARY, Format, has_tag
from spatial.crs import CRS84, crs_uri, parse_crs

T = TypeVar("T")
log = logging.getLogger("shikong")

# Of these formats a file says itself which system it is in; the others are in CRS84 unless asked.
_SELF_DESCRIBING = frozenset(("flatgeobuf", "geoparquet", "arrow"))
# Made anew with each release that writes other bytes of the same features.
_EDITION = "1"


async def export(
    request: Request,
    snapshot: Snapshot,
    kind: Format,
    crs: CRS | None,
    filename: str,
    *,
    pinned: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with all of a snapshot; of ``HEAD`` with what would be said of it.

    Parameters
    ----------
    kind : Format
        One that writes streams.
    crs : CRS, optional
        That the request asks for; the format's own where it asks for none.
    filename : str
        Without an ending; may be in any script.
    pinned : bool
        Whether the answer can never change: it has a validator then.
    headers : mapping, optional
        More of them, such as ``Link``.

    Raises
    ------
    LayersError, ServicesError
        Whatever keeps it from beginning, also that too many streams run already.
    """
    common = _headers(request, snapshot, kind, crs, filename, pinned) | dict(headers or {})
    if has_tag(request.headers.get("if-none-match"), common.get("ETag")):
        return Response(None, 304, common)
    if request.method == "HEAD":
        return _Bare(None, 200, common, kind.media_type)
    return await _begin(request, snapshot, kind, crs, common)


async def _begin(
    request: Request, snapshot: Snapshot, kind: Format, crs: CRS | None, common: dict[str, str]
) -> Response:
    assert kind.write is not None  # noqa: S101 - pages are not exported
    queue: FairQueue = request.app.state.exports
    caller = request.scope["state"]["caller"] or f"address:{request.client and request.client.host}"
    # A stream listens to its client itself.
    leave()
    patience = Patience(request.app.state.settings.export_s)
    stream = kind.write(dataclasses.replace(snapshot, patience=patience), crs)
    await queue.take(caller)
    streamed = Exported(stream, patience, partial(queue.give_back, caller), common, kind)
    try:
        # The first piece is there, so nothing is wrong with what was asked.
        await streamed.begin(request.receive)
    except BaseException:
        await streamed.end()
        raise
    return streamed


class Exported(Response):
    """A stream that has begun; whatever becomes of it, its query ends and its place is free."""

    def __init__(
        self,
        stream: Iterator[bytes],
        patience: Patience,
        give_back: partial[None],
        headers: Mapping[str, str],
        kind: Format,
    ) -> None:
        self.stream, self.patience, self.give_back = stream, patience, give_back
        self.first: bytes | None = None
        self.ended = False
        self.status_code, self.background, self.media_type = 200, None, kind.media_type
        self.body = b""
        self.init_headers(headers)
        # How long it will be, nobody knows yet.
        del self.headers["content-length"]

    async def begin(self, receive: Receive) -> None:
        """Make the first piece, which of some formats is made last of all.

        Raises
        ------
        ClientGone
            Where the client did not wait for it.
        """
        try:
            self.first = await self._heard(receive, self._next)
        except StreamStopped:
            raise ClientGone("the client left before there was a first byte") from None

    async def end(self) -> None:
        """End the query, and give the place back; the second time nothing is left to do."""
        if self.ended:
            return
        self.ended = True
        self.patience.stop()
        with anyio.CancelScope(shield=True):
            try:
                await run_sync(_close, self.stream)
            finally:
                self.give_back()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it piece by piece, as long as there is somebody to send it to."""
        try:
            await self._heard(receive, partial(self._send, send))
        except StreamStopped:
            # Nobody reads it any more; that is no error.
            pass
        except Exception as broken:
            # Only of which kind it is: its text may have values in it.
            log.error("a stream broke: %s", type(broken).__qualname__)
            raise StreamBroken("the stream broke after it had begun") from None
        finally:
            await self.end()

    async def _heard(self, receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work; where the client leaves meanwhile, it ends by `StreamStopped`.

        The work itself is never cancelled: a thread has its hands on the stream. It looks whether
        anybody reads, and ends by itself.
        """

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.patience.stop()

        working = asyncio.ensure_future(work())
        listening = asyncio.ensure_future(listen())
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            self.patience.stop()
            raise
        finally:
            listening.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((working, listening))

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        piece = self.first
        while piece is not None:
            if self.patience.gone.is_set():
                raise StreamStopped("the client left")
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await self._next()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> bytes | None:
        return await run_sync(next, self.stream, None)


class _Bare(Response):
    """An answer to HEAD: the length of the body that it would have is not known."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Say nothing of the length."""
        super().init_headers(headers)
        del self.headers["content-length"]


def _close(stream: Iterator[bytes]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()


def _headers(
    request: Request,
    snapshot: Snapshot,
    kind: Format,
    crs: CRS | None,
    filename: str,
    pinned: bool,
) -> dict[str, str]:
    found = {
        "Content-Disposition": disposition(f"{filename}{kind.extension}"),
        "Content-Crs": f"<{crs_uri(crs_of(snapshot, kind, crs))}>",
        "Content-Revision": str(snapshot.moment.revision),
        "Vary": VARY,
        "Cache-Control": "no-cache",
    }
    open_to_all = request.state.reader.is_anonymous
    if not open_to_all:
        found["Cache-Control"] = "private, no-cache"
    if pinned:
        asked = sorted(request.query_params.multi_items())
        said = (request.url.path, asked, kind.name, kind.media_type, _EDITION)
        digest = hashlib.sha256(f"{said} {request.state.reader.fingerprint}".encode())
        found["ETag"] = f'"{digest.hexdigest()[:32]}"'
        found["Cache-Control"] = (
            IMMUTABLE if open_to_all else IMMUTABLE.replace("public", "private")
        )
    return found


def crs_of(snapshot: Snapshot, kind: Format, crs: CRS | None) -> CRS:
    """Return the system in which a format has the geometries."""
    if crs is not None:
        return crs
    return parse_crs(snapshot.schema.crs if kind.name in _SELF_DESCRIBING else CRS84)


def disposition(filename: str) -> str:
    r"""Return the header that names a file, in any script (RFC 6266, RFC 8187).

    >>> disposition("parcels.csv")
    'attachment; filename="parcels.csv"'
    >>> disposition("宗地.csv")
    'attachment; filename="__.csv"; filename*=UTF-8\'\'%E5%AE%97%E5%9C%B0.csv'
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", filename)
    found = f'attachment; filename="{plain}"'
    return found if plain == filename else f"{found}; filename*=UTF-8''{quote(filename, safe='')}"
