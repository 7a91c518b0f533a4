"""Many files of points, assigned to grids by processes of Dask that share one index."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from spatial.errors import BadTarget, DuplicateIds, EmptyInput, IncompleteRun, MissingEngine
from spatial.grids import GridIndex
from spatial.partitions.partition import (
    BATCH,
    PARTIAL,
    Partition,
    Stamp,
    assign_partition,
    check_source,
    open_grids,
    stamp,
)
from spatial.partitions.sources import open_source
from spatial.placing import check_distance

Say = Callable[[str, int, int | None], None]

# What Dask does all the time, were there work or not, and nobody looks at here: it watches itself
# 50 times a second, and what runs 100 times. That is 6 % of a processor for a client and a worker.
# And it has workers give memory back at once (MALLOC_TRIM_THRESHOLD_, left out of what it sets),
# which they ask for again with the next batch, page by page.
QUIET: Final = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
}
_HERE: Final = "127.0.0.1:0"  # where Dask is to tell of its health; it does so to all else


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    """Say nothing."""


def assign_partitions(
    sources: Sequence[str | Path],
    grids: str | Path,
    target: str | Path,
    *,
    at: str | None = None,
    key: str | None = None,
    tolerance_m: float = 0.0,
    batch: int = BATCH,
    client: Any = None,
    workers: int | None = None,
    say: Say = _silent,
) -> pd.DataFrame:
    """Do what `assign_partition` does to many files, on many processes or machines, by Dask.

    Parameters
    ----------
    sources : sequence of str or Path
        GeoParquet files, in one folder or in a tree of folders.
    grids : str or Path
        The file that `GridIndex.save` wrote. Every process maps it into memory, so that those of
        a machine share one copy.
    target : str or Path
        The folder to make, empty if it is there. It has a file of the name of each source, in
        the same tree; it comes into being when all are done and counted, or not at all.
    at, key, tolerance_m, batch
        As in `assign_partition`.
    client : distributed.Client, optional
        Of a cluster, all of whose machines have the files under the same paths. Without it,
        processes of this machine are started, and ended.
    workers : int, optional
        How many to start; one for each processor where absent.
    say : callable
        Told of progress: stage, files done, files in all.

    Returns
    -------
    DataFrame
        A row for each source, in their order, with the columns that `Partition` has.

    Raises
    ------
    MissingEngine
        If Dask is not installed.
    EmptyInput, DuplicateIds
        If no file is named, or one twice.
    BadTarget
        If the target holds something.
    IncompleteRun
        If workers died again and again over a file, or rows are missing in the end.
    SpatialError
        As of `assign_partition`; all files are checked before the first is worked on.

    Notes
    -----
    A worker that dies is replaced by Dask, and its file done anew. A program that starts workers
    needs ``if __name__ == "__main__":``, as with `multiprocessing`. A cluster of one's own is best
    started with ``dask.config.set(QUIET)``.
    """
    engine = _engine()
    check_distance(tolerance_m)
    options = {"at": at, "key": key, "tolerance_m": tolerance_m, "batch": batch}
    places, grids, folder = _places(sources), Path(grids).absolute(), Path(target).absolute()
    seal = stamp(grids)
    rows, systems = _check(list(places), open_grids(str(grids), seal), options, say)
    with _made_whole(folder, places.values()) as partial:
        tasks = [(file, str(partial / place)) for file, place in places.items()]
        with start_workers(workers) if client is None else nullcontext(client) as workforce:
            done = _do(engine, workforce, tasks, (str(grids), seal, options), say)
        _count(done, rows, systems)
    found = pd.DataFrame([asdict(done[file]) for file in places])
    return found.assign(target=[str(folder / place) for place in places.values()])


@contextmanager
def start_workers(workers: int | None = None) -> Iterator[Any]:
    """Give a client of worker processes on this machine, which end with it.

    Parameters
    ----------
    workers : int, optional
        How many; one for each processor where absent.

    Raises
    ------
    MissingEngine
        If Dask is not installed.
    """
    engine = _engine()
    import dask

    # Workers run what they are sent, so they take it from none but this process: by certificates
    # that are made for the while.
    closed = {"threads_per_worker": 1, "dashboard_address": _HERE, "security": True}
    with (
        dask.config.set(QUIET),
        engine.LocalCluster(n_workers=workers, **closed) as cluster,
        engine.Client(cluster) as client,
    ):
        yield client


def _engine() -> ModuleType:
    try:
        import distributed
    except ImportError as error:
        raise MissingEngine(
            f"to spread work over processes takes Dask ({error}): pip install 'shikong[dask]'"
        ) from None
    engine: ModuleType = distributed
    return engine


def _places(sources: Sequence[str | Path]) -> Mapping[str, Path]:
    """Return where the answers to each source belong, below the target."""
    files = [Path(source).absolute() for source in sources]
    if not files:
        raise EmptyInput("no files to read; name at least one")
    again = [file for file, count in Counter(files).items() if count > 1]
    if again:
        raise DuplicateIds(f"{again[0]} is named twice; name each file once")
    top = Path(os.path.commonpath([file.parent for file in files]))
    return {str(file): file.relative_to(top) for file in files}


def _check(
    files: Sequence[str], grids: GridIndex, options: Mapping[str, Any], say: Say
) -> tuple[Mapping[str, int], int]:
    """Check all files before the first is worked on; return their rows, and how many systems."""
    rows = {}
    for done, file in enumerate(files):
        say("check", done, len(files))
        with open_source(file, key=options["key"], at=options["at"]) as source:
            check_source(source, grids)
            rows[file] = source.rows
    say("check", len(files), len(files))
    return rows, len(grids.systems)


@contextmanager
def _made_whole(folder: Path, places: Any) -> Iterator[Path]:
    """Give a folder to write to; what is there at the end becomes the target."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadTarget(f"{folder} holds something; name a new folder, or empty it")
    partial = folder.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    for parent in {(partial / place).parent for place in places}:
        parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(folder)
    except BaseException:
        # renamed first, so that a worker that is still at it can't add to what is being removed
        gone = partial.with_name(f"{partial.name}-gone")
        partial.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)
        raise
    for left in folder.rglob(f"{PARTIAL}*"):  # by workers that died
        left.unlink()


def _do(
    engine: ModuleType,
    client: Any,
    tasks: Sequence[tuple[str, str]],
    shared: tuple[str, Stamp, Mapping[str, Any]],
    say: Say,
) -> Mapping[str, Partition]:
    """Have the workers do the tasks."""
    # Not pure: what counts is the file that is written, which may be gone when asked for again.
    futures = client.map(_work, tasks, shared=shared, pure=False, key="assign")
    files = dict(zip(futures, (file for file, _ in tasks), strict=True))
    done = {}
    say("assign", 0, len(tasks))
    try:
        for future in engine.as_completed(futures):
            file = files[future]
            done[file] = _result(engine, future, file)
            # else it would be done anew, should the worker that has the result die
            future.release()
            say("assign", len(done), len(tasks))
    finally:
        client.cancel([future for future, file in files.items() if file not in done])
    return done


def _work(task: tuple[str, str], *, shared: tuple[str, Stamp, Mapping[str, Any]]) -> Partition:
    """Do one file in a worker, where the grids stay mapped for the next."""
    path, seal, options = shared
    return assign_partition(task[0], open_grids(path, seal), task[1], **options)


def _result(engine: ModuleType, future: Any, file: str) -> Partition:
    try:
        partition: Partition = future.result()
    except (engine.KilledWorker, engine.CancelledError) as error:
        raise IncompleteRun(
            f"{file} was not answered ({error}), and no answers are kept; see the workers' logs, "
            "and give them more memory, or a smaller batch"
        ) from None
    return partition


def _count(done: Mapping[str, Partition], rows: Mapping[str, int], systems: int) -> None:
    """Refuse what does not have as many answers as it must, by the files themselves."""
    for file, partition in done.items():
        answers = _rows(partition.target)
        if not (answers == rows[file] * systems and partition.rows == rows[file]):
            raise IncompleteRun(
                f"{file} has {rows[file]} points for {systems} grid systems, but {answers} "
                "answers, and none are kept; leave the files as they are until the end"
            )


def _rows(target: str) -> int:
    try:
        return int(pq.read_metadata(target).num_rows)
    except (OSError, pa.ArrowException):
        return 0
