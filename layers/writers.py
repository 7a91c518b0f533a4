"""Who writes: an argument of every commit, with what they may change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from layers.readers import ALL_LAYERS, covers_layer
from layers.territories import EVERYWHERE, Territory


class Verb(StrEnum):
    """What somebody may do beyond reading."""

    EDIT = "edit"
    PUBLISH = "publish"
    REVIEW = "review"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Permit:
    """What one grant lets somebody change.

    Attributes
    ----------
    verbs : frozenset of Verb
        Edit: features, one by one or as an addition. Publish: whole scopes, schemas, new layers.
    layers : str
        As `layers.readers.View` has it.
    territory : Territory
        Features of which, before and after.
    fields : frozenset of str or None
        Ids of the only fields that may be changed; None for all but restricted ones.
    restricted, internal : bool
        Whether restricted and internal fields may be stated, all of them or those among `fields`.
    named : frozenset of str
        Ids of single fields that may be stated, of whatever class they are.
    """

    verbs: frozenset[Verb]
    layers: str = ALL_LAYERS
    territory: Territory = EVERYWHERE
    fields: frozenset[str] | None = None
    restricted: bool = False
    internal: bool = True
    named: frozenset[str] = frozenset()

    @property
    def is_unbounded(self) -> bool:
        """Whether it is of every feature and of every open field."""
        return self.territory.is_everywhere and self.fields is None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The permits that somebody has for what they want to do to one layer."""

    permits: tuple[Permit, ...]

    @property
    def territories(self) -> tuple[Territory, ...]:
        """Where features may be changed; empty where anywhere."""
        found = tuple(p.territory for p in self.permits)
        return () if any(t.is_everywhere for t in found) else found


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody who commits.

    Parameters
    ----------
    name : str
        Kept with the commit as its author.
    permits : tuple of Permit, optional
        What may be changed; everything where absent, which is for the command line and tests.
    caller : str
        Who that is to the audit: ``key:ID``, ``person:ID``; the name where empty.
    origin : str
        From where, for the audit: an address.
    """

    name: str
    permits: tuple[Permit, ...] | None = None
    caller: str = ""
    origin: str = ""

    def permits_for(
        self, layer_id: str, department: str | None, verb: Verb
    ) -> tuple[Permit, ...] | None:
        """Return the permits to do something to a layer; None where there are no bounds at all."""
        if self.permits is None:
            return None
        covering = (p for p in self.permits if covers_layer(p.layers, layer_id, department))
        return tuple(p for p in covering if verb in p.verbs)

    def may(self, layer_id: str, department: str | None, verb: Verb) -> bool:
        """Return whether some of a layer may be changed so."""
        permits = self.permits_for(layer_id, department, verb)
        return permits is None or bool(permits)
