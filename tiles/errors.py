"""What can go wrong with a tile, one class a cause.

::

    TilesError
    ├── UnknownMatrixSet   a tile matrix set that is not offered
    ├── TileOutside        a tile that its matrix set does not have
    ├── NotAnInstant       an interval where a tile needs an instant
    ├── NothingToPack      a snapshot of which no tile has anything
    └── UnknownArchive     an archive that is not there, or not for this reader
"""


class TilesError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class UnknownMatrixSet(TilesError):
    """A tile matrix set that is not offered."""


class TileOutside(TilesError):
    """A tile that its matrix set does not have."""


class NotAnInstant(TilesError):
    """An interval where a tile needs an instant."""


class NothingToPack(TilesError):
    """A snapshot of which no tile has anything, so that there is nothing to put in an archive."""


class UnknownArchive(TilesError):
    """An archive that is not there, or not for this reader."""
