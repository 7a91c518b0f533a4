"""Who asks, and their way to the store: every route reaches it through what it was given here."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layers.access.desk import Desk
from layers.access.policy import ANONYMOUS, Caller
from layers.clock import Clock
from layers.commits import Change, Committed
from layers.errors import BadCredential, LayerPaused, LayersError
from layers.model import Document, Layer, Revision, Tag, Visibility
from layers.readers import Reader
from layers.store import PublishedLayer, Store
from layers.styles import Check, NewStyle, Style, check_may_style
from services.access import cookies
from services.access.forms import csrf_token
from services.errors import ServicesError
from services.parameters import check_text
from services.problems import answer_error

T = TypeVar("T")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """The store, as far as one caller of one request reaches it.

    Attributes
    ----------
    caller : Caller
        Who asks.
    reader : Reader
        What they may see.
    origin : str
        The address that the request came from.
    request : str
        The request's id.
    """

    caller: Caller
    reader: Reader
    origin: str
    request: str
    _store: Store

    @property
    def clock(self) -> Clock:
        """What says what time it is."""
        return self._store.clock

    @property
    def generation(self) -> int:
        """A number that is another after each change to any layer."""
        return self._store.generation

    def layers(self) -> list[Layer]:
        """Return the records of the layers that the caller sees."""
        return self._store.layers(self.reader)

    def published(self) -> list[PublishedLayer]:
        """Return the layers that the caller sees, all as of one moment; none that is paused."""
        every = self._store.published(self.reader)
        return [layer for layer in every if not layer.record.schema.paused]

    def layer(self, layer_id: str) -> PublishedLayer:
        """Return a layer that the caller sees.

        Raises
        ------
        UnknownLayer
            Where there is none for this caller.
        LayerPaused
            Where somebody paused it.
        """
        layer = self._store.layer(layer_id, self.reader)
        if layer.record.schema.paused:
            raise LayerPaused(layer_id)
        return layer

    def known_layer(self, layer_id: str) -> PublishedLayer | None:
        """Return a layer that the caller sees, if that is known without asking the database."""
        layer = self._store.known_layer(layer_id, self.reader)
        return None if layer is None or layer.record.schema.paused else layer

    def log(self, **wanted: Any) -> list[Revision]:
        """Return what commits did, as the caller may know it; see `Store.log`."""
        return self._store.log(self.reader, **wanted)

    def tags(self, layer_id: str | None = None) -> list[Tag]:
        """Return the tags that the caller may know, of one layer's commits or of all."""
        return self._store.tags(self.reader, layer_id)

    def tag(self, name: str, commit: int, note: str) -> tuple[bool, Tag]:
        """Name a commit as the caller, and return the tag; see `Store.tag`."""
        writer = self.caller.writer(self.origin)
        return self._store.tag(name, commit, writer, note, reader=self.reader)

    def run(self, analysis: Callable[..., T], **inputs: Any) -> T:
        """Run an analysis that reads from the store, as the caller."""
        return analysis(self._store, self.reader, **inputs)

    def with_clock(self, clock: Clock) -> Admitted:
        """Return the same way under another clock."""
        return dataclasses.replace(self, _store=self._store.with_clock(clock))

    def desk(self) -> Desk:
        """Return the desk at which people, keys and grants are looked after, as the caller."""
        return Desk(self._store.register, self.caller, origin=self.origin, request=self.request)

    def commit(
        self,
        edits: Mapping[str, Change],
        message: str,
        *,
        document: Document | None = None,
        dry_run: bool = False,
    ) -> Committed:
        """Change layers as the caller; see `Store.commit`."""
        writer = self.caller.writer(self.origin)
        return self._store.commit(edits, writer, message, document=document, dry_run=dry_run)

    def styles(self, layer_id: str | None = None) -> list[Style]:
        """Return the stored styles of layers that the caller sees, of one or of all."""
        return self._store.styles.read_all(self.reader, layer_id)

    def style(self, style_id: str) -> Style:
        """Return a stored style of a layer that the caller sees.

        Raises
        ------
        UnknownStyle
        """
        return self._store.styles.read(style_id, self.reader)

    def check_may_style(self, layer: PublishedLayer) -> None:
        """Refuse a caller who may not say how a layer is drawn."""
        check_may_style(layer.record, self.caller.writer())

    def write_style(self, wanted: NewStyle, check: Check) -> Style:
        """Put a style in force as the caller; see `layers.styles.Styles.write`."""
        writer = self.caller.writer(self.origin)
        return self._store.styles.write(wanted, writer, self.reader, check)

    def delete_style(self, style_id: str, check: Check) -> None:
        """Take a style away as the caller; see `layers.styles.Styles.delete`."""
        writer = self.caller.writer(self.origin)
        self._store.styles.delete(style_id, writer, self.reader, check)

    def approve(self, layer_id: str) -> None:
        """Let a pending layer be seen; see `Store.approve`."""
        self.layer(layer_id)
        self._store.approve(layer_id, self.caller.writer(self.origin))

    def notes(self, layer: PublishedLayer, *, restricted: bool = True) -> bool:
        """Return whether the audit notes who reads a layer: it is not everybody's.

        Parameters
        ----------
        restricted : bool
            Whether what is read may hold restricted fields; tiles never do.
        """
        record = layer.record
        everybodys = record.visibility is Visibility.PUBLIC and not record.pending
        return not everybodys or (restricted and self.reader.may_see_restricted(record))

    def note(self, layer: PublishedLayer, what: str, *, restricted: bool = True) -> None:
        """Note in the audit that a layer is read which is not everybody's, before it is answered.

        Parameters
        ----------
        what : str
            Such as ``items``, ``tile``.
        restricted : bool
            As in `notes`.
        """
        record = layer.record
        if not self.notes(layer, restricted=restricted):
            return
        self._store.watch.note_read(
            self._store.database, self.caller.id, self.origin, record.id, what, self.request
        )


class Identifying:
    """Middleware that finds out who asks; a wrong credential is 401, never ignored.

    Sets ``request.state``: ``who`` (Caller), ``reader``, ``admitted``, ``session`` (the secret of
    the session they browse in, None where it is none) and ``request_id``.

    Notes
    -----
    Not made of Starlette's BaseHTTPMiddleware: that one ends a stream properly which broke in the
    middle, so that clients take a short file for a whole one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with what was found out, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, begun = Request(scope, receive), False

        async def labelled(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun, state, headers = True, scope["state"], message["headers"]
                headers.append((b"x-request-id", state["request_id"].encode()))
                if state["is_over"]:
                    headers.append((b"set-cookie", cookies.dropped(cookies.SESSION).encode()))
            await send(message)

        _admit(request, ANONYMOUS)
        try:
            check_text(request)
            await _find_out(request)
            await self.app(scope, receive, labelled)
        except (LayersError, ServicesError) as error:
            if begun:
                raise
            await (await answer_error(request, error))(scope, receive, labelled)


async def _find_out(request: Request) -> None:
    store: Store = request.app.state.store
    credential = _credential(request)
    if credential is not None:
        _admit(request, await _by_credential(request, store, credential))
    elif (secret := _session(request)) and not _without_session(request):
        try:
            _admit(request, await run_in_threadpool(store.register.by_session, secret), secret)
        except BadCredential:
            request.state.is_over = True
            raise


def _session(request: Request) -> str | None:
    # Most who come bring none, and to look for it takes longer.
    if any(name == b"cookie" for name, _ in request.scope["headers"]):
        return request.cookies.get(cookies.SESSION)
    return None


async def _by_credential(request: Request, store: Store, credential: str) -> Caller:
    provider = request.app.state.provider
    if provider is not None and credential.count(".") == 2 and not credential.startswith("sk_"):
        found = await provider.identify(credential)
        said = (found.issuer, found.subject, found.name, found.email, found.department)
        return await run_in_threadpool(store.register.by_identity, *said)
    return await run_in_threadpool(store.register.by_key, credential)


def _admit(request: Request, who: Caller, session: str | None = None) -> None:
    scope, reader = request.scope, who.reader()
    state = scope.setdefault("state", {})
    known = state.get("request_id") or _request_id(scope)
    origin = "" if scope["client"] is None else scope["client"][0]
    state.update(
        who=who,
        reader=reader,
        session=session,
        is_over=False,
        csrf="" if session is None else csrf_token(session),
        request_id=known,
        admitted=Admitted(who, reader, origin, known, scope["app"].state.store),
        # Limits are each caller's own.
        caller=None if who.is_anonymous else who.id,
    )


def _request_id(scope: Scope) -> str:
    """The id by which the request goes already, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(asked := value.decode("latin-1")):
            return str(asked)
    return secrets.token_hex(8)


def _without_session(request: Request) -> bool:
    """Whether a session has no part in this: else nobody whose session is over could sign in."""
    return request.url.path.startswith(("/login", "/static/"))


def _credential(request: Request) -> str | None:
    header: str | None = None
    key: str | None = None
    for name, value in request.scope["headers"]:
        if name == b"authorization" and header is None:
            header = value.decode("latin-1")
        elif name == b"x-api-key" and key is None:
            key = value.decode("latin-1")
    if header is None:
        return key
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadCredential("write Authorization: Bearer <API key>")
    return token.strip()
