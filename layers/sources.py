"""The door to all that can be published: any file as batches of rows, Arrow columns and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyproj import CRS

from layers.batches import Batch, close_rings
from layers.errors import BadSource
from layers.sourcing.asked import Asked
from layers.sourcing.choosing import TEXTS, find_place
from layers.sourcing.gdal import GdalSource
from layers.sourcing.networks import NetworkSource
from layers.sourcing.parquet import ParquetSource
from layers.sourcing.sheets import SheetSource
from layers.sourcing.texts import TextSource


class Source(Protocol):
    """What a publish reads from."""

    @property
    def name(self) -> str:
        """What messages and the provenance call it."""

    @property
    def crs(self) -> CRS | None:
        """The reference system that it states, None where it states none."""

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Its attributes and their Arrow types, in order."""

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is cheap to know."""

    @property
    def has_geometry(self) -> bool:
        """Whether it has a geometry column."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows from the first on; each call begins anew."""


def open_source(
    path: Path,
    asked: Asked | None = None,
    *,
    encoding: str | None = None,
    coordinates: tuple[str, str] | None = None,
) -> Source:
    """Open a file as a Source.

    Parameters
    ----------
    path : Path
        Anything that GDAL's vector drivers read, GeoParquet, CSV, Excel's ``.xlsx``, networks of
        EPANET and SWMM (``.inp``); alone, or in an archive of the kinds ``.zip``, ``.tar``,
        ``.tgz`` and ``.gz``, which is read in place; a folder with one of these in it.
    asked : Asked, optional
        What is said of it: which layer of several, how its text is encoded.
    encoding, coordinates : optional
        The same two as arguments.

    Raises
    ------
    BadSource
        Where the file is missing, empty, no geodata, or holds several layers and none is named.
    """
    if not path.exists():
        raise BadSource(f"{path} does not exist; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise BadSource(f"{path} is empty; export it again")
    asked = asked or Asked(encoding=encoding, coordinates=coordinates)
    return with_closed_rings(_open(path, asked), asked)


def with_closed_rings(source: Source, asked: Asked) -> Source:
    """Return a source whose rings are closed, where that was asked for."""
    return ClosedRings(source) if asked.rings else source


@dataclass(frozen=True)
class ClosedRings:
    """Another source, with its rings closed."""

    source: Source

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def crs(self) -> CRS | None:
        """The source's."""
        return self.source.crs

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """The source's."""
        return self.source.types

    @property
    def rows(self) -> int | None:
        """The source's."""
        return self.source.rows

    @property
    def has_geometry(self) -> bool:
        """Whether the source has a geometry column."""
        return self.source.has_geometry

    @property
    def read_as(self) -> Any:
        """How the source is read, where it says so."""
        return getattr(self.source, "read_as", ())

    def batches(self) -> Iterator[Batch]:
        """Yield the rows, each batch mended; those in which rings were open name them."""
        yield from map(close_rings, self.source.batches())


def _open(path: Path, asked: Asked) -> Source:
    place, asked = find_place(path, asked)
    if asked.layer is not None and place.suffix in (*TEXTS, ".parquet", ".geoparquet"):
        raise BadSource(f"{place.name} has no layers; leave --source-layer {asked.layer} out")
    if place.suffix in TEXTS:
        return TextSource(place, asked)
    if place.suffix in (".parquet", ".geoparquet"):
        if place.packing is not None:
            raise BadSource(f"{place.name}: Parquet is squeezed already; publish it unpacked")
        return ParquetSource(path)
    if place.suffix == ".xlsx":
        return SheetSource(place, asked)
    if place.suffix == ".xls":
        raise BadSource(f"{place.name} is of an old Excel; save it as .xlsx")
    if place.suffix == ".inp":
        return NetworkSource(place, asked)
    return GdalSource(place, asked)
