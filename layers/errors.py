"""What can go wrong in the store, one class a cause.

::

    LayersError
    ├── BadRequest            what was asked can't be: the asker can mend it
    │   ├── BadSchema         a schema file that says something impossible
    │   ├── BadSource         a file that is missing, empty or no geodata
    │   │   └── UnstatedSystem    coordinates whose reference system nobody says
    │   ├── BadValue          a value in the source that its field can't hold
    │   ├── RuleBroken        more rows that break a rule of the schema than it allows
    │   ├── LimitPassed       more rows repaired, left out or without geometry than a layer takes
    │   ├── BadKey            keys that are repeated, absent or not unique
    │   ├── BadScope          rows, or ids, outside the stated scope
    │   ├── BadPeriod         a period that ends before it starts, or is not stated
    │   ├── BadRaster         a raster that is damaged, has no place, or can't be shown
    │   ├── BadArchive        an archive that is damaged, newer, or can't be written
    │   ├── BadTerritory      a division, an area or a time that can't be granted
    │   ├── BadGrant          a grant or an application that says nothing that can be given
    │   ├── BadStyleName      an id that no style of a layer can have
    │   ├── BadMapping        columns and fields that can't go together as they are said to
    │   ├── BadQuery          a filter, property or page that does not exist
    │   └── TooMuchAsked      an answer that takes longer than the database may work on one
    ├── NotFound
    │   ├── UnknownLayer
    │   ├── UnknownRevision
    │   ├── UnknownCommit     a commit, or a tag, that there is not
    │   ├── UnknownFeature
    │   ├── UnknownStyle
    │   ├── UnknownCaller     a person, a key, a grant or an application that there is not
    │   └── FeatureGone       it existed, but not at this instant
    ├── Conflict
    │   ├── SchemaConflict    a schema that differs from the layer's own
    │   ├── NeedsConsent      a reload that retires more than a fifth of its scope
    │   ├── EditConflict      a feature that is, or is not, there in the period of an edit
    │   ├── FeatureChanged    a feature that others have changed since it was seen
    │   ├── RevertConflict    later revisions touched what a revert would undo
    │   ├── TagTaken          a tag that names another commit
    │   ├── StoreNotEmpty     a restore into a store with something in it
    │   ├── LayerBusy         others hold the layer for longer than one waits
    │   └── ClockRefused      a simulated clock on a store that is in real use
    ├── BadCredential         an API key that is unknown, expired or revoked
    ├── Forbidden             a reader or writer who may not
    ├── LayerPaused           a layer that somebody paused, until somebody starts it
    ├── DamagedRaster         a kept raster whose bytes are not, or no longer, what they were
    ├── NoRoom                a disk of this machine is full
    ├── StreamStopped         a stream that nobody reads any more
    └── StoreUnavailable      the database can't be reached, or is of another format
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.report import Report
    from spatial.shortlist import Candidate


class LayersError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy.

    Attributes
    ----------
    report : Report or None
        Of a publish that a rule or a limit refuses: all that was found, and what it would do.
    layer : str or None
        Of a commit: the layer that it could not change.
    """

    report: Report | None = None
    layer: str | None = None


class BadRequest(LayersError):
    """What was asked can't be done as asked."""


class BadSchema(BadRequest):
    """A schema file that says something impossible."""


class BadSource(BadRequest):
    """A source that is missing, empty or no geodata."""


class UnstatedSystem(BadSource):
    """Coordinates whose reference system neither their source nor their publisher says.

    Attributes
    ----------
    candidates : tuple of Candidate
        The systems that would fit, the likelier first.
    """

    def __init__(self, text: str, candidates: Sequence[Candidate] = ()) -> None:
        super().__init__(text)
        self.candidates = tuple(candidates)


class BadValue(BadRequest):
    """A value that its field can't hold."""


class RuleBroken(BadRequest):
    """More rows break a rule of the schema than it allows."""


class LimitPassed(BadRequest):
    """More rows repaired, left out or without geometry than the layer takes."""


class BadKey(BadRequest):
    """Keys that are repeated, absent or not unique."""


class BadScope(BadRequest):
    """Rows, or ids, outside the stated scope."""


class BadPeriod(BadRequest):
    """A period that ends before it starts, or a start that was not stated."""


class BadRaster(BadSource):
    """A raster that is damaged, has no place on the earth, or can't be shown."""


class BadArchive(BadRequest):
    """An archive that is damaged, of a newer release, or can't be written."""


class BadTerritory(BadRequest):
    """A division, an area or a time that can't be granted."""


class BadGrant(BadRequest):
    """A grant or an application that says nothing that can be given."""


class BadStyleName(BadRequest):
    """An id that no style of a layer can have."""


class BadMapping(BadRequest):
    """A mapping of columns to fields that names what is not there, or says two things of one."""


class BadQuery(BadRequest):
    """A filter, property or page that does not exist."""


class TooMuchAsked(BadRequest):
    """An answer that takes longer than the database may work on one."""


class NotFound(LayersError):
    """No such thing."""


class UnknownLayer(NotFound):
    """No layer of that name that this reader may see."""


class UnknownRevision(NotFound):
    """A revision that has not been made."""


class UnknownCommit(NotFound):
    """A commit, or a tag, that there is not."""


class UnknownCaller(NotFound):
    """A person, a key, a grant or an application that there is not."""


class UnknownFeature(NotFound):
    """No feature of that id, at any time."""


class UnknownStyle(NotFound):
    """No style of that id, of a layer that this reader may see."""


class FeatureGone(LayersError):
    """The feature exists at another time than the one asked for."""


class Conflict(LayersError):
    """The store's state forbids it."""


class SchemaConflict(Conflict):
    """A schema that differs from the layer's own."""


class NeedsConsent(Conflict):
    """Something large enough that the publisher must say yes."""


class EditConflict(Conflict):
    """A feature that is there and should not be, or the other way round."""


class FeatureChanged(Conflict):
    """A feature that others have changed since it was seen."""


class RevertConflict(Conflict):
    """Later revisions touched what a revert would undo."""


class StoreNotEmpty(Conflict):
    """A restore into a store with something in it."""


class LayerBusy(Conflict):
    """Others hold the layer for longer than one waits."""


class TagTaken(Conflict):
    """A tag that names another commit."""


class ClockRefused(Conflict):
    """A simulated clock on a store that is in real use."""


class BadCredential(LayersError):
    """An API key that is unknown, expired or revoked."""


class Forbidden(LayersError):
    """The reader or writer may not do that."""


class LayerPaused(LayersError):
    """A layer that somebody paused: it is there, and will answer and be written again."""

    seconds = 600

    def __init__(self, layer_id: str) -> None:
        super().__init__(
            f"layer {layer_id} is paused: it is neither read nor written here until whoever runs "
            f"the server starts it (shikong layer set {layer_id} --start); ask again later · "
            "图层已暂停服务，由服务器管理员恢复"
        )


class DamagedRaster(LayersError):
    """A kept raster whose bytes are lacking, or are no longer what they were."""


class NoRoom(LayersError):
    """A disk of this machine is full."""


class StreamStopped(LayersError):
    """A stream whose reader has gone; nobody is told."""


class StoreUnavailable(LayersError):
    """The database can't be reached, or its format is not ours."""
