"""Which edits the scenes of a raster layer bear."""

from __future__ import annotations

from collections.abc import Iterable

from layers.edits import Edit, Retire
from layers.errors import BadRequest
from layers.model import Layer


def check_edits(record: Layer, edits: Iterable[Edit]) -> None:
    """Refuse edits that would have a scene show a file that nobody published with it.

    Raises
    ------
    BadRequest
        For whatever is not the end of a scene.
    """
    if record.schema.raster and not all(isinstance(edit, Retire) for edit in edits):
        raise BadRequest(
            f"{record.id} is a raster layer: its scenes are published as GeoTIFFs (shikong "
            "publish), and can be retired or reverted, but not edited"
        )
