"""Files that GDAL reads, as batches of rows; a module of its own, as GDAL takes 30 MB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyogrio.raw
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, batch_of, first_line, geometry_name, stated_crs
from layers.errors import BadSource

_SINGLE = {".json", ".geojson", ".topojson", ".shp", ".fgb"}
_ARROW_TYPES = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "datetime64[D]": pa.date32(),
    "datetime64[ms]": pa.timestamp("ms"),
}
_ARCHIVES = {".gz": "/vsigzip/", ".zip": "/vsizip/", ".tgz": "/vsitar/", ".tar": "/vsitar/"}
# GDAL would write the size of a .gz beside it, which a read-only folder does not bear.
pyogrio.set_gdal_config_options({"CPL_VSIL_GZIP_WRITE_PROPERTIES": "NO"})


@dataclass(frozen=True)
class GdalSource:
    """A file read by GDAL through pyogrio."""

    path: Path
    encoding: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def _address(self) -> str:
        if self.path.is_dir():
            return str(self.path)
        return f"{_ARCHIVES.get(self.path.suffix.lower(), '')}{self.path.resolve()}"

    @cached_property
    def _info(self) -> Mapping[str, Any]:
        with self._errors():
            info: Mapping[str, Any] = pyogrio.read_info(
                self._address, layer=self._layer, encoding=self.encoding, force_feature_count=True
            )
            return info

    @cached_property
    def _layer(self) -> str | int | None:
        """The first layer of a file that can hold several; others are not asked, which is dear."""
        if self.path.suffix.lower() in _SINGLE or self.path.name.lower().endswith("json.gz"):
            return None
        layers = pyogrio.list_layers(self._address)
        if len(layers) == 0:
            raise BadSource(f"{self.path} holds no layer; export it again")
        return str(layers[0][0])

    @property
    def crs(self) -> CRS | None:
        """The reference system that the file states."""
        stated = self._info["crs"]
        return None if stated is None else stated_crs(self.name, stated)

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The attributes, as the driver states them."""
        # Asking a reader would have GDAL parse a GeoJSON once more.
        return {
            str(name): _ARROW_TYPES.get(str(kind), pa.string())
            for name, kind in zip(self._info["fields"], self._info["dtypes"], strict=True)
        }

    @property
    def rows(self) -> int | None:
        """The feature count."""
        count = int(self._info["features"])
        return count if count >= 0 else None

    @property
    def has_geometry(self) -> bool:
        """Whether the layer has a geometry column."""
        return self._info["geometry_type"] is not None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        row = 1
        with self._reader(BATCH_ROWS) as (meta, reader):
            geometry = geometry_name(meta, reader.schema)
            for batch in self._checked(reader):
                yield batch_of(row, pa.Table.from_batches([batch]), geometry)
                row += batch.num_rows

    @contextmanager
    def _reader(self, size: int) -> Iterator[tuple[dict[str, Any], Any]]:
        with self._errors():
            opened = pyogrio.raw.open_arrow(
                self._address,
                layer=self._layer,
                encoding=self.encoding,
                batch_size=size,
                use_pyarrow=True,
            )
            meta, reader = opened.__enter__()
        try:
            yield meta, reader
        finally:
            opened.__exit__(None, None, None)

    def _checked(self, reader: Any) -> Iterator[Any]:
        while True:
            with self._errors():
                batch = next(reader, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise BadSource(
                f"{self.path} is no geodata that can be read ({first_line(error)}); "
                "give a Shapefile, GeoPackage, GeoJSON, GeoParquet, CSV or the like"
            ) from None
        except (UnicodeDecodeError, pa.ArrowInvalid) as error:
            raise BadSource(
                f"{self.path}: text can't be read ({first_line(error)}); "
                "state --encoding, such as GBK"
            ) from None
