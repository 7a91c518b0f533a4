"""People, as a provider of identities vouches for them, and the sessions in which they browse."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Row

from layers.access.keys import digest
from layers.errors import BadCredential, UnknownCaller
from layers.tables import person, session

LONGEST_SESSION = timedelta(hours=12)
IDLE_SESSION = timedelta(hours=2)
_NOTED_EVERY = timedelta(minutes=1)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom a provider of identities knows as `subject`."""

    id: str
    issuer: str
    subject: str
    name: str
    email: str | None
    department: str | None
    created_at: datetime
    seen_at: datetime | None
    closed_at: datetime | None

    @property
    def caller(self) -> str:
        """Who that is: ``person:ID``."""
        return f"person:{self.id}"


def welcome(
    connection: Connection,
    issuer: str,
    subject: str,
    now: datetime,
    *,
    name: str,
    email: str | None = None,
    department: str | None = None,
) -> Person:
    """Return the person whom a provider has just vouched for, entered at their first coming.

    Raises
    ------
    BadCredential
        Where an administrator has closed the door to them.
    """
    said = {"name": _short(name) or subject[:_LONGEST], "seen_at": now}
    said |= {"email": _short(email), "department": _short(department)}
    row = {"id": secrets.token_hex(4), "issuer": issuer, "subject": subject, "created_at": now}
    entered = insert(person).values(row | said)
    entered = entered.on_conflict_do_update(index_elements=["issuer", "subject"], set_=said)
    found = _person(connection.execute(entered.returning(person)).one())
    if found.closed_at is not None:
        raise BadCredential("this account is closed; ask an administrator")
    return found


def find_person(connection: Connection, person_id: str) -> Person:
    """Return a person.

    Raises
    ------
    UnknownCaller
        Where there is none of that id.
    """
    row = connection.execute(sa.select(person).where(person.c.id == person_id)).one_or_none()
    if row is None:
        raise UnknownCaller(f"there is no person {person_id!r}")
    return _person(row)


def read_people(connection: Connection) -> list[Person]:
    """Return all people who ever came, in the order of their names."""
    query = sa.select(person).order_by(person.c.name, person.c.id)
    return [_person(row) for row in connection.execute(query)]


def close(connection: Connection, person_id: str, now: datetime, *, closed: bool = True) -> Person:
    """Close the door to a person, and end their sessions; or open it again.

    Raises
    ------
    UnknownCaller
        Where there is none of that id.
    """
    find_person(connection, person_id)
    connection.execute(
        sa.update(person).where(person.c.id == person_id).values(closed_at=now if closed else None)
    )
    if closed:
        connection.execute(sa.delete(session).where(session.c.caller == f"person:{person_id}"))
    return find_person(connection, person_id)


def begin_session(connection: Connection, caller: str, now: datetime) -> str:
    """Begin a session; return its secret, which only the browser keeps."""
    connection.execute(sa.delete(session).where(session.c.expires_at <= now))
    secret = secrets.token_urlsafe(32)
    row = {
        "digest": digest(secret),
        "caller": caller,
        "created_at": now,
        "expires_at": now + LONGEST_SESSION,
        "used_at": now,
    }
    connection.execute(sa.insert(session).values(row))
    return secret


def find_session(connection: Connection, secret: str, now: datetime) -> str:
    """Return whose session it is.

    Raises
    ------
    BadCredential
        Where there is none, or it is over: after twelve hours, or two without use.
    """
    where = session.c.digest == digest(secret)
    row = connection.execute(sa.select(session).where(where)).one_or_none()
    if row is None or row.expires_at <= now or row.used_at <= now - IDLE_SESSION:
        raise BadCredential("this session is over; sign in again")
    if row.used_at < now - _NOTED_EVERY:
        connection.execute(sa.update(session).where(where).values(used_at=now))
    return str(row.caller)


def end_session(connection: Connection, secret: str) -> None:
    """End a session; harmless where there is none."""
    connection.execute(sa.delete(session).where(session.c.digest == digest(secret)))


def end_sessions(connection: Connection, caller: str) -> None:
    """End all sessions of somebody."""
    connection.execute(sa.delete(session).where(session.c.caller == caller))


def _short(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(c for c in text if c.isprintable()).strip()[:_LONGEST] or None


def _person(row: Row[Any]) -> Person:
    return Person(
        row.id,
        row.issuer,
        row.subject,
        row.name,
        row.email,
        row.department,
        row.created_at,
        row.seen_at,
        row.closed_at,
    )
