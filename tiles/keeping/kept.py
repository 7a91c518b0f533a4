"""A tile that is kept: its bytes, its validator, and the state of the layer of which it is true."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

# Another number where the same question would get other bytes: what is on disk is passed over then.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class State:
    """A state of a layer: what was known, and the instant that is shown.

    Attributes
    ----------
    revision : int
        Of the layer.
    recorded : datetime
        When that was made: a store that was set back to an earlier one has other revisions of the
        same numbers.
    when : datetime
        The instant in the world.
    """

    revision: int
    recorded: datetime
    when: datetime


@dataclass(frozen=True, slots=True)
class KeptTile:
    """A tile with all that an answer says of it.

    Attributes
    ----------
    body : bytes
        Empty where nothing lies in it.
    etag : str
        Made of the bytes: as long as no change touches the tile it is the same, whoever drew it.
    state : State
        The last one in which the tile is known to be so.
    thinned : float or None
        As `tiles.vector.Drawn` has it.
    """

    body: bytes
    etag: str
    state: State
    thinned: float | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes to keep it, about."""
        return len(self.body) + 400

    def of(self, state: State) -> KeptTile:
        """Return the same tile, known to be so in another state too."""
        return replace(self, state=state)


def etag_of(body: bytes, scope: str) -> str:
    """Return the strong tag of a tile.

    Parameters
    ----------
    scope : str
        Fingerprint of what its reader sees: answers of different scope never stand for each other.
    """
    digest = hashlib.sha256(f"{FORMAT} {scope} ".encode() + body).hexdigest()
    return f'"{digest[:32]}"'
