"""Grants: who may do what, to which layers, where, in which fields, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.errors import BadGrant, UnknownCaller
from layers.readers import ALL_LAYERS, INTERNAL
from layers.tables import permission
from layers.territories import EVERYWHERE, Territory, check_territory
from layers.writers import Verb

_LAYERS = re.compile(r"\*|layer:[a-z][a-z0-9_]{0,47}|department:[^\x00-\x1f]{1,100}")
_GRANTEE = re.compile(r"(person|key):[0-9a-f]{4,32}|department:[^\x00-\x1f]{1,100}")
_FIELD = re.compile(r"[^\W\d]\w*")
_LONGEST_REASON = 2000
_MOST_FIELDS = 100


class Role(StrEnum):
    """What somebody is to some layers. Whoever has any of them reads; an administrator does not."""

    READER = "reader"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"

    @property
    def verbs(self) -> frozenset[Verb]:
        """What the role may do beyond reading."""
        return _VERBS[self]


_VERBS: Mapping[Role, frozenset[Verb]] = {
    Role.READER: frozenset(),
    Role.EDITOR: frozenset({Verb.EDIT}),
    Role.PUBLISHER: frozenset({Verb.EDIT, Verb.PUBLISH}),
    Role.REVIEWER: frozenset({Verb.REVIEW}),
    Role.ADMINISTRATOR: frozenset({Verb.ADMINISTER}),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What is granted, or applied for.

    Parameters
    ----------
    role : Role
        What may be done.
    layers : str
        ``*`` for all that are not private, ``layer:ID``, or ``department:NAME`` for those of a
        department.
    territory : Territory
        Which features, and of which time in the world.
    fields : tuple of str
        ``public``, ``internal`` (which is public too), ``restricted`` (which is all), or ids of
        single fields beyond the public.
    begins, ends : datetime, optional
        When the grant itself holds.
    reason : str
        Why; kept with it.
    """

    role: Role
    layers: str = ALL_LAYERS
    territory: Territory = EVERYWHERE
    fields: tuple[str, ...] = (INTERNAL,)
    begins: datetime | None = None
    ends: datetime | None = None
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """Return the columns in which the terms are kept."""
        return {
            "role": self.role.value,
            "layers": self.layers,
            "division": self.territory.division,
            "area": self.territory.area,
            "fields": list(self.fields),
            "seen_from": self.territory.start,
            "seen_to": self.territory.end,
            "begins_at": self.begins,
            "ends_at": self.ends,
            "reason": self.reason,
        }

    def covers(self, other: Terms) -> bool:
        """Return whether whoever has these may give away those: not more than they are of."""
        named = self.layers in (ALL_LAYERS, other.layers)
        return named and self.territory.covers(other.territory)


def read_terms(row: Row[Any]) -> Terms:
    """Return the terms that a row keeps."""
    return Terms(
        Role(row.role),
        row.layers,
        Territory(
            row.division,
            None if row.area is None else bytes(row.area),
            row.seen_from,
            row.seen_to,
        ),
        tuple(row.fields),
        row.begins_at,
        row.ends_at,
        row.reason,
    )


def check_terms(terms: Terms) -> Terms:
    """Return terms that can be granted.

    Raises
    ------
    BadGrant, BadTerritory
        Saying what is wrong with them.

    Examples
    --------
    >>> check_terms(Terms(Role.READER, "layer:parcels")).fields
    ('internal',)
    """
    if not _LAYERS.fullmatch(terms.layers):
        raise BadGrant(f"layers {terms.layers!r}: write *, layer:ID or department:NAME")
    if not terms.fields or len(terms.fields) > _MOST_FIELDS:
        raise BadGrant(f"fields: 1 to {_MOST_FIELDS} of public, internal, restricted or field ids")
    for name in terms.fields:
        if not _FIELD.fullmatch(name):
            raise BadGrant(f"field {name!r}: public, internal, restricted, or the id of a field")
    if terms.begins and terms.ends and terms.begins >= terms.ends:
        raise BadGrant("the grant ends before it begins")
    if len(terms.reason) > _LONGEST_REASON or "\x00" in terms.reason:
        raise BadGrant(f"the reason may have {_LONGEST_REASON} characters")
    if terms.role is Role.ADMINISTRATOR and not terms.territory.is_everywhere:
        raise BadGrant("an administrator is of layers or a department, not of a territory")
    check_territory(terms.territory)
    return terms


def check_grantee(text: str) -> str:
    """Return a grantee's name, if it can be one.

    Raises
    ------
    BadGrant

    Examples
    --------
    >>> check_grantee("department:规划局")
    'department:规划局'
    """
    if not _GRANTEE.fullmatch(text):
        raise BadGrant(f"{text!r}: write person:ID, key:ID or department:NAME")
    return text


@dataclass(frozen=True, slots=True)
class Grant:
    """Terms that somebody has been given, and by whom."""

    id: int
    grantee: str
    terms: Terms
    given_at: datetime
    given_by: str
    application: int | None = None
    taken_at: datetime | None = None
    taken_by: str | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether the grant is in force at an instant."""
        begun = self.terms.begins is None or self.terms.begins <= now
        over = self.terms.ends is not None and self.terms.ends <= now
        return begun and not over and self.taken_at is None


def give(
    connection: Connection,
    grantee: str,
    terms: Terms,
    by: str,
    now: datetime,
    application: int | None = None,
) -> Grant:
    """Enter a grant.

    Raises
    ------
    BadGrant, BadTerritory
        Where it says nothing that can be given.
    """
    check_grantee(grantee)
    check_terms(terms)
    if terms.ends is not None and terms.ends <= now:
        raise BadGrant(f"the grant would be over already, at {terms.ends}")
    row = {
        "grantee": grantee,
        **terms.row(),
        "application_id": application,
        "given_at": now,
        "given_by": by,
    }
    made = connection.execute(sa.insert(permission).values(row).returning(permission))
    return _grant(made.one())


def take(connection: Connection, grant_id: int, by: str, now: datetime) -> Grant:
    """End a grant; what it was stays known.

    Raises
    ------
    UnknownCaller
        Where there is none of that number, or it was taken before.
    """
    done = connection.execute(
        sa.update(permission)
        .where(permission.c.id == grant_id, permission.c.taken_at.is_(None))
        .values(taken_at=now, taken_by=by)
        .returning(permission)
    ).one_or_none()
    if done is None:
        raise UnknownCaller(f"there is no grant {grant_id} that could be taken")
    return _grant(done)


def read_grants(
    connection: Connection, grantees: Iterable[str] | None = None, *, taken: bool = False
) -> list[Grant]:
    """Return grants, of some grantees or of all, in the order in which they were given.

    Parameters
    ----------
    taken : bool
        Whether those that were taken back are among them.
    """
    query = sa.select(permission).order_by(permission.c.id)
    if grantees is not None:
        query = query.where(permission.c.grantee.in_(list(grantees)))
    if not taken:
        query = query.where(permission.c.taken_at.is_(None))
    return [_grant(row) for row in connection.execute(query)]


def find_grant(connection: Connection, grant_id: int) -> Grant:
    """Return a grant.

    Raises
    ------
    UnknownCaller
        Where there is none of that number.
    """
    query = sa.select(permission).where(permission.c.id == grant_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownCaller(f"there is no grant {grant_id}")
    return _grant(row)


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        row.id,
        row.grantee,
        read_terms(row),
        row.given_at,
        row.given_by,
        row.application_id,
        row.taken_at,
        row.taken_by,
    )
