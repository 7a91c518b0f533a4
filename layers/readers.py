"""Who reads: an argument of every read. What somebody may see of one layer is a `Sight`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from layers.model import Field, Layer, Schema, Visibility
from layers.territories import EVERYWHERE, Territory

ALL_LAYERS = "*"
INTERNAL, RESTRICTED = "internal", "restricted"


@dataclass(frozen=True, slots=True)
class View:
    """What one grant lets somebody see.

    Attributes
    ----------
    layers : str
        ``*`` for all that are not private, ``layer:ID``, or ``department:NAME`` for those of a
        department.
    territory : Territory
        Which of their features, and of which time.
    fields : frozenset of str
        Classes of fields (``internal``; ``restricted``, which is all) and ids of single ones,
        beyond the public.
    pending : bool
        Whether layers that wait for a reviewer are seen.
    """

    layers: str = ALL_LAYERS
    territory: Territory = EVERYWHERE
    fields: frozenset[str] = frozenset({INTERNAL})
    pending: bool = False

    def covers(self, layer: Layer) -> bool:
        """Return whether the view is of a layer; of private ones only where it names them."""
        if layer.pending and not self.pending:
            return False
        if self.layers == ALL_LAYERS:
            return layer.visibility is not Visibility.PRIVATE
        return covers_layer(self.layers, layer.id, layer.department)

    def shows(self, f: Field) -> bool:
        """Return whether a field of such a layer is seen."""
        if f.visibility is Visibility.PUBLIC or f.id in self.fields:
            return True
        if f.visibility is Visibility.INTERNAL:
            return bool(self.fields & {INTERNAL, RESTRICTED})
        return RESTRICTED in self.fields


def covers_layer(layers: str, layer_id: str, department: str | None) -> bool:
    """Return whether a grant's layers are all, this one, or those of its department.

    >>> covers_layer("layer:parcels", "parcels", None), covers_layer("department:a", "x", "b")
    (True, False)
    """
    return layers in (ALL_LAYERS, f"layer:{layer_id}", f"department:{department or ''}")


@dataclass(frozen=True, slots=True)
class Tier:
    """In which territory which fields are seen."""

    territory: Territory
    fields: frozenset[str]


@dataclass(frozen=True)
class Sight:
    """What a reader may see of one layer: the union of its tiers.

    A row is seen where it lies in the territory of any tier; a field of that row, where it lies in
    the territory of a tier that has the field.
    """

    tiers: tuple[Tier, ...]
    internals: bool

    @cached_property
    def whole(self) -> bool:
        """Whether every row is seen."""
        return any(tier.territory.is_everywhere for tier in self.tiers)

    @cached_property
    def time(self) -> tuple[datetime | None, datetime | None]:
        """The time in the world that is seen: from the first start of a tier to the last end."""
        starts = [tier.territory.start for tier in self.tiers]
        ends = [tier.territory.end for tier in self.tiers]
        start = None if None in starts else min((s for s in starts if s), default=None)
        return start, None if None in ends else max((e for e in ends if e), default=None)

    def fields(self, schema: Schema) -> tuple[Field, ...]:
        """Return the open fields that are seen in some row, in schema order."""
        return tuple(f for f in schema.stored if self._sees(f))

    def restricted(self, schema: Schema) -> tuple[Field, ...]:
        """Return the restricted fields that are seen in some row, in schema order."""
        return tuple(f for f in schema.restricted if self._sees(f))

    def where(self, f: Field) -> tuple[Territory, ...]:
        """Return in which territories a field is seen; empty where in every row that is seen."""
        having = [tier for tier in self.tiers if f.id in tier.fields]
        if len(having) == len(self.tiers) or any(t.territory.is_everywhere for t in having):
            return ()
        return tuple(tier.territory for tier in having)

    @cached_property
    def fingerprint(self) -> str:
        """A short text that differs wherever what is seen differs; part of every cache key."""
        told = "\n".join(
            f"{tier.territory.fingerprint} {' '.join(sorted(tier.fields))}" for tier in self.tiers
        )
        whole = f"{self.internals}\n{told}".encode()
        return hashlib.sha256(whole).hexdigest()[:16]

    def _sees(self, f: Field) -> bool:
        return any(f.id in tier.fields for tier in self.tiers)


@dataclass(frozen=True)
class Reader:
    """Somebody who reads, and what their grants let them see beyond what is public.

    Parameters
    ----------
    name : str
        Who reads: ``anonymous``, ``key:ID``, ``person:ID``.
    views : tuple of View
        What is seen beyond public layers and public fields.
    unlimited : bool
        Whether private and pending layers are seen too; for the command line and tests.
    """

    name: str
    views: tuple[View, ...] = ()
    unlimited: bool = False

    @classmethod
    def anonymous(cls) -> Reader:
        """Return the reader who has shown nothing: public layers, public fields."""
        return cls("anonymous")

    @classmethod
    def everything(cls) -> Reader:
        """Return the reader of the command line and of tests: every layer, no restricted field."""
        return cls("everything", (View(pending=True),), unlimited=True)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known to read."""
        return self.name == "anonymous"

    @cached_property
    def fingerprint(self) -> str:
        """A short text that differs wherever what may be seen of any layer differs."""
        told = sorted(
            f"{v.layers} {v.territory.fingerprint} {' '.join(sorted(v.fields))} {v.pending}"
            for v in self.views
        )
        return hashlib.sha256("\n".join([str(self.unlimited), *told]).encode()).hexdigest()[:16]

    def sees(self, layer: Layer) -> bool:
        """Return whether the layer exists for this reader."""
        return _is_public(layer) or self.unlimited or any(v.covers(layer) for v in self.views)

    def sight(self, layer: Layer) -> Sight:
        """Return what of a layer, under the schema that its record has, this reader may see."""
        own = (layer.id, layer.department, layer.visibility, layer.pending)
        return _sight(self, *own, Known(layer.schema))

    def may_see_restricted(self, layer: Layer) -> bool:
        """Return whether a view of the layer names more than public and internal fields."""
        views = (v for v in self.views if self.unlimited or v.covers(layer))
        return any(v.fields - {INTERNAL} for v in views)

    def fields(self, layer: Layer) -> tuple[Field, ...]:
        """Return the open fields of a layer that exist for this reader, in schema order."""
        return self.sight(layer).fields(layer.schema)

    def restricted(self, layer: Layer) -> tuple[Field, ...]:
        """Return the restricted fields of a layer that exist for this reader."""
        return self.sight(layer).restricted(layer.schema)

    def knows_internals(self, layer: Layer) -> bool:
        """Return whether authors, messages and documents of a layer's revisions are seen."""
        return self.sight(layer).internals


class Known:
    """A schema as a key of what is kept: itself, rather than all that it says."""

    __slots__ = ("schema",)

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and other.schema is self.schema


# Kept: every read asks several times, and schemas stay the same objects while they are in force.
@lru_cache(maxsize=4096)
def _sight(
    reader: Reader,
    layer_id: str,
    department: str | None,
    visibility: Visibility,
    pending: bool,
    known: Known,
) -> Sight:
    own = (visibility, (), department, pending)
    layer = Layer(layer_id, known.schema, 0, None, *own)
    views = [v for v in reader.views if reader.unlimited or v.covers(layer)]
    return Sight(_merged(_tiers(layer, views)), any(v.fields & _CLASSES for v in views))


_CLASSES = frozenset({INTERNAL, RESTRICTED})


def _is_public(layer: Layer) -> bool:
    return layer.visibility is Visibility.PUBLIC and not layer.pending


def _tiers(layer: Layer, views: Iterable[View]) -> Iterator[Tier]:
    fields = (*layer.schema.stored, *layer.schema.restricted)
    if _is_public(layer):
        public = frozenset(f.id for f in fields if f.visibility is Visibility.PUBLIC)
        yield Tier(EVERYWHERE, public)
    for view in views:
        yield Tier(view.territory, frozenset(f.id for f in fields if view.shows(f)))


def _merged(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    """Bring the tiers of one territory together, and leave out those that add nothing."""
    by_territory: dict[Territory, frozenset[str]] = {}
    for tier in tiers:
        known = by_territory.get(tier.territory, frozenset())
        by_territory[tier.territory] = known | tier.fields
    everywhere = by_territory.get(EVERYWHERE, frozenset())
    kept = [
        Tier(territory, fields)
        for territory, fields in by_territory.items()
        if territory.is_everywhere or EVERYWHERE not in by_territory or fields - everywhere
    ]
    return tuple(sorted(kept, key=lambda t: (t.territory.fingerprint, sorted(t.fields))))
