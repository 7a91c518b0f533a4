"""What a publisher says of a source that it does not say itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """How a source is to be read.

    Attributes
    ----------
    layer : str or None
        Which layer, sheet, table or file of several.
    encoding : str or None
        Of text, where the source does not state it.
    coordinates : pair of str or None
        Names of the x and y columns of a table.
    wkt : str or None
        Name of the column of a table that holds well-known text.
    separator : str or None
        What stands between the fields of a table of text.
    curves : bool
        Whether arcs may become straight segments, and surfaces of triangles polygons.
    rings : bool
        Whether rings whose last point is not their first may be closed.
    """

    layer: str | None = None
    encoding: str | None = None
    coordinates: tuple[str, str] | None = None
    wkt: str | None = None
    separator: str | None = None
    curves: bool = False
    rings: bool = False


NOTHING = Asked()
