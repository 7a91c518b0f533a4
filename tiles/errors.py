"""What can go wrong with a tile, one class a cause.

::

    TilesError
    ├── UnknownMatrixSet   a tile matrix set that is not offered
    ├── TileOutside        a tile that its matrix set does not have
    ├── NotAnInstant       an interval where a tile needs an instant
    ├── NotARaster         a map tile of a layer that has no rasters
    ├── BadStyle           a document that is no style
    ├── BadStyledLayer     an SLD that is none, or says nothing that can be drawn
    ├── Unsayable          a style that SLD has no words for
    ├── UnknownSprite      a sheet of symbols that there is not
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


class NotARaster(TilesError):
    """A map tile of a layer that has no rasters."""


class BadStyle(TilesError):
    """A document that is no style of MapLibre's, or none that this server can give out.

    Attributes
    ----------
    faults : tuple of (str, str)
        What is wrong and where, as a JSON pointer.
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{where or '/'}: {what}" for what, where in faults))


class BadStyledLayer(TilesError):
    """An SLD that is none, or says nothing that can be drawn."""


class Unsayable(TilesError):
    """A style that SLD has no words for."""


class UnknownSprite(TilesError):
    """A sheet of symbols that there is not."""


class NothingToPack(TilesError):
    """A snapshot of which no tile has anything, so that there is nothing to put in an archive."""


class UnknownArchive(TilesError):
    """An archive that is not there, or not for this reader."""
