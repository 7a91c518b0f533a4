"""Forms: what a page sends, read once and within bounds, with the token that only our page has."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from layers.errors import Forbidden
from services.errors import BadBody
from services.negotiation import JSON
from services.parameters import read_body

LARGEST_FORM = 1 << 20
_MOST_FIELDS = 50
FORM = "application/x-www-form-urlencoded"
_HEADER = "x-csrf-token"


async def read_form(request: Request) -> Mapping[str, str]:
    """Read the fields of a form, or of a JSON object of texts.

    Raises
    ------
    BodyTooLarge, BadBody
        Where it is too long, no form, or has a field twice.
    """
    kept: Mapping[str, str] | None = getattr(request.state, "form", None)
    if kept is None:
        remedy = f"a form may have {LARGEST_FORM >> 10} kB"
        kept = _parse(await read_body(request, LARGEST_FORM, remedy), _media_type(request))
        request.state.form = kept
    return kept


def csrf_token(secret: str) -> str:
    """Return the token of a session's pages: other sites can send its cookie, and not this.

    >>> csrf_token("a") == csrf_token("b")
    False
    """
    return hmac.digest(secret.encode(), b"shikong csrf", hashlib.sha256).hex()


async def check_csrf(request: Request) -> None:
    """Refuse a change that a session's own page did not send.

    Whoever shows a key or a token in a header does so on purpose, and needs none.

    Raises
    ------
    Forbidden
        Where the token is missing or another's, or another site sent the request.
    """
    secret: str | None = request.state.session
    if secret is None:
        return
    given = request.headers.get(_HEADER)
    if given is None and _media_type(request) == FORM:
        given = (await read_form(request)).get("csrf")
    site = request.headers.get("sec-fetch-site", "same-origin")
    own = site in ("same-origin", "none")
    if not own or not hmac.compare_digest((given or "").encode(), csrf_token(secret).encode()):
        raise Forbidden("this form is not from our page, or is an old one; load the page again")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", FORM).split(";")[0].strip().lower()


def _parse(body: bytes, media_type: str) -> dict[str, str]:
    try:
        if media_type == JSON:
            document = orjson.loads(body)
            pairs = list(document.items())
        else:
            text = body.decode("utf-8")
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (ValueError, AttributeError):
        raise BadBody("the body is no form, nor a JSON object of texts") from None
    form = dict(pairs)
    if len(form) < len(pairs) or not all(isinstance(v, str) for v in form.values()):
        raise BadBody("a form has each field once, and texts in them")
    if any("\x00" in text for pair in form.items() for text in pair):
        raise BadBody("no text can have a NUL character here")
    return form
