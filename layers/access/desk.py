"""The desk: what administrators and applicants do to the register, each as one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from layers import catalog
from layers.access import applications, audit, grants, keys, people
from layers.access.applications import Application, Decision
from layers.access.audit import Entry, KeptEntry
from layers.access.grants import Grant, Terms
from layers.access.keys import Key
from layers.access.people import Person
from layers.access.policy import Caller
from layers.access.register import Register
from layers.errors import Forbidden, UnknownCaller
from layers.model import Layer
from layers.readers import ALL_LAYERS, Reader


@dataclass(frozen=True, slots=True)
class Desk:
    """The register, as one caller may change it.

    Parameters
    ----------
    caller : Caller
        Who does it; kept with what is done.
    unbounded : bool
        Whether they may do anything, without being an administrator: whoever has the machine.
    origin : str
        From where, for the audit.
    request : str, optional
        In which request, for the audit.
    """

    register: Register
    caller: Caller
    unbounded: bool = False
    origin: str = ""
    request: str | None = None

    def make_key(
        self,
        name: str,
        terms: Terms | None,
        expires_at: datetime | None = None,
        *,
        demo: bool = False,
    ) -> tuple[Key, str]:
        """Make a key, with a grant of its own; its text is shown this once.

        Raises
        ------
        Forbidden
            Where the grant is not the caller's to give.
        BadGrant, BadTerritory
            Where key or grant say nothing that can be.
        """
        self._check_all_or(terms)
        with self._changing() as (connection, now):
            made = keys.create_key(
                connection, name, now, expires_at=expires_at, by=self.caller.id, demo=demo
            )
            given = {}
            if terms is not None:
                grant = grants.give(connection, made[0].caller, terms, self.caller.id, now)
                given = {"grant": grant.id, "role": terms.role.value}
            self._note(connection, "key", key=made[0].id, **given)
            return made

    def revoke_key(self, key_id: str) -> Key:
        """Let a key open nothing any more, and end its sessions."""
        self._check_everything()
        with self._changing() as (connection, now):
            people.end_sessions(connection, f"key:{key_id}")
            revoked = keys.revoke(connection, key_id, now)
            self._note(connection, "revoke", key=key_id)
            return revoked

    def give(self, grantee: str, terms: Terms) -> Grant:
        """Give a grant.

        Raises
        ------
        Forbidden
            Where it is not the caller's to give, or is for themselves.
        UnknownCaller
            Where there is no such key or person.
        """
        self._check_may(terms)
        self._check_other(grantee)
        with self._changing() as (connection, now):
            _check_there(connection, grantee)
            grant = grants.give(connection, grantee, terms, self.caller.id, now)
            self._note(connection, "grant", grant=grant.id, grantee=grantee, role=terms.role.value)
            return grant

    def take(self, grant_id: int) -> Grant:
        """Take a grant back.

        Raises
        ------
        UnknownCaller
            Where there is none of that number that the caller could have given.
        """
        with self._changing() as (connection, now):
            if not self._may(grants.find_grant(connection, grant_id).terms):
                # Numbers are easily guessed, and what they are of is not everybody's to know.
                raise UnknownCaller(f"there is no grant {grant_id}")
            grant = grants.take(connection, grant_id, self.caller.id, now)
            self._note(connection, "take", grant=grant.id, grantee=grant.grantee)
            return grant

    def apply(self, terms: Terms) -> Application:
        """Apply for access, for oneself."""
        with self._changing() as (connection, now):
            made = applications.apply(connection, self.caller.id, terms, now)
            self._note(connection, "application", application=made.id, role=terms.role.value)
            return made

    def decide(
        self, application_id: int, decision: Decision, answer: str = ""
    ) -> tuple[Application, Grant | None]:
        """Approve, refuse or withdraw an application.

        Raises
        ------
        UnknownCaller
            Where there is none of that number that waits for the caller.
        Forbidden
            Where it is their own, and they would approve or refuse it.
        """
        with self._changing() as (connection, now):
            found = applications.find_application(connection, application_id)
            if found.applicant != self.caller.id and not self._may(found.terms):
                raise UnknownCaller(f"there is no application {application_id}")
            own = (application_id, decision, self.caller.id, now, answer)
            made, grant = applications.decide(connection, *own)
            self._note(connection, "decision", application=made.id, decision=decision.value)
            return made, grant

    def close(self, person_id: str, *, closed: bool = True) -> Person:
        """Close the door to a person, or open it again."""
        self._check_everything()
        self._check_other(f"person:{person_id}")
        with self._changing() as (connection, now):
            person = people.close(connection, person_id, now, closed=closed)
            self._note(connection, "close" if closed else "open", person=person_id)
            return person

    def people(self) -> list[Person]:
        """Return everybody who ever came."""
        self._check_everything()
        with self.register.database.keep() as connection:
            return people.read_people(connection)

    def every_key(self) -> list[Key]:
        """Return every key that ever was."""
        self._check_everything()
        with self.register.database.keep() as connection:
            return keys.read_keys(connection)

    def grants(self, *, taken: bool = False) -> list[Grant]:
        """Return the grants that the caller could have given."""
        with self.register.database.keep() as connection:
            every = grants.read_grants(connection, taken=taken)
        return [grant for grant in every if self._may(grant.terms)]

    def applications(self, *, waiting: bool = False) -> list[Application]:
        """Return the applications that the caller could decide on."""
        with self.register.database.keep() as connection:
            every = applications.read_applications(connection, waiting=waiting)
        return [made for made in every if self._may(made.terms)]

    def own_grants(self) -> list[Grant]:
        """Return what the caller has been granted, and what was taken back."""
        names = [self.caller.id]
        if self.caller.department is not None:
            names.append(f"department:{self.caller.department}")
        with self.register.database.keep() as connection:
            return grants.read_grants(connection, names, taken=True)

    def own_applications(self) -> list[Application]:
        """Return what the caller has applied for."""
        with self.register.database.keep() as connection:
            return applications.read_applications(connection, self.caller.id)

    def audit(self, **asked: Any) -> list[KeptEntry]:
        """Return entries of the audit; see `layers.access.audit.read_entries`."""
        self._check_everything()
        with self.register.database.keep() as connection:
            return audit.read_entries(connection, **asked)

    def layers(self) -> list[Layer]:
        """Return the records of the layers that the caller could grant access to."""
        with self.register.database.read() as connection:
            every = catalog.list_layers(connection, Reader("desk", unlimited=True))
        return [record for record in every if self._governs(record)]

    @property
    def governs_everything(self) -> bool:
        """Whether the caller is administrator of all layers."""
        return self.unbounded or any(t.layers == ALL_LAYERS for t in self.caller.administers)

    def _governs(self, record: Layer) -> bool:
        named = {ALL_LAYERS, f"layer:{record.id}", f"department:{record.department}"}
        return self.unbounded or any(t.layers in named for t in self.caller.administers)

    def _may(self, terms: Terms) -> bool:
        return self.unbounded or any(own.covers(terms) for own in self.caller.administers)

    def _check_may(self, terms: Terms) -> None:
        if not self._may(terms):
            raise Forbidden(f"{self.caller.name} is no administrator of {terms.layers}")

    def _check_everything(self) -> None:
        if not self.governs_everything:
            raise Forbidden(f"{self.caller.name} is no administrator of all layers")

    def _check_all_or(self, terms: Terms | None) -> None:
        if terms is None:
            self._check_everything()
        else:
            self._check_may(terms)

    def _check_other(self, grantee: str) -> None:
        own = {self.caller.id}
        if self.caller.department is not None:
            own.add(f"department:{self.caller.department}")
        if not self.unbounded and grantee in own:
            raise Forbidden("nobody grants or closes anything to themselves; ask another one")

    def _note(self, connection: Connection, action: str, **detail: str | int) -> None:
        entry = Entry(self.caller.id, action, self.origin, request=self.request, detail=detail)
        audit.append(connection, entry)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Connection, datetime]]:
        with self.register.database.keep() as connection:
            yield connection, self.register.clock()
        self.register.forget()


def _check_there(connection: Connection, grantee: str) -> None:
    kind, _, own = grants.check_grantee(grantee).partition(":")
    if kind == "person":
        people.find_person(connection, own)
    if kind == "key":
        keys.find_by_id(connection, own)
