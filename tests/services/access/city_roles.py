"""Everybody who comes to the city of `secret_city`, and what they may see there.

What they may see is said here a second time, by other means than the code's: a list of what each
sees, against which every marker is held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from secret_city import (
    A_AREA,
    A_CODE,
    B_CODE,
    FIELDS,
    FOREVER,
    INTERNAL,
    LAYERS,
    MOVED,
    OPEN_LAYERS,
    PUBLIC,
    REPORTED,
    RESTRICTED,
    WATER,
    Marker,
)
from sqlalchemy.engine import Connection

from layers.access import people
from layers.access.grants import Role, Terms, give, take
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import Store
from layers.territories import Territory, read_area

EVER = datetime.min.replace(tzinfo=UTC)
NOT_PRIVATE = frozenset({"openland", "innerland", "calls", "zones"})
WITH_PENDING = NOT_PRIVATE | {"pendland"}
OF_WATER = frozenset({"innerland", "privland"})
UP_TO_INTERNAL = frozenset({PUBLIC, INTERNAL})
EVERY_FIELD = frozenset({PUBLIC, INTERNAL, RESTRICTED})


@dataclass(frozen=True)
class Sees:
    """Something that somebody sees.

    Attributes
    ----------
    fields : frozenset of str
        Classes, and ids of single fields.
    county : str
        Only of that county; how it is told apart is `by`.
    by : str
        ``code``, which zones do not have, or ``area``.
    """

    layers: frozenset[str]
    fields: frozenset[str] = UP_TO_INTERNAL
    county: str = ""
    by: str = "code"
    start: datetime = EVER
    end: datetime = FOREVER

    def shows(self, marker: Marker) -> bool:
        """Return whether a marker is among it."""
        if marker.layer not in self.layers:
            return False
        if marker.field == "commit":
            return bool(self.fields & {INTERNAL, RESTRICTED})
        return self._has(marker) and self._reaches(marker)

    def _has(self, marker: Marker) -> bool:
        return marker.sees in self.fields or marker.field in self.fields

    def _reaches(self, marker: Marker) -> bool:
        if self.county and marker.county != self.county:
            return False
        if self.county and self.by == "code" and marker.layer == "zones":
            return False
        if marker.layer == "calls":
            reported = REPORTED[f"ID-calls-{marker.county.lower()}1"]
            return self.start <= reported < self.end
        return marker.start < self.end and marker.end > self.start


ALL_OPEN = Sees(OPEN_LAYERS, frozenset({PUBLIC}))


@dataclass(frozen=True)
class Person:
    """Somebody of the table: what was granted, what they may see, and what they may do.

    Attributes
    ----------
    lives : str
        How it stands with the grant, or with them: ``now``, ``ended``, ``expired``, ``closed``.
    """

    name: str
    terms: tuple[Terms, ...] = ()
    sees: tuple[Sees, ...] = ()
    lives: str = "now"
    anonymous: bool = False
    writes: bool = False
    reviews: frozenset[str] = field(default_factory=frozenset)
    administers: frozenset[str] = field(default_factory=frozenset)

    def may_see(self, marker: Marker) -> bool:
        """Return whether a marker may be in an answer to them."""
        return self.lives != "closed" and any(s.shows(marker) for s in (ALL_OPEN, *self.sees))

    def layers(self) -> frozenset[str]:
        """Return the layers that are there for them."""
        return OPEN_LAYERS.union(*(s.layers for s in self.sees))

    def fields(self) -> frozenset[str]:
        """Return the ids of the fields that are there for them, of all layers."""
        return frozenset(
            name
            for s in (ALL_OPEN, *self.sees)
            for layer in s.layers
            for name, sees in FIELDS[layer].items()
            if sees in s.fields or name in s.fields
        )


def _terms(role: Role = Role.READER, layers: str = "*", *fields: str, **where: object) -> Terms:
    return Terms(role, layers, Territory(**where), fields or (INTERNAL,))  # type: ignore[arg-type]


_IN_A = {"division": A_CODE}
_R = Role.READER
PEOPLE = (
    Person("anonymous", anonymous=True),
    Person("key without grants"),
    Person("reader of all", (_terms(),), (Sees(NOT_PRIVATE),)),
    Person(
        "reader of public fields",
        (_terms(_R, "*", "public"),),
        (Sees(NOT_PRIVATE, frozenset({PUBLIC})),),
    ),
    Person(
        "reader of one layer",
        (_terms(_R, "layer:innerland"),),
        (Sees(frozenset({"innerland"})),),
    ),
    Person(
        "reader of a private layer",
        (_terms(_R, "layer:privland"),),
        (Sees(frozenset({"privland"})),),
    ),
    Person("reader of a department", (_terms(_R, f"department:{WATER}"),), (Sees(OF_WATER),)),
    Person("county by code", (_terms(**_IN_A),), (Sees(NOT_PRIVATE, county="A"),)),
    Person(
        "county by area",
        (_terms(area=read_area(A_AREA)),),
        (Sees(NOT_PRIVATE, county="A", by="area"),),
    ),
    Person(
        "another county",
        (_terms(division=B_CODE),),
        (Sees(NOT_PRIVATE, county="B"),),
    ),
    Person(
        "reader of one field",
        (_terms(_R, "layer:openland", "o_owner"),),
        (Sees(frozenset({"openland"}), frozenset({PUBLIC, "o_owner"})),),
    ),
    Person(
        "reader of restricted fields",
        (_terms(_R, "*", RESTRICTED),),
        (Sees(NOT_PRIVATE, EVERY_FIELD),),
    ),
    Person(
        "county with restricted fields",
        (_terms(_R, "*", RESTRICTED, **_IN_A),),
        (Sees(NOT_PRIVATE, EVERY_FIELD, "A"),),
    ),
    Person(
        "one county in full, another in public",
        (_terms(_R, "*", RESTRICTED, **_IN_A), _terms(_R, "*", "public", division=B_CODE)),
        (
            Sees(NOT_PRIVATE, EVERY_FIELD, "A"),
            Sees(NOT_PRIVATE, frozenset({PUBLIC}), "B"),
        ),
    ),
    Person("reader of a time", (_terms(end=MOVED),), (Sees(NOT_PRIVATE, end=MOVED),)),
    Person("reader since a time", (_terms(start=MOVED),), (Sees(NOT_PRIVATE, start=MOVED),)),
    Person("editor", (_terms(Role.EDITOR),), (Sees(NOT_PRIVATE),), writes=True),
    Person(
        "county editor",
        (_terms(Role.EDITOR, **_IN_A),),
        (Sees(NOT_PRIVATE, county="A"),),
        writes=True,
    ),
    Person("publisher", (_terms(Role.PUBLISHER),), (Sees(WITH_PENDING),), writes=True),
    Person(
        "reviewer",
        (_terms(Role.REVIEWER),),
        (Sees(WITH_PENDING),),
        writes=True,
        reviews=WITH_PENDING,
    ),
    Person(
        "administrator of all",
        (_terms(Role.ADMINISTRATOR),),
        administers=frozenset(LAYERS),
    ),
    Person(
        "administrator of one layer",
        (_terms(Role.ADMINISTRATOR, "layer:openland"),),
        administers=frozenset({"openland"}),
    ),
    Person("somebody closed", (_terms(),), lives="closed"),
    Person("somebody whose grant is over", (_terms(),), lives="expired"),
    Person("somebody whose grant was taken", (_terms(),), lives="ended"),
)


def enter(store: Store, who: Person) -> dict[str, str]:
    """Enter somebody, and return the headers with which they come."""
    if who.anonymous:
        return {}
    now = system_clock()
    with store.database.keep() as connection:
        if who.lives == "closed":
            said = ("https://login.example", who.name, now)
            known = people.welcome(connection, *said, name=who.name)
            secret = people.begin_session(connection, known.caller, now)
            for terms in who.terms:
                give(connection, known.caller, terms, "tests", now)
            people.close(connection, known.id, now)
            return {"Cookie": f"shikong_session={secret}"}
        key, text = create_key(connection, who.name, now, expires_at=now + timedelta(days=1))
        for terms in who.terms:
            _give(connection, key.caller, terms, who.lives, now)
        return {"Authorization": f"Bearer {text}"}


def _give(connection: Connection, caller: str, terms: Terms, lives: str, now: datetime) -> None:
    if lives == "expired":
        over = dataclasses.replace(terms, ends=now)
        give(connection, caller, over, "tests", now - timedelta(days=1))
        return
    made = give(connection, caller, terms, "tests", now)
    if lives == "ended":
        take(connection, made.id, "tests", now)


def by_name() -> Mapping[str, Person]:
    """Return everybody of the table by their names."""
    return {who.name: who for who in PEOPLE}
