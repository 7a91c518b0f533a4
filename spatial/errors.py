"""What can go wrong in an analysis, one class a cause.

::

    SpatialError (a ValueError)
    ├── BadReference                what the coordinates refer to
    │   ├── UnknownCRS              a reference system that can't be found or used
    │   ├── MissingCRS              a frame that states none
    │   ├── MixedCRS                two frames that state different ones
    │   ├── BallparkTransformation  two datums with no known way between them
    │   ├── BadParameters           parameters of a datum that can't be
    │   └── TransformationFailed    coordinates that come out infinite
    ├── BadFrame                    what a frame must have, and has not
    │   ├── MissingColumn           a column that is not there
    │   ├── WrongGeometryType       lines where points belong
    │   ├── MissingIds              a key that is not filled in
    │   ├── DuplicateIds            a key that is not unique
    │   ├── UnknownIds              a key that stands for nothing
    │   ├── NotFinite               coordinates that are infinite, NaN or beyond use
    │   ├── InvalidPolygon          rings that cross themselves or each other
    │   ├── AroundPole              a ring around the earth, with no side that is its inside
    │   ├── BadValues               values that are missing, not finite or not whole
    │   └── EmptyInput              nothing to work on
    ├── BadTime                     when
    │   ├── BadInstant              text, or a value, that is no instant
    │   └── BadPeriod               a period that ends before it starts
    ├── BadDistance                 a distance that is negative or not finite
    ├── UnreadableIndex             a file that holds no index, or not a whole one
    └── BadRun                      work over many files
        ├── UnreadablePoints        a file that is no GeoParquet, or not a whole one
        ├── BadTarget               a place for results that holds something already
        ├── MissingEngine           Dask, which is not installed
        └── IncompleteRun           files that were not answered whole
"""


class SpatialError(ValueError):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class BadReference(SpatialError):
    """What the coordinates refer to is unknown, absent or at odds."""


class UnknownCRS(BadReference):
    """A reference system that can't be found or used."""


class MissingCRS(BadReference):
    """A frame that states no reference system."""


class MixedCRS(BadReference):
    """Frames that state different reference systems."""


class BallparkTransformation(BadReference):
    """Two datums between which only a no-op is known, wrong by up to about 100 m."""


class BadParameters(BadReference):
    """Parameters between two datums that are not as they are written, or too large."""


class TransformationFailed(BadReference):
    """Coordinates that come out infinite: they lie outside what the projection can map."""


class BadFrame(SpatialError):
    """A frame lacks what the analysis needs."""


class MissingColumn(BadFrame):
    """A column that is not there."""


class WrongGeometryType(BadFrame):
    """Geometries of a type that the analysis has no meaning for."""


class MissingIds(BadFrame):
    """A key that is not filled in."""


class DuplicateIds(BadFrame):
    """A key that is not unique where it must be."""


class UnknownIds(BadFrame):
    """A key that stands for nothing there is."""


class NotFinite(BadFrame):
    """A polygon with coordinates that are infinite, NaN or beyond use."""


class InvalidPolygon(BadFrame):
    """A polygon that bounds no clear area: its rings cross themselves or each other."""


class AroundPole(BadFrame):
    """A ring around the earth on both sides of the equator: either side may be its inside.

    Attributes
    ----------
    position : int
        Of its geometry among those that were given.
    """

    def __init__(self, text: str, position: int) -> None:
        super().__init__(text)
        self.position = position


class BadValues(BadFrame):
    """Values that are missing, not finite, no numbers, or not whole where they must be."""


class EmptyInput(BadFrame):
    """Nothing to work on."""


class BadTime(SpatialError):
    """A moment or a stretch of time that can't be."""


class BadInstant(BadTime):
    """Text, or a value, that is no instant."""


class BadPeriod(BadTime):
    """A period that ends before it starts, or text that is no period."""


class BadDistance(SpatialError):
    """A distance that is negative or not finite."""


class UnreadableIndex(SpatialError):
    """A file that holds no index, or not a whole one, or another than was meant."""


class BadRun(SpatialError):
    """Work over many files can't be done."""


class UnreadablePoints(BadRun):
    """A file of points that is no GeoParquet, or not a whole one."""


class BadTarget(BadRun):
    """A place for results that holds something already."""


class MissingEngine(BadRun):
    """The engine that spreads work over processes is not installed."""


class IncompleteRun(BadRun):
    """Files of which not every row was answered, so that nothing may be used."""
