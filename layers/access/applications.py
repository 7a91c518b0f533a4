"""Applications for access: made by whoever needs it, decided by an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.access import grants
from layers.access.grants import Grant, Terms, check_terms, read_terms
from layers.errors import BadGrant, Forbidden, UnknownCaller
from layers.tables import application

_MOST_OPEN = 20


class Decision(StrEnum):
    """What became of an application."""

    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Application:
    """What somebody asks for, and what became of it."""

    id: int
    applicant: str
    terms: Terms
    made_at: datetime
    decision: Decision | None
    decided_at: datetime | None
    decided_by: str | None
    answer: str | None


def apply(connection: Connection, applicant: str, terms: Terms, now: datetime) -> Application:
    """Apply for access.

    Raises
    ------
    BadGrant, BadTerritory
        Where no reason is given, the terms can't be granted, or too many applications are open.
    """
    check_terms(terms)
    if not terms.reason.strip():
        raise BadGrant("say why: the reason stands with the application")
    waiting = sa.select(sa.func.count()).where(
        application.c.applicant == applicant, application.c.decision.is_(None)
    )
    if (connection.scalar(waiting) or 0) >= _MOST_OPEN:
        raise BadGrant(f"{_MOST_OPEN} applications wait already; withdraw one, or wait")
    row = {"applicant": applicant, **terms.row(), "made_at": now}
    made = connection.execute(sa.insert(application).values(row).returning(application))
    return _application(made.one())


def decide(
    connection: Connection,
    application_id: int,
    decision: Decision,
    by: str,
    now: datetime,
    answer: str = "",
) -> tuple[Application, Grant | None]:
    """Approve, refuse or withdraw an application; approved, it becomes a grant.

    Raises
    ------
    UnknownCaller
        Where there is none of that number that waits.
    Forbidden
        Where somebody would approve their own, or withdraw another's.
    """
    waiting = find_application(connection, application_id, lock=True)
    if waiting.decision is not None:
        raise UnknownCaller(f"application {application_id} is {waiting.decision} already")
    if (waiting.applicant == by) is not (decision is Decision.WITHDRAWN):
        raise Forbidden("nobody decides on an application of their own; they may withdraw it")
    done = connection.execute(
        sa.update(application)
        .where(application.c.id == application_id)
        .values(decision=decision.value, decided_at=now, decided_by=by, answer=answer[:2000])
        .returning(application)
    ).one()
    grant = None
    if decision is Decision.APPROVED:
        own = (waiting.applicant, waiting.terms, by, now)
        grant = grants.give(connection, *own, application=application_id)
    return _application(done), grant


def find_application(
    connection: Connection, application_id: int, *, lock: bool = False
) -> Application:
    """Return an application.

    Raises
    ------
    UnknownCaller
        Where there is none of that number.
    """
    query = sa.select(application).where(application.c.id == application_id)
    query = query.with_for_update() if lock else query
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownCaller(f"there is no application {application_id}")
    return _application(row)


def read_applications(
    connection: Connection, applicant: str | None = None, *, waiting: bool = False
) -> list[Application]:
    """Return applications, of somebody or of all, the newest first.

    Parameters
    ----------
    waiting : bool
        Only those that nobody has decided.
    """
    query = sa.select(application).order_by(application.c.id.desc())
    if applicant is not None:
        query = query.where(application.c.applicant == applicant)
    if waiting:
        query = query.where(application.c.decision.is_(None))
    return [_application(row) for row in connection.execute(query)]


def _application(row: Row[Any]) -> Application:
    return Application(
        row.id,
        row.applicant,
        read_terms(row),
        row.made_at,
        None if row.decision is None else Decision(row.decision),
        row.decided_at,
        row.decided_by,
        row.answer,
    )
