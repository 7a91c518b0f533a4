"""The nouns of the store, as frozen values: Schema, Layer, Commit, Revision, Version, Change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

# The revision number that stands for "not yet": the largest of PostgreSQL's integers.
OPEN_REVISION = 2_147_483_647


class Kind(StrEnum):
    """What a layer's features are: things that last, or things that happen."""

    STATE = "state"
    EVENT = "event"


class Visibility(StrEnum):
    """Who may see a layer (public, internal, private) or a field (public, internal, restricted)."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PRIVATE = "private"
    RESTRICTED = "restricted"


class FieldType(StrEnum):
    """The types that a field can have."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"


class Role(StrEnum):
    """What a field is for, beyond being a property."""

    KEY = "key"
    VALID_FROM = "valid-from"
    VALID_TO = "valid-to"
    EVENT_START = "event-start"
    LABEL = "label"
    CODE = "code"
    AREA = "area"


class Duplicates(StrEnum):
    """What becomes of rows that share a key."""

    REFUSE = "refuse"
    MERGE = "merge"
    FIRST = "first"
    LAST = "last"
    SUM = "sum"


class Mode(StrEnum):
    """Whether a source is the whole truth of its scope, or an addition to it."""

    RELOAD = "reload"
    UPSERT = "upsert"


class Outcome(StrEnum):
    """What a fault does: it is said, its row is left out, or the whole is refused."""

    SAY = "say"
    ROW = "row"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Title:
    """A text in both languages of the platform."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Theme:
    """What a layer is about: an id by which catalogues bring layers together, and its title."""

    id: str
    title: Title


@dataclass(frozen=True, slots=True)
class Term:
    """What a code means for a time: from a day on, until before another; None is without limit."""

    title: Title
    valid_from: date | None = None
    valid_to: date | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a layer, as its schema file states it.

    Attributes
    ----------
    codes : mapping of str to Title
        Every code that is known, those that have ceased too, by its newest title.
    terms : mapping of str to tuple of Term
        Of codes of which more than a title is said: what they mean and when, in order of time.
    codes_source : str
        Where the list is from: a document with its number, edition or address.
    codes_since : date or None
        When the list takes the place of the one before; no part of what is kept.
    outdated : Outcome
        What becomes of a row whose code is not valid at its time.
    """

    id: str
    type: FieldType
    title: Title
    role: Role | None = None
    unit: str | None = None
    required: bool = False
    visibility: Visibility = Visibility.PUBLIC
    codes: Mapping[str, Title] = field(default_factory=dict, hash=False)
    source: tuple[str, ...] = ()
    format: str | None = None
    missing: tuple[str, ...] = ()
    pattern: str | None = None
    indexed: bool = False
    zoom: int | None = None
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict, hash=False)
    codes_source: str = ""
    codes_since: date | None = field(default=None, compare=False)
    outdated: Outcome = Outcome.REFUSE

    @property
    def is_period(self) -> bool:
        """Whether the field is the version's period rather than a property."""
        return self.role in (Role.VALID_FROM, Role.VALID_TO)

    @property
    def is_restricted(self) -> bool:
        """Whether the field stands in the restricted side table."""
        return self.visibility is Visibility.RESTRICTED

    @property
    def is_sortable(self) -> bool:
        """Whether features can be had in its order, for which an index is kept."""
        ordered = self.indexed or self.role in _SORTABLE_ROLES
        return ordered and not self.is_period and not self.is_restricted


_SORTABLE_ROLES = (Role.KEY, Role.LABEL, Role.CODE, Role.EVENT_START)


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a source's rows a layer takes: shares above which a publish is refused; None is any.

    Attributes
    ----------
    refused_share, repaired_share, without_geometry_share : float or None
        Of the rows that were read: left out by rules, repaired, without a geometry.
    """

    refused_share: float | None = None
    repaired_share: float | None = None
    without_geometry_share: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a layer's rows, and what a fault does.

    Attributes
    ----------
    check : str
        One of `layers.schemas.rules.CHECKS`.
    fields : mapping of str to str
        Fields of the layer, by what the check takes them for.
    params : mapping of str to number, text or tuple of text
        Limits, tolerances, and the names of what else is looked at.
    outcome : Outcome
        What becomes of rows at fault.
    share : float
        Of the rows: more at fault refuse the whole, unless they are only said.
    """

    id: str
    check: str
    title: Title
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    outcome: Outcome = Outcome.SAY
    share: float = 1.0

    @property
    def beside(self) -> str | None:
        """The other layer that it looks at, if it does."""
        other = self.params.get("nodes", self.params.get("boundary"))
        return None if other is None else str(other)


# Without slots: what is worked out of the fields is asked for many times a request.
@dataclass(frozen=True)
class Schema:
    """What a layer is: kind, reference system, fields and who may see them."""

    kind: Kind
    title: Title
    geometry: str
    fields: tuple[Field, ...]
    description: Title = Title("", "")
    crs: str = "OGC:CRS84"
    time_zone: str = "Asia/Shanghai"
    visibility: Visibility = Visibility.INTERNAL
    geometry_tolerance: float | None = None
    placeholder_keys: tuple[str, ...] = ()
    duplicates: Duplicates = Duplicates.REFUSE
    synthetic: bool = False
    attribution: str = ""
    scope: tuple[str, ...] = ()
    coordinates: tuple[str, str] | None = None
    division: str | None = None
    theme: Theme | None = None
    owner: Title | None = None
    license: str | None = None
    backdating: bool = False
    if_match: bool = False
    default_datetime: str | None = None
    raster: bool = False
    value_range: tuple[float, float] | None = None
    rules: tuple[Rule, ...] = ()
    update_cycle: str | None = None
    paused: bool = False
    limits: Limits = Limits()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone in which a plain date begins."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        """The fields of which a feature's id is made."""
        return self.with_role(Role.KEY)

    @cached_property
    def stored(self) -> tuple[Field, ...]:
        """The fields that stand in the open tables: neither periods nor restricted."""
        return tuple(f for f in self.fields if not f.is_period and not f.is_restricted)

    @cached_property
    def restricted(self) -> tuple[Field, ...]:
        """The fields that stand in the restricted side table."""
        return tuple(f for f in self.fields if f.is_restricted)

    @cached_property
    def sortables(self) -> tuple[Field, ...]:
        """The fields in whose order features can be had: of each the live table has an index."""
        return tuple(f for f in self.stored if f.is_sortable)

    @property
    def is_multi(self) -> bool:
        """Whether geometries are kept as multiparts."""
        return self.geometry.startswith("Multi")

    def with_role(self, role: Role) -> tuple[Field, ...]:
        """Return the fields in a role, in schema order."""
        return tuple(f for f in self.fields if f.role is role)

    def find(self, name: str) -> Field | None:
        """Return the field of that id, or None."""
        return next((f for f in self.fields if f.id == name), None)

    def division_field(self) -> Field | None:
        """Return the field whose values begin with the code of the division where a thing is."""
        return None if self.division is None else self.find(self.division)

    def event_start(self) -> Field:
        """Return the field that says when an event was reported (event layers have just one)."""
        return self.with_role(Role.EVENT_START)[0]


@dataclass(frozen=True, slots=True)
class Layer:
    """A published layer as the catalogue has it: its schema and its newest revision.

    Attributes
    ----------
    schema : Schema
        The one in force: the newest, unless the record was taken `as_of` an earlier revision.
    schemas : tuple of (int, Schema)
        All that ever were, each with the revision since which it held, the newest last.
    department : str or None
        Whose it is.
    pending : bool
        Whether it waits for a reviewer.
    """

    id: str
    schema: Schema
    head: int
    recorded_at: datetime | None
    visibility: Visibility
    schemas: tuple[tuple[int, Schema], ...] = ()
    department: str | None = None
    pending: bool = False

    def as_of(self, revision: int) -> Layer:
        """Return the layer with the schema that it had at a revision.

        What a field's readers may see is no matter of history: a field that has become internal
        is internal in every revision, also when it was retired since.
        """
        if len(self.schemas) < 2:
            return self
        then = [schema for since, schema in self.schemas if since <= max(revision, 1)][-1]
        if then is not self.schemas[-1][1]:
            then = _as_seen_now(then, self.schemas)
        return replace(self, schema=then)


# By which objects they are made of, which stand beside them and so are no others meanwhile: what
# is kept of a schema is found again only where it is the same object.
_SEEN: dict[tuple[int, int], tuple[Schema, Schema, Schema]] = {}
_MOST_SEEN = 256


def _as_seen_now(then: Schema, schemas: Sequence[tuple[int, Schema]]) -> Schema:
    newest = schemas[-1][1]
    key = (id(then), id(newest))
    found = _SEEN.get(key)
    if found is None:
        fields = tuple(_seen_as(f, schemas) for f in then.fields)
        seen = replace(then, visibility=newest.visibility, fields=fields)
        if len(_SEEN) >= _MOST_SEEN:
            _SEEN.clear()
        found = _SEEN[key] = (then, newest, seen)
    return found[2]


def _seen_as(f: Field, schemas: Sequence[tuple[int, Schema]]) -> Field:
    for _, schema in reversed(schemas):
        last = schema.find(f.id)
        if last is not None and (last.type, last.is_restricted) == (f.type, f.is_restricted):
            return replace(f, visibility=last.visibility)
    return f


@dataclass(frozen=True, slots=True)
class Document:
    """The legal document behind a commit."""

    id: str
    kind: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One change to the platform, all or nothing."""

    id: int
    recorded_at: datetime
    author: str
    message: str
    document: str | None
    simulated: bool
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """What one commit did to one layer; counts are None where nobody has counted for a reader."""

    layer: str
    number: int
    commit: Commit
    n_live: int | None
    n_created: int | None
    n_changed: int | None
    n_retired: int | None
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a commit."""

    name: str
    commit: int
    recorded_at: datetime
    author: str
    note: str


@dataclass(frozen=True, slots=True)
class Link:
    """That one feature came from another, in a split or a merge.

    Attributes
    ----------
    at : datetime
        When, in the world.
    revision, commit : int
        Which told it.
    document : str or None
        The legal document behind that commit.
    """

    ancestor: str
    descendant: str
    at: datetime
    revision: int
    commit: int
    document: str | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """That one feature's restricted fields were removed from all history."""

    layer: str
    feature: str
    erased_at: datetime
    author: str
    reason: str
    versions: int


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a feature, with the period in which the world was so."""

    id: str
    valid_from: datetime
    valid_to: datetime | None
    properties: Mapping[str, Any]
    geometry: bytes | None


@dataclass(frozen=True, slots=True)
class VersionChange:
    """A version that a revision asserted, or retracted."""

    revision: int
    kind: str
    version: Version


@dataclass(frozen=True, slots=True)
class Change:
    """One feature that differs between two snapshots."""

    id: str
    kind: str
    fields: tuple[str, ...]
    old: Version | None
    new: Version | None
