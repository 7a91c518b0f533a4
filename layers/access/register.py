"""The register of people, keys and grants: who somebody is, and what is in force for them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from layers.access import grants, keys, people
from layers.access.grants import Grant
from layers.access.keys import Key
from layers.access.people import Person
from layers.access.policy import ANONYMOUS, Caller, caller_of
from layers.clock import Clock
from layers.database import Database
from layers.errors import BadCredential, UnknownCaller

# What another process revokes holds for so long here.
FRESH_S = 1.0
_MOST_KEPT = 10_000


@dataclass
class _Kept:
    """Callers as they were found a moment ago."""

    fresh_s: float
    found: OrderedDict[bytes, tuple[float, Caller]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: bytes) -> Caller | None:
        with self.lock:
            until, caller = self.found.get(key, (0.0, ANONYMOUS))
            return caller if until > time.monotonic() else None

    def until(self, key: bytes) -> float:
        with self.lock:
            return self.found.get(key, (0.0, ANONYMOUS))[0]

    def put(self, key: bytes, caller: Caller) -> None:
        with self.lock:
            self.found[key] = (time.monotonic() + self.fresh_s, caller)
            self.found.move_to_end(key)
            while len(self.found) > _MOST_KEPT:
                self.found.popitem(last=False)

    def clear(self) -> None:
        with self.lock:
            self.found.clear()


class Register:
    """Who is who, on one store.

    Parameters
    ----------
    fresh_s : float
        For how many seconds a caller is taken to be what they were a moment ago.

    Attributes
    ----------
    version : int
        Another after each change to people, keys and grants that this process made.
    """

    def __init__(self, database: Database, clock: Clock, fresh_s: float = FRESH_S) -> None:
        self.database = database
        self.clock = clock
        self.version = 0
        self._kept = _Kept(fresh_s)

    def key_until(self, text: str) -> float:
        """Return until when a key is taken to be whose it was a moment ago; 0 where nobody's.

        By the clock that never goes back (`time.monotonic`), and only while `version` is the same.
        """
        return self._kept.until(keys.digest(f"key {text}"))

    def by_key(self, text: str) -> Caller:
        """Return who shows a key.

        Raises
        ------
        BadCredential
            Where it is none that opens anything.
        """
        return self._found(keys.digest(f"key {text}"), self._finder(text))

    def renew_key(self, text: str) -> Caller:
        """Return who shows a key as they are now, also where that was found a moment ago.

        Raises
        ------
        BadCredential
            Where it is none that opens anything.
        """
        with self.database.keep() as connection:
            caller = self._finder(text)(connection, self.clock())
        self._kept.put(keys.digest(f"key {text}"), caller)
        return caller

    def _finder(self, text: str) -> Callable[[Connection, datetime], Caller]:
        def find(connection: Connection, now: datetime) -> Caller:
            key = keys.find_key(connection, text, now)
            keys.note_use(connection, key, now)
            return self._caller(connection, key.caller, key.name, None, now)

        return find

    def by_session(self, secret: str) -> Caller:
        """Return whose session it is.

        Raises
        ------
        BadCredential
            Where it is over, or its key or person is no more.
        """

        def find(connection: Connection, now: datetime) -> Caller:
            name = people.find_session(connection, secret, now)
            try:
                return self._named(connection, name, now)
            except UnknownCaller:
                raise BadCredential("this session is over; sign in again") from None

        return self._found(keys.digest(f"session {secret}"), find)

    def by_identity(
        self, issuer: str, subject: str, name: str, email: str | None, department: str | None
    ) -> Caller:
        """Return the person whom a provider of identities has just vouched for.

        Raises
        ------
        BadCredential
            Where the door is closed to them.
        """
        said = (issuer, subject, name, email, department)

        def find(connection: Connection, now: datetime) -> Caller:
            known = people.welcome(
                connection, issuer, subject, now, name=name, email=email, department=department
            )
            return self._caller(connection, known.caller, known.name, known.department, now)

        return self._found(keys.digest(f"identity {said!r}"), find)

    def by_name(self, caller_id: str) -> Caller:
        """Return somebody by their id, ``key:ID`` or ``person:ID``, as they are now.

        Raises
        ------
        UnknownCaller
            Where there is no such key or person, or they are no more.
        """
        with self.database.keep() as connection:
            return self._named(connection, caller_id, self.clock())

    def forget(self) -> None:
        """Take nobody to be what they were: something about them has just changed."""
        self.version += 1
        self._kept.clear()

    def demo_keys(self) -> list[Key]:
        """Return the demo's keys that open something still."""
        with self.database.keep() as connection:
            every = keys.read_keys(connection)
        return [key for key in every if key.demo and key.is_valid(self.clock())]

    def names(self) -> dict[str, str]:
        """Return what people call each key and person, by their ids."""
        with self.database.keep() as connection:
            found = {key.caller: key.name for key in keys.read_keys(connection)}
            return found | {p.caller: p.name for p in people.read_people(connection)}

    def _found(self, kept_as: bytes, find: Callable[[Connection, datetime], Caller]) -> Caller:
        caller = self._kept.get(kept_as)
        if caller is None:
            with self.database.keep() as connection:
                caller = find(connection, self.clock())
            self._kept.put(kept_as, caller)
        return caller

    def _named(self, connection: Connection, caller_id: str, now: datetime) -> Caller:
        kind, _, own = caller_id.partition(":")
        if kind == "key":
            found = keys.find_by_id(connection, own)
            if not found.is_valid(now):
                raise UnknownCaller(f"there is no key {own!r} that opens anything")
            return self._caller(connection, caller_id, found.name, None, now)
        known: Person = people.find_person(connection, own)
        if known.closed_at is not None:
            raise UnknownCaller(f"the account of person {own!r} is closed")
        return self._caller(connection, caller_id, known.name, known.department, now)

    def _caller(
        self,
        connection: Connection,
        caller_id: str,
        name: str,
        department: str | None,
        now: datetime,
    ) -> Caller:
        grantees = [caller_id, *([f"department:{department}"] if department else [])]
        given: list[Grant] = grants.read_grants(connection, grantees)
        return caller_of(caller_id, name, department, given, now)
