"""The process that GDAL is at work in: started, asked, heard, and ended with whatever it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow as pa

from layers.errors import BadSource
from layers.sourcing.drivers import ALLOWED, REFUSED

_SETTINGS = {
    # GDAL would write the size of a .gz beside it, which a read-only folder does not bear.
    "CPL_VSIL_GZIP_WRITE_PROPERTIES": "NO",
    # What a file says is no reason to ask a server, or to open another file.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:9",
    "GDAL_DRIVER_PATH": "disable",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "OGR_SQLITE_STATIC_VIRTUAL_OGR": "NO",
    # Batches end early where rows are large.
    "OGR_ARROW_MEM_LIMIT": str(64 << 20),
    "LANG": "C.UTF-8",
}
_SCRIPT = Path(__file__).with_name("gdal_process.py")
_ROOT = str(_SCRIPT.parents[2])
_TOLD_BYTES = 1 << 16
_FORMATS = "a Shapefile, GeoPackage, GeoJSON, GeoParquet, CSV or the like"


@dataclass(frozen=True)
class Job:
    """What GDAL is to do.

    Attributes
    ----------
    name : str
        What messages call the file.
    task : str
        ``look``, to say what is in it, or ``read``.
    address : str
        What GDAL opens.
    layer : str or None
        Of several.
    single : bool
        Whether the format has one alone, so that its name does not matter.
    curves : bool
        Whether arcs may become straight segments.
    options : mapping of str to str
        Of GDAL's drivers, for opening.
    writes : int
        How many bytes a file may have that it writes.
    seconds : int
        Of work that it may take.
    """

    name: str
    task: str
    address: str
    layer: str | None
    single: bool
    encoding: str | None
    curves: bool
    batch_rows: int
    options: Mapping[str, str]
    writes: int
    seconds: int


@contextmanager
def asked_gdal(job: Job) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
    """Have GDAL do something in a process of its own.

    Yields
    ------
    dict and stream
        What it says first, and what follows. Whoever reads on to the end hears here whether
        that was the end.

    Raises
    ------
    BadSource
        For whatever is wrong with the file: damaged, too large, not to be decided.
    """
    skipped = set(REFUSED)
    for _ in range(2):
        with _process(job, skipped) as (process, told):
            first = process.stdout.readline()
            if first:
                yield json.loads(first), process.stdout
                _hear_the_end(job, process, told)
                return
            code, said = process.wait(), _said(told)
        if said.get("kind") != "drivers":
            _refuse(job, code, said)
        # A newer GDAL has drivers that our list does not know: not with them.
        skipped |= set(said["text"].split(", "))
    _refuse(job, code, said)


def _hear_the_end(job: Job, process: Any, told: IO[bytes]) -> None:
    while process.stdout.read(1 << 16):
        pass
    code = process.wait()
    if code:
        _refuse(job, code, _said(told))


def read_tables(out: IO[bytes]) -> Iterator[pa.Table]:
    """Yield what came of a stream of batches; the process tells whether it was all."""
    try:
        for batch in pa.ipc.open_stream(out):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError):
        # No rows, and so no stream; or an end where there should be none.
        return


@contextmanager
def _process(job: Job, skipped: set[str]) -> Iterator[tuple[Any, IO[bytes]]]:
    # Nothing of our own environment: it holds the addresses and secrets of others.
    environment = {
        "OGR_SKIP": ",".join(sorted(skipped)),
        "PYTHONPATH": os.pathsep.join([_ROOT, *(p for p in sys.path if p.startswith("/"))]),
    }
    hearing, telling = os.pipe()
    with (
        os.fdopen(hearing, "rb") as told,
        subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(telling,),
            env=_SETTINGS | environment,
        ) as process,
    ):
        os.close(telling)
        try:
            assert process.stdin is not None  # noqa: S101 - asked for above
            asked = vars(job) | {"drivers": list(ALLOWED), "tell": telling}
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            yield process, told
        finally:
            # Whatever it is still at: nobody listens any more.
            process.kill()


def _said(told: IO[bytes]) -> dict[str, str]:
    try:
        said = json.loads(told.read(_TOLD_BYTES))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _refuse(job: Job, code: int, said: Mapping[str, str]) -> NoReturn:
    kind, text = said.get("kind"), said.get("text", "")
    line = (text.strip().splitlines() or [""])[0].replace(job.address, job.name)
    if kind == "layers":
        raise BadSource(_layers(job, *json.loads(text)))
    if kind == "curves":
        raise BadSource(
            f"{job.name}: {line}; say --repair curves, and arcs become straight lines of 4 degrees "
            "each, surfaces polygons"
        )
    if kind == "text":
        raise BadSource(f"{job.name}: text can't be read ({line}); state --encoding, such as GBK")
    if kind == "memory":
        raise BadSource(f"{job.name}: {line}; split the file, or take out what is so large")
    if code == -signal.SIGXCPU:
        raise BadSource(f"{job.name} takes more than {job.seconds} s of work; split the file")
    if kind is None:
        raise BadSource(
            f"{job.name} broke the program that reads it ({_ending(code)}); it is damaged, too "
            "large for what one file may take, or made to do harm"
        )
    raise BadSource(f"{job.name} is no geodata that can be read ({line}); give {_FORMATS}")


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _layers(job: Job, asked: str | None, names: list[str]) -> str:
    if not names:
        return f"{job.name} holds no layer; export it again"
    some = ", ".join(names[:50]) + (" ..." if len(names) > 50 else "")
    if asked is None:
        return f"{job.name} holds several layers; say which by --source-layer: {some}"
    return f"{job.name} has no layer {asked!r}; --source-layer is one of: {some}"
