"""For administrators: people, keys, grants, applications and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.access.applications import Decision
from layers.access.audit import KeptEntry
from layers.access.desk import Desk
from layers.access.keys import Key
from layers.access.people import Person
from services.access.desks import desk_of, done, number
from services.access.forms import read_form
from services.access.rules import Rule
from services.access.terms import ZONE, application_document, grant_document, read_terms
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.negotiation import JSON, check_format, wants_html
from services.openapi import TERMS, form, operation
from services.pages import respond
from services.parameters import check_names, page_limit, read_limit
from spatial.errors import SpatialError
from spatial.periods import format_instant, parse_instant

_MOST_DAYS = 36_500
_MOST_ENTRIES = 1_000
_NO_STORE = {"Cache-Control": "no-store"}


async def administration(request: Request) -> Response:
    """Answer what an administrator looks after."""
    check_format(request)
    check_names(request, ("f",))
    document = await run_in_threadpool(_document, request, desk_of(request))
    return respond(request, document, "administration.html", headers=_NO_STORE)


async def make_key(request: Request) -> Response:
    """Make a key with a grant; its text is in this answer, and never again."""
    check_names(request, ())
    sent = await read_form(request)
    desk = desk_of(request)
    days = sent.get("days", "").strip()
    if days and not (days.isascii() and days.isdigit() and 0 < int(days) <= _MOST_DAYS):
        raise BadParameter(f"days={days!r}: 1 to {_MOST_DAYS}; without, for ever")
    expires = desk.register.clock() + timedelta(days=int(days)) if days else None
    key, text = await run_in_threadpool(
        desk.make_key, sent.get("name", ""), read_terms(sent), expires
    )
    document = {**key_document(key), "key": text, "links": []}
    if wants_html(request):
        return respond(request, document, "key.html", headers=_NO_STORE)
    return done(request, document)


async def revoke_key(request: Request) -> Response:
    """Revoke a key."""
    check_names(request, ())
    desk, key_id = desk_of(request), request.path_params["keyId"]
    key = await run_in_threadpool(desk.revoke_key, key_id)
    return done(request, key_document(key), "admin")


async def give(request: Request) -> Response:
    """Give a grant."""
    check_names(request, ())
    sent = await read_form(request)
    desk, terms = desk_of(request), read_terms(sent)
    grant = await run_in_threadpool(desk.give, sent.get("grantee", "").strip(), terms)
    return done(request, grant_document(grant), "admin")


async def take(request: Request) -> Response:
    """Take a grant back."""
    check_names(request, ())
    grant = await run_in_threadpool(desk_of(request).take, number(request))
    return done(request, grant_document(grant), "admin")


async def decide(request: Request) -> Response:
    """Approve or refuse an application."""
    check_names(request, ())
    sent = await read_form(request)
    word = sent.get("decision", "")
    if word not in (Decision.APPROVED, Decision.REFUSED):
        raise BadParameter(f"decision={word!r}: approved or refused")
    own = (number(request), Decision(word), sent.get("answer", ""))
    made, _ = await run_in_threadpool(desk_of(request).decide, *own)
    return done(request, application_document(made), "admin")


async def close(request: Request) -> Response:
    """Close the door to a person, or open it again."""
    check_names(request, ())
    sent = await read_form(request)
    closed = sent.get("closed", "true")
    if closed not in ("true", "false"):
        raise BadParameter(f"closed={closed!r}: true or false")
    desk, person_id = desk_of(request), request.path_params["personId"]
    person = await run_in_threadpool(lambda: desk.close(person_id, closed=closed == "true"))
    return done(request, person_document(person), "admin")


async def audit(request: Request) -> Response:
    """Answer a page of the audit, the newest first."""
    check_format(request)
    check_names(request, ("since", "until", "actor", "layer", "action", "limit", "token", "f"))
    asked = {n: request.query_params.get(n) or None for n in ("actor", "layer", "action")}
    limit, _ = page_limit(read_limit(request))
    found = await run_in_threadpool(
        lambda: desk_of(request).audit(
            **asked,
            since=_instant(request, "since"),
            until=_instant(request, "until"),
            limit=min(limit, _MOST_ENTRIES),
            after=_after(request),
        )
    )
    entries = [entry_document(kept) for kept in found]
    links = self_links(request, JSON, "admin", "audit")
    if len(found) == min(limit, _MOST_ENTRIES):
        query = dict(request.query_params) | {"token": str(found[-1].seq)}
        links.append(link(address(request, "admin", "audit", **query), "next", JSON, "Older ones"))
    document = {"entries": entries, "links": links}
    return respond(request, document, "audit.html", headers=_NO_STORE)


def entry_document(kept: KeptEntry) -> dict[str, Any]:
    """Return an entry of the audit as JSON has it."""
    entry = kept.entry
    return {
        "seq": kept.seq,
        "at": format_instant(kept.at),
        "actor": entry.actor,
        "origin": entry.origin,
        "action": entry.action,
        "layer": entry.layer,
        "commit": entry.commit,
        "request": entry.request,
        "detail": dict(entry.detail),
        "hash": kept.hash,
    }


def _instant(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    try:
        return parse_instant(text, ZONE) if text else None
    except SpatialError as error:
        raise BadParameter(f"{name}: {error}") from None


def _after(request: Request) -> int | None:
    text = request.query_params.get("token")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadParameter("token is none of ours; follow a next link as it is")
    return int(text)


def key_document(key: Key) -> dict[str, Any]:
    """Return a key as JSON has it: what is kept of it."""
    return {
        "id": key.id,
        "name": key.name,
        "created": format_instant(key.created_at),
        "created_by": key.created_by,
        "expires": _text(key.expires_at),
        "revoked": _text(key.revoked_at),
        "used": _text(key.used_at),
        "demo": key.demo,
    }


def person_document(person: Person) -> dict[str, Any]:
    """Return a person as JSON has it."""
    return {
        "id": person.id,
        "name": person.name,
        "email": person.email,
        "department": person.department,
        "issuer": person.issuer,
        "subject": person.subject,
        "created": format_instant(person.created_at),
        "seen": _text(person.seen_at),
        "closed": _text(person.closed_at),
    }


def _document(request: Request, desk: Desk) -> dict[str, Any]:
    document: dict[str, Any] = {
        "administers": [t.layers for t in desk.caller.administers],
        "applications": [application_document(a) for a in desk.applications(waiting=True)],
        "grants": [grant_document(g) for g in desk.grants()],
        "layers": [
            {
                "id": record.id,
                "visibility": record.visibility.value,
                "department": record.department,
                "pending": record.pending,
            }
            for record in desk.layers()
        ],
        "links": self_links(request, JSON, "admin"),
    }
    if desk.governs_everything:
        document["keys"] = [key_document(key) for key in desk.every_key()]
        document["people"] = [person_document(person) for person in desk.people()]
    return document


def _text(instant: Any) -> str | None:
    return None if instant is None else format_instant(instant)


_KEY = {"name": "whose, and what for · 名称", "days": "expires after · 天数"}
_TO = {"grantee": "person:ID, key:ID or department:NAME · 对象"}
_WORD = {"decision": "approved or refused · 决定", "answer": "a word to the applicant · 答复"}
_CLOSED = {"closed": "true or false · 停用与否"}
_ERRORS = (400, 401, 403, 404, 413)


def _door(
    path: str, handler: Any, name: str, summary: str, fields: Mapping[str, str] | None = None
) -> Door:
    parameters = tuple(n for n in ("number", "keyId", "personId") if f"{{{n}}}" in path)
    described = operation(name, summary, "administration", parameters=parameters, errors=_ERRORS)
    described = form(described, fields) if fields else described
    return Door(path, "POST", handler, described, rule=Rule.ADMINISTER)


DOORS = (
    Door(
        "/admin",
        "GET",
        administration,
        operation(
            "getAdministration",
            "People, keys, grants, applications · 管理",
            "administration",
            parameters=("f",),
            errors=(400, 401, 403, 406),
        ),
        rule=Rule.ADMINISTER,
    ),
    Door(
        "/admin/audit",
        "GET",
        audit,
        operation(
            "getAudit",
            "Who read and changed what · 审计",
            "administration",
            parameters=("since", "until", "actor", "layer", "action", "limit", "token", "f"),
            errors=(400, 401, 403, 406),
        ),
        rule=Rule.ADMINISTER,
    ),
    _door("/admin/keys", make_key, "makeKey", "Make a key · 新建密钥", _KEY | TERMS),
    _door("/admin/keys/{keyId}/revocation", revoke_key, "revokeKey", "Revoke · 吊销密钥"),
    _door("/admin/grants", give, "give", "Give a grant · 授权", _TO | TERMS),
    _door("/admin/grants/{number}/end", take, "take", "Take a grant back · 收回授权"),
    _door(
        "/admin/applications/{number}/decision",
        decide,
        "decide",
        "Decide an application · 审批",
        _WORD,
    ),
    _door(
        "/admin/people/{personId}/door",
        close,
        "closeDoor",
        "Close an account · 停用账户",
        _CLOSED,
    ),
)
