"""Edits of single features, as a commit takes them: insert, update, put, retire, supersede.

Each says for which period of valid time it holds, as SQL's ``FOR PORTION OF`` does: from
`valid_from` (the present where absent) to `valid_to` (for good where absent; in event layers, to
the next development that is known, but for a retirement). Before and after that period nothing
changes. Edits of one list take effect in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Any

from pyproj import CRS

When = datetime | date | str | None
"""An instant; a date, or a text without a zone, is read in the layer's time zone."""


class _Unstated(Enum):
    UNSTATED = "unstated"


UNSTATED = _Unstated.UNSTATED


@dataclass(frozen=True)
class Insert:
    """A feature that is not there in the period.

    Parameters
    ----------
    properties : mapping of str to value
        Field ids to values; what is not stated is NULL.
    geometry : shapely geometry or GeoJSON mapping, optional
    id : str, optional
        Made of the key fields where absent, or else of the content.
    """

    properties: Mapping[str, Any]
    geometry: Any = None
    valid_from: When = None
    valid_to: When = None
    id: str | None = None


@dataclass(frozen=True)
class Update:
    """Some fields of a feature, or its shape; the others stay what they are at each instant.

    Examples
    --------
    >>> Update("G-17", {"owner_ref": "B 2024-99"}, valid_from="2024-05-14").valid_to is None
    True
    """

    id: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    geometry: Any = UNSTATED
    valid_from: When = None
    valid_to: When = None


@dataclass(frozen=True)
class Put:
    """All of a feature for the period, whether it is there or not.

    Parameters
    ----------
    keep : frozenset of str, optional
        Fields that stay what they are where the feature is there, and so do those that the writer
        may not state and a geometry that is UNSTATED. Without it, who may not state all of a
        feature can't put one that is there.
    """

    properties: Mapping[str, Any]
    geometry: Any = None
    valid_from: When = None
    valid_to: When = None
    id: str | None = None
    keep: frozenset[str] | None = None


@dataclass(frozen=True)
class Retire:
    """A feature that is not there in the period."""

    id: str
    valid_from: When = None
    valid_to: When = None


@dataclass(frozen=True)
class Supersede:
    """Features that cease, and those that come of them: a split, a merge, a land readjustment.

    Fields that `into` does not state are inherited where all predecessors agree in them; keys and
    shapes are not. A successor may keep the id of a predecessor.
    """

    ids: Sequence[str]
    into: Sequence[Insert]
    valid_from: When = None


Edit = Insert | Update | Put | Retire | Supersede


def split(feature_id: str, into: Iterable[Insert], valid_from: When = None) -> Supersede:
    """Return the edit that makes several features of one.

    Examples
    --------
    >>> edit = split("G-17", [Insert({"no": "G-18"}), Insert({"no": "G-19"})], "2024-05-14")
    >>> edit.ids, len(edit.into)
    (('G-17',), 2)
    """
    return Supersede((feature_id,), tuple(into), valid_from)


def merge(ids: Iterable[str], into: Insert, valid_from: When = None) -> Supersede:
    """Return the edit that makes one feature of several.

    Examples
    --------
    >>> merge(["G-18", "G-19"], Insert({"no": "G-20"}), "2024-06-01").ids
    ('G-18', 'G-19')
    """
    return Supersede(tuple(ids), (into,), valid_from)


@dataclass(frozen=True)
class Edits:
    """A list of edits of one layer.

    Parameters
    ----------
    edits : sequence of Edit
    crs : CRS, optional
        Of their shapes; the layer's own where absent.
    expected : mapping of str to int, optional
        Ids to the revision as of which each feature was seen: nothing is written where a later one
        has touched it.
    forward : bool
        Whether to refuse what begins before, or with, the newest version of a feature.
    as_of : int, optional
        The revision in which it was looked which features the edits are about: nothing is written
        where the layer has a later one, as others might be meant then.
    """

    edits: Sequence[Edit]
    crs: CRS | None = None
    expected: Mapping[str, int] = field(default_factory=dict)
    forward: bool = False
    as_of: int | None = None


@dataclass(frozen=True)
class Revert:
    """What a revision did, undone.

    Parameters
    ----------
    revision : int
        Of the layer.
    force : bool
        Also where later revisions touched the same features: what they changed in other fields,
        or at other times, stays.
    """

    revision: int
    force: bool = False
