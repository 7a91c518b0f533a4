"""Signing in and out: a page for people, with a provider of identities or with a key."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from layers.access import audit, people
from layers.access.audit import Entry
from layers.access.policy import ANONYMOUS, Caller
from layers.errors import BadCredential, Forbidden
from layers.store import Store
from services.access import cookies
from services.access.admission import Admitted
from services.access.forms import csrf_token, read_form
from services.access.limiting import address_of
from services.access.oidc import Begun, Provider
from services.access.rates import Rates
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter, LoginFailed
from services.links import address, base_url
from services.openapi import SEE_OTHER, form, operation
from services.pages import render
from services.parameters import check_names

_NO_STORE = {"Cache-Control": "no-store"}
_HTML = "text/html; charset=utf-8"


async def login(request: Request) -> Response:
    """Answer the page on which people sign in."""
    check_names(request, ("next",))
    return _page(request, _next(request.query_params.get("next")))


async def login_with_key(request: Request) -> Response:
    """Begin a session with an API key."""
    check_names(request, ())
    sent = await read_form(request)
    kept = request.cookies.get(cookies.SIGN_IN, "")
    given = sent.get("csrf", "").encode()
    if not kept or not hmac.compare_digest(given, csrf_token(kept).encode()):
        raise Forbidden("this form is not from our page, or is an old one; load the page again")
    after = _next(sent.get("next"))
    store: Store = request.app.state.store
    rates: Rates = request.app.state.rates
    here = address_of(request.scope)
    rates.check_failures(here)
    try:
        who = await run_in_threadpool(store.register.by_key, sent.get("key", "").strip())
    except BadCredential:
        rates.penalise(here)
        await run_in_threadpool(_note_failure, store, request)
        return _page(request, after, failed=True)
    return await _begin(request, who, after)


async def login_with_provider(request: Request) -> Response:
    """Send the browser to the provider of identities."""
    check_names(request, ("next",))
    begun = await _provider(request).begin(_callback(request))
    answer = RedirectResponse(begun.url, 303, _NO_STORE)
    after = _next(request.query_params.get("next"))
    parts = (begun.state, begun.nonce, begun.verifier, after)
    cookies.keep(request, answer, cookies.SIGN_IN, "|".join(parts), cookies.SIGN_IN_S)
    return answer


async def login_callback(request: Request) -> Response:
    """Begin a session of the person whom the provider sends back."""
    provider = _provider(request)
    parts = request.cookies.get(cookies.SIGN_IN, "").split("|", 3)
    if len(parts) != 4:
        raise LoginFailed("this sign-in began elsewhere, or too long ago; sign in again")
    state, nonce, verifier, after = parts
    begun = Begun("", state, nonce, verifier)
    code = provider.take_code(dict(request.query_params), begun)
    found = await provider.finish(code, begun, _callback(request))
    said = (found.issuer, found.subject, found.name, found.email, found.department)
    store: Store = request.app.state.store
    who = await run_in_threadpool(store.register.by_identity, *said)
    return await _begin(request, who, _next(after))


async def logout(request: Request) -> Response:
    """End the session."""
    check_names(request, ())
    secret: str | None = request.state.session
    if secret is not None:
        await run_in_threadpool(_end, request.app.state.store, secret, request)
    answer = RedirectResponse(address(request), 303, _NO_STORE)
    cookies.drop(answer, cookies.SESSION)
    return answer


def _page(request: Request, after: str, *, failed: bool = False) -> Response:
    secret = secrets.token_urlsafe(24)
    provider: Provider | None = request.app.state.provider
    html = render(
        request,
        "login.html",
        after=after,
        failed=failed,
        csrf=csrf_token(secret),
        provider=None if provider is None else provider.oidc,
    )
    answer = Response(html, 401 if failed else 200, _NO_STORE, _HTML)
    cookies.keep(request, answer, cookies.SIGN_IN, secret, cookies.SIGN_IN_S)
    return answer


async def _begin(request: Request, who: Caller, after: str) -> Response:
    secret = await run_in_threadpool(_begin_session, request.app.state.store, who, request)
    answer = RedirectResponse(base_url(request) + after, 303, _NO_STORE)
    longest = int(people.LONGEST_SESSION.total_seconds())
    cookies.keep(request, answer, cookies.SESSION, secret, longest)
    cookies.drop(answer, cookies.SIGN_IN)
    return answer


def _begin_session(store: Store, who: Caller, request: Request) -> str:
    with store.database.keep() as connection:
        secret = people.begin_session(connection, who.id, store.clock())
        audit.append(connection, _entry(request, who, "login"))
        return secret


def _note_failure(store: Store, request: Request) -> None:
    with store.database.keep() as connection:
        audit.append(connection, _entry(request, ANONYMOUS, "login-failed"))


def _entry(request: Request, who: Caller, action: str) -> Entry:
    admitted: Admitted = request.state.admitted
    return Entry(who.id, action, admitted.origin, request=admitted.request)


def _end(store: Store, secret: str, request: Request) -> None:
    with store.database.keep() as connection:
        people.end_session(connection, secret)
        audit.append(connection, _entry(request, request.state.who, "logout"))
    store.register.forget()


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise BadParameter("no provider of identities is set up here; see docs/sign-in.md")
    return provider


def _callback(request: Request) -> str:
    return address(request, "login", "back")


def _next(text: str | None) -> str:
    """Return where to go on: a path of ours, and never another site."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\", "/login")):
        return "/account"
    return text if text.isprintable() and "\\" not in text and "|" not in text else "/account"


def _operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    described = operation(name, summary, "people", media_types=("text/html",), **more)
    described["responses"].pop("304", None)
    if name != "getLogin":
        described["responses"] |= {"303": SEE_OTHER}
        described["responses"].pop("200")
    return described


DOORS = (
    Door(
        "/login",
        "GET",
        login,
        _operation("getLogin", "Sign in · 登录", parameters=("next",), errors=(400,)),
        rule=Rule.OPEN,
    ),
    Door(
        "/login",
        "POST",
        login_with_key,
        form(
            _operation("login", "Sign in with a key · 用密钥登录", errors=(400, 401, 403, 413)),
            {
                "key": "an API key · 密钥",
                "next": "the page to go on to · 登录后转到",
                "csrf": "the page's own token · 页面令牌",
            },
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/login/provider",
        "GET",
        login_with_provider,
        _operation(
            "loginWithProvider",
            "Sign in with the provider · 统一认证",
            parameters=("next",),
            errors=(400, 502),
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/login/back",
        "GET",
        login_callback,
        _operation("loginCallback", "Back from the provider · 认证返回", errors=(400, 401, 502)),
        rule=Rule.OPEN,
    ),
    Door(
        "/logout",
        "POST",
        logout,
        _operation("logout", "Sign out · 退出", errors=(400, 401, 403)),
        rule=Rule.OPEN,
    ),
)
