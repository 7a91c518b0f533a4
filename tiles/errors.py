"""What can go wrong with a tile, one class a cause.

::

    TilesError
    ├── UnknownMatrixSet   a tile matrix set that is not offered
    ├── TileOutside        a tile that its matrix set does not have
    ├── NotAnInstant       an interval where a tile needs an instant
    └── NotARaster         a map tile of a layer that has no rasters
"""


class TilesError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class UnknownMatrixSet(TilesError):
    """A tile matrix set that is not offered."""


class TileOutside(TilesError):
    """A tile that its matrix set does not have."""


class NotAnInstant(TilesError):
    """An interval where a tile needs an instant."""


class NotARaster(TilesError):
    """A map tile of a layer that has no rasters."""
