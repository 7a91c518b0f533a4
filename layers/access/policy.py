"""The policy: what grants make of a caller, as a Reader and as a Writer. One place, and pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from layers.access.grants import Grant, Role, Terms
from layers.readers import INTERNAL, RESTRICTED, Reader, View
from layers.writers import Permit, Verb, Writer

_CLASSES = frozenset({"public", INTERNAL, RESTRICTED})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks, and what is in force for them at that moment.

    Attributes
    ----------
    id : str
        ``anonymous``, ``key:ID`` or ``person:ID``.
    name : str
        As people call them: a commit's author.
    terms : tuple of Terms
        Of the grants in force.
    """

    id: str
    name: str
    department: str | None = None
    terms: tuple[Terms, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known."""
        return self.id == "anonymous"

    @property
    def administers(self) -> tuple[Terms, ...]:
        """What they are administrator of."""
        return tuple(t for t in self.terms if t.role is Role.ADMINISTRATOR)

    def reader(self) -> Reader:
        """Return what they may see."""
        if self.is_anonymous:
            return _NOBODY
        return Reader(self.id, tuple(_view(t) for t in self.terms if t.role in _READING))

    def writer(self, origin: str = "") -> Writer:
        """Return what they may change.

        Parameters
        ----------
        origin : str
            From where they ask, for the audit.
        """
        permits = tuple(_permit(t) for t in self.terms if t.role.verbs - {Verb.ADMINISTER})
        return Writer(self.name, permits, self.id, origin)


ANONYMOUS = Caller("anonymous", "anonymous")
_NOBODY = Reader.anonymous()
_READING = frozenset(Role) - {Role.ADMINISTRATOR}


def caller_of(
    caller_id: str, name: str, department: str | None, grants: Iterable[Grant], now: datetime
) -> Caller:
    """Return somebody with those of their grants that are in force.

    Examples
    --------
    >>> from datetime import UTC
    >>> day = lambda n: datetime(2026, 1, n, tzinfo=UTC)
    >>> terms = Terms(Role.READER, "layer:parcels", ends=day(5))
    >>> grants = [Grant(1, "key:ab12", terms, day(1), "person:1")]
    >>> [len(caller_of("key:ab12", "a", None, grants, day(n)).terms) for n in (4, 5)]
    [1, 0]
    """
    return Caller(caller_id, name, department, tuple(g.terms for g in grants if g.holds(now)))


def _view(terms: Terms) -> View:
    pending = terms.role in (Role.PUBLISHER, Role.REVIEWER)
    fields = frozenset(terms.fields) - {"public"}
    return View(terms.layers, terms.territory, fields, pending)


def _permit(terms: Terms) -> Permit:
    named = frozenset(terms.fields) - _CLASSES
    classes = _CLASSES & set(terms.fields)
    return Permit(
        terms.role.verbs,
        terms.layers,
        terms.territory,
        fields=None if classes else named,
        restricted=RESTRICTED in classes,
        internal=bool(classes & {INTERNAL, RESTRICTED}),
        named=named,
    )
