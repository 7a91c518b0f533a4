"""A snapshot of a raster layer as map tiles: its scenes, the newest on top, as PNG or WebP."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from layers.model import Layer
from layers.reading.scenes import find_scenes
from layers.store import Snapshot
from tiles.errors import NotAnInstant, NotARaster
from tiles.grids import Place


class PictureFormat(StrEnum):
    """What a map tile is written as; the values are those of ``f``."""

    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """As ``Content-Type`` has it.

        >>> PictureFormat.WEBP.media_type
        'image/webp'
        """
        return f"image/{self.value}"


def check_raster(record: Layer) -> None:
    """Refuse a layer that has features, and no pictures.

    Raises
    ------
    NotARaster
        Which says what there is instead.
    """
    if not record.schema.raster:
        raise NotARaster(
            f"{record.id} is no raster layer, and has no map tiles; its vector tiles are at "
            f"/collections/{record.id}/tiles"
        )


def map_tile(snapshot: Snapshot, where: Place, picture: PictureFormat) -> bytes | None:
    """Return a map tile of a raster layer at an instant.

    Parameters
    ----------
    snapshot : Snapshot
        Of a raster layer, at an instant.
    where : Place
        The tile.
    picture : PictureFormat
        PNG or WebP, both without loss.

    Returns
    -------
    bytes or None
        The picture, transparent where no scene has a value; None where none has any in the tile.

    Raises
    ------
    NotARaster
        Where the layer has features, which vector tiles show.
    NotAnInstant
        Where the snapshot is of an interval.
    """
    check_raster(snapshot.layer.record)
    if not isinstance(snapshot.moment.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    scenes = find_scenes(snapshot, where.bounds, where.crs)
    if not scenes:
        return None
    # Late: GDAL and rio-tiler are 60 MB that a server without rasters does without.
    from tiles.pictures import draw, encode

    drawn = draw(snapshot, scenes, where)
    return None if drawn is None else encode(drawn, picture.name)
