"""GeoTIFFs as a source of a publish: each a scene of a raster layer, its COG waiting beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS
from sqlalchemy.engine import Connection

from layers.batches import Batch
from layers.errors import BadRaster
from layers.model import Schema, Title
from layers.rasters import pieces
from layers.schemas.profiles import profile_schemas
from spatial.crs import parse_crs

if TYPE_CHECKING:
    from layers.rasters.cogs import Made
    from layers.rasters.statistics import BandStatistics

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ENDINGS = (".tif", ".tiff", ".gtiff")
_TYPES: Mapping[str, pa.DataType] = {
    "scene": pa.string(),
    "bands": pa.int64(),
    "colors": pa.string(),
    "dtype": pa.string(),
    "nodata": pa.string(),
    "codes": pa.bool_(),
    "width": pa.int64(),
    "height": pa.int64(),
    "pixel_width": pa.float64(),
    "pixel_height": pa.float64(),
    "grid_crs": pa.string(),
    "statistics": pa.string(),
    "size_bytes": pa.int64(),
    "sha256": pa.string(),
    "until": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Scene:
    """One raster that is ready to be published.

    Attributes
    ----------
    path : Path
        Of its COG.
    values : mapping of str to value
        Of its fields.
    """

    path: Path
    sha256: str
    outline: shapely.MultiPolygon
    values: Mapping[str, Any]
    span: tuple[float, float] | None


@dataclass(frozen=True)
class RasterSource:
    """Scenes as rows of a source (`layers.sources.Source`)."""

    name: str
    scenes: tuple[Scene, ...]
    crs: CRS | None = field(default_factory=lambda: parse_crs("OGC:CRS84"))
    has_geometry: bool = True

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """The fields of scenes."""
        return _TYPES

    @property
    def rows(self) -> int | None:
        """How many scenes there are."""
        return len(self.scenes)

    def batches(self) -> Iterator[Batch]:
        """Yield the scenes."""
        columns = {
            name: pa.array([scene.values[name] for scene in self.scenes], kind)
            for name, kind in _TYPES.items()
        }
        shapes = np.array([scene.outline for scene in self.scenes], dtype=object)
        yield Batch(1, columns, shapes)

    def keep(self, connection: Connection) -> None:
        """Write the COGs that the store does not have yet, within the caller's transaction."""
        for scene in self.scenes:
            pieces.write(connection, scene.sha256, scene.path)


def is_raster(path: Path) -> bool:
    """Return whether a file is a TIFF, or is called so."""
    if path.name.lower().endswith(_ENDINGS):
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


@contextmanager
def opened_rasters(
    paths: Sequence[Path],
    *,
    names: Sequence[str] = (),
    crs: CRS | None = None,
    codes: bool = False,
    until: datetime | None = None,
    folder: Path | None = None,
) -> Iterator[RasterSource]:
    """Make COGs of GeoTIFFs, to be published while they are there.

    Parameters
    ----------
    names : sequence of str
        What the scenes are called; the files' names without their endings where absent.
    crs : CRS, optional
        Of files that state none.
    codes : bool
        Whether values are codes, such as classes of land cover, which are never averaged.
    until : datetime, optional
        Until when they are so; for good where absent.
    folder : Path, optional
        Where the COGs stand meanwhile; the system's for temporary files where absent.

    Raises
    ------
    BadRaster
        Naming the file, what is wrong with it, and the remedy.
    """
    called = list(names) or [path.name.partition(".")[0] for path in paths]
    _check_names(paths, called)
    with TemporaryDirectory(prefix="shikong-rasters-", dir=folder) as place:
        scenes = []
        for number, (path, name) in enumerate(zip(paths, called, strict=True)):
            target = Path(place) / f"{number}.tif"
            scene = _make_scene(path, target, name, crs, codes)
            values = {**scene.values, "until": until}
            scenes.append(dataclasses.replace(scene, values=values))
        title = paths[0].name if len(paths) == 1 else f"{len(paths)} rasters"
        yield RasterSource(title, tuple(scenes))


def scene_schema(layer_id: str, source: RasterSource) -> Schema:
    """Return the schema of a new raster layer: values of its first scenes span its colours."""
    schema = profile_schemas("raster")["scenes"]
    spans = [scene.span for scene in source.scenes if scene.span is not None]
    span = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None
    if span is not None and not span[0] < span[1]:
        span = None
    return dataclasses.replace(schema, title=Title(layer_id, layer_id), value_range=span)


def _check_names(paths: Sequence[Path], called: Sequence[str]) -> None:
    if len(called) != len(paths):
        raise BadRaster(f"{len(paths)} files, and {len(called)} names of scenes; give each one")
    for name in called:
        if not re.fullmatch(r"\S(.{0,98}\S)?", name):
            raise BadRaster(f"{name!r} can't be the name of a scene; give --scene NAME")
        if called.count(name) > 1:
            raise BadRaster(f"two files would be scene {name!r}; name each with --scene")
    for path in paths:
        if not path.is_file():
            raise BadRaster(f"{path} does not exist; check the path")
        if not path.stat().st_size:
            raise BadRaster(f"{path} is empty; export it again")


def _make_scene(path: Path, target: Path, name: str, crs: CRS | None, codes: bool) -> Scene:
    # Late: GDAL is 30 MB that a server which publishes nothing does without.
    from layers.rasters.cogs import make_cog
    from layers.rasters.footprints import footprint
    from layers.rasters.statistics import measure

    made = make_cog(path, target, crs=crs, codes=codes)
    outline = footprint(path.name, made.transform, made.width, made.height, made.crs)
    measured = measure(target, path.name, codes=made.codes)
    with target.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    values = _values(name, made, measured) | {
        "sha256": sha256,
        "size_bytes": target.stat().st_size,
    }
    return Scene(target, sha256, outline, values, _span(made, measured))


def _values(name: str, made: Made, measured: Sequence[BandStatistics]) -> dict[str, Any]:
    from layers.rasters.statistics import as_text

    return {
        "scene": name,
        "bands": len(made.colors),
        "colors": ",".join(made.colors),
        "dtype": made.dtype,
        "nodata": None if made.nodata is None else f"{made.nodata:.17g}",
        "codes": made.codes,
        "width": made.width,
        "height": made.height,
        "pixel_width": abs(made.transform.a),
        "pixel_height": abs(made.transform.e),
        "grid_crs": made.crs.to_string() if made.crs.to_authority() else made.crs.name,
        "statistics": as_text(measured),
    }


def _span(made: Made, measured: Sequence[BandStatistics]) -> tuple[float, float] | None:
    """The values that a layer's colours span; none where the file has colours of its own."""
    if "palette" in made.colors or ("red" in made.colors and made.dtype == "uint8"):
        return None
    spans = [(b.low, b.high) for b in measured if b.low is not None and b.high is not None]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None
