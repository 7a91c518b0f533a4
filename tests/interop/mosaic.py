"""A picture of twenty fields of one colour each, as the clients' tests publish and find it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from layers import catalog
from layers.model import Visibility
from layers.store import open_store
from tests.interop.drawings import Pixels, View
from tests.rasters import PLACE, UTM, publish, write

ROWS, COLUMNS, SIDE = 4, 5, 40
# Its middle, in the north of Beijing; the picture is two kilometres wide.
VIEW = View(116.3087, 40.0109, 15, 900, 600)


def publish_mosaic(dsn: str, folder: Path) -> None:
    """Publish the layer ``mosaic``, public."""
    whole = fields().repeat(SIDE, axis=1).repeat(SIDE, axis=2)
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    path = write(folder / "mosaic.tif", whole, colors=colors)
    with closing(open_store(dsn)) as store:
        publish(store, "mosaic", path)
        with store.database.write() as connection:
            catalog.set_visibility(connection, "mosaic", Visibility.PUBLIC)


def fields() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The colours of the fields: bands, rows, columns."""
    return np.random.default_rng(7).integers(0, 200, (3, ROWS, COLUMNS), dtype=np.uint8)


def middles(view: View) -> list[tuple[Pixels, Pixels]]:
    """Return where the middle of each field lies in a picture, and its colour."""
    found = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            easting = PLACE.c + PLACE.a * (column + 0.5) * SIDE
            northing = PLACE.f + PLACE.e * (row + 0.5) * SIDE
            [longitude], [latitude] = transform(UTM, "OGC:CRS84", [easting], [northing])
            found.append((view.pixel(longitude, latitude), fields()[:, row, column]))
    return found


def assert_shown(picture: Pixels, view: View) -> None:
    """Each field has its colour around its middle, and nothing is drawn but fields."""
    places = middles(view)
    assert all(view.inside(place[None], 20)[0] for place, _ in places)
    for (x, y), colour in places:
        near = picture[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16]
        assert np.abs(near - colour.astype(int)).max() <= 2
    x, y = np.array([place for place, _ in places]).T
    # From middle to middle there are all fields but half a field on each side.
    across, down = (x.max() - x.min()) / (COLUMNS - 1), (y.max() - y.min()) / (ROWS - 1)
    area = (np.abs(picture - 255).max(axis=2) > 5).sum()
    assert 0.97 < area / (across * COLUMNS * down * ROWS) < 1.03
