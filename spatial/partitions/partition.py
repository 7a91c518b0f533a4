"""One file of points, assigned to grids, into one file of answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spatial.errors import BadInstant, BadTarget, SpatialError, UnreadableIndex
from spatial.frames import check_same_crs
from spatial.grids import GridIndex
from spatial.partitions.sources import Source, open_source
from spatial.partitions.tables import REPEATING, Texts
from spatial.placing import STATUSES, assign_arrays, check_distance

Stamp: TypeAlias = tuple[int, int]

BATCH: Final = 1 << 17
PARTIAL: Final = ".partial-"


@dataclass(frozen=True, slots=True)
class Partition:
    """What came of a file of points.

    Attributes
    ----------
    file, target : str
        What was read, and what was written.
    rows : int
        How many points it has.
    seconds, cpu_seconds : float
        What it took, by the clock and of the processor.
    inside, boundary, several, nearest, unassigned : int
        Answers by status: together the rows, times the grid systems.
    """

    file: str
    target: str
    rows: int
    seconds: float
    cpu_seconds: float
    inside: int
    boundary: int
    several: int
    nearest: int
    unassigned: int


def assign_partition(
    source: str | Path,
    grids: GridIndex | str | Path,
    target: str | Path,
    *,
    at: str | None = None,
    key: str | None = None,
    tolerance_m: float = 0.0,
    batch: int = BATCH,
) -> Partition:
    """Do what `spatial.assignment.assign` does from file to file, in little memory.

    Parameters
    ----------
    source : str or Path
        GeoParquet: points as WKB, or in GeoParquet's own encoding, with or without Z.
    grids : GridIndex, str or Path
        The grids, or the file that `GridIndex.save` wrote: a process maps it once.
    target : str or Path
        The Parquet file to write. It is there whole or not at all; an old one is replaced.
    at : str, optional
        Column of the points with the instant, aware; needed where the grids have periods.
    key : str, optional
        Column of the points with the id; without it they are called by their number in the file.
    tolerance_m : float
        As in `assign`.
    batch : int
        How many points are in memory at a time; each batch becomes a row group.

    Returns
    -------
    Partition
        The file has the columns and rows of `assign`. Codes and names of systems are whole
        numbers where all are, else text.

    Raises
    ------
    UnreadablePoints, MissingColumn, MissingCRS, UnknownCRS, MixedCRS, WrongGeometryType
        If the file is not as described; the text begins with its name.
    MissingIds
        If an id is missing.
    BadInstant
        If instants are not aware, or there are none and the grids have periods.
    BadDistance
        If the tolerance is negative or not finite.
    BadTarget
        If the target is the source.
    UnreadableIndex
        If the grids can't be read.

    Examples
    --------
    >>> import geopandas as gpd, shapely, tempfile
    >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> calls = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.5, 2], [0.5, 2]), crs=4326)
    >>> with tempfile.TemporaryDirectory() as name:
    ...     calls.to_parquet(f"{name}/calls.parquet")
    ...     made = assign_partition(
    ...         f"{name}/calls.parquet", GridIndex.build(grid), f"{name}/answers.parquet"
    ...     )
    >>> made.rows, made.inside, made.unassigned
    (2, 1, 1)
    """
    wall, cpu = time.perf_counter(), time.thread_time()
    check_distance(tolerance_m)
    known = grids if isinstance(grids, GridIndex) else open_grids(str(grids), stamp(grids))
    if Path(source).absolute() == Path(target).absolute():
        raise BadTarget(f"{target} is what is to be read; name another file to write")
    with open_source(source, key=key, at=at) as points:
        check_source(points, known)
        with _written_whole(Path(target)) as partial:
            counts = _write(points, known, tolerance_m, batch, partial)
        rows = points.rows
    took = (time.perf_counter() - wall, time.thread_time() - cpu)
    by_status = dict(zip(STATUSES.tolist(), counts.tolist(), strict=True))
    return Partition(str(source), str(target), rows, *took, **by_status)


def check_source(points: Source, grids: GridIndex) -> None:
    """Refuse points in another reference system than the grids, or without the instants they need.

    Raises
    ------
    MixedCRS, BadInstant
    """
    try:
        check_same_crs(points, grids)
        if grids.timed and points.at is None:
            raise BadInstant(
                "the grids are of several editions; name the points' instants with at="
            )
    except SpatialError as error:
        raise type(error)(f"{points.path}: {error}") from None


def stamp(path: str | Path) -> Stamp:
    """Return what tells one state of a file from another: its size and when it was written.

    Raises
    ------
    UnreadableIndex
        If there is no such file.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise UnreadableIndex(f"{path} can't be read ({error}); build the index anew") from None
    return found.st_size, found.st_mtime_ns


def open_grids(path: str, expected: Stamp) -> GridIndex:
    """Map grids into the memory of this process, once for all partitions.

    Raises
    ------
    UnreadableIndex
        If the file is no longer, or not on this machine, the one that was meant.
    """
    # Each time, for what is mapped changes with a file that is written over.
    if stamp(path) != expected:
        raise UnreadableIndex(
            f"{path} is not the file that the work began with; leave it as it is until the end, "
            "and where machines have copies, copy it with its time"
        )
    return _mapped(path, expected)


@lru_cache(maxsize=2)
def _mapped(path: str, _: Stamp) -> GridIndex:
    return GridIndex.open(path)


@contextmanager
def _written_whole(target: Path) -> Iterator[Path]:
    """Give a name to write to; what is there at the end becomes the target."""
    partial = target.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    try:
        yield partial
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write(
    points: Source, grids: GridIndex, tolerance_m: float, batch: int, target: Path
) -> NDArray[np.int64]:
    """Write the answers, and count them by status."""
    texts = Texts.of(grids, tolerance_m)
    schema = texts.schema(points.id_type)
    counts = np.zeros(len(STATUSES), dtype=np.int64)
    with pq.ParquetWriter(target, schema, use_dictionary=list(REPEATING)) as file:
        for part in points.batches(batch):
            answers = assign_arrays(*part[1:], grids, tolerance_m=tolerance_m)
            for answer in answers:
                counts += np.bincount(answer.status, minlength=len(counts))
            file.write_batch(texts.table(part.ids, answers))
    return counts
