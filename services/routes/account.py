"""One's own account: what one may do, and applications for more."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.access.applications import Decision
from layers.access.desk import Desk
from services.access.desks import desk_of, done, number
from services.access.forms import read_form
from services.access.rules import Rule
from services.access.terms import (
    application_document,
    grant_document,
    read_terms,
)
from services.doors import Door
from services.links import self_links
from services.negotiation import JSON, check_format
from services.openapi import TERMS, form, operation
from services.pages import respond
from services.parameters import check_names


async def account(request: Request) -> Response:
    """Answer who one is here, what one may do, and what one has applied for."""
    check_format(request)
    check_names(request, ("f",))
    document = await run_in_threadpool(_document, request, desk_of(request))
    return respond(request, document, "account.html", headers={"Cache-Control": "no-store"})


async def apply(request: Request) -> Response:
    """Apply for access."""
    check_names(request, ())
    terms = read_terms(await read_form(request))
    made = await run_in_threadpool(desk_of(request).apply, terms)
    return done(request, application_document(made), "account")


async def withdraw(request: Request) -> Response:
    """Withdraw an application of one's own."""
    check_names(request, ())
    desk, which = desk_of(request), number(request)
    made, _ = await run_in_threadpool(desk.decide, which, Decision.WITHDRAWN)
    return done(request, application_document(made), "account")


def _document(request: Request, desk: Desk) -> dict[str, Any]:
    who = desk.caller
    return {
        "id": who.id,
        "name": who.name,
        "department": who.department,
        "grants": [grant_document(g) for g in desk.own_grants()],
        "applications": [application_document(a) for a in desk.own_applications()],
        "links": self_links(request, JSON, "account"),
    }


_ERRORS = (400, 401, 403, 404, 413)
DOORS = (
    Door(
        "/account",
        "GET",
        account,
        operation(
            "getAccount",
            "What one may do here · 我的账户",
            "people",
            parameters=("f",),
            errors=(400, 401, 406),
        ),
        rule=Rule.SIGNED_IN,
    ),
    Door(
        "/account/applications",
        "POST",
        apply,
        form(operation("apply", "Apply for access · 申请权限", "people", errors=_ERRORS), TERMS),
        rule=Rule.SIGNED_IN,
    ),
    Door(
        "/account/applications/{number}/withdrawal",
        "POST",
        withdraw,
        operation(
            "withdraw",
            "Withdraw an application · 撤回申请",
            "people",
            parameters=("number",),
            errors=_ERRORS,
        ),
        rule=Rule.SIGNED_IN,
    ),
)
