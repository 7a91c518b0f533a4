"""The floor: the same SELECT, written by hand, prepared, and run by pgbench."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import conninfo, sql

from layers.servers.postgres import find_server
from served.clocks import Spent, children, cpu_seconds
from served.questions import FIELDS, TABLE, Question

# As the store's own reads have them, but for the plan: it is made once here.
_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0"
_LOOK_S = 0.01
_WARM_S = 0.5
_MOST_S = 120


@dataclass(frozen=True)
class Floor:
    """One SELECT, or a script of some, that pgbench runs again and again.

    Attributes
    ----------
    variables : sequence of str
        Of the script, as ``name=value``.
    options : str
        Of the connection, as libpq takes them.
    """

    dsn: str
    postmaster: int
    script: Path
    seconds: float
    variables: Sequence[str] = ()
    options: str = _OPTIONS

    def ask(self, times: int) -> Spent:
        """Run it for as long as the others are asked, and return what one time took.

        What it takes to connect, and to read catalogues and the like for the first time, is left
        out: the clocks are read between transactions, by the log that pgbench writes of them.
        """
        whole = math.ceil(self.seconds + _WARM_S) + 1
        while (found := self._metered(whole)) is None:
            whole *= 2
            if whole > _MOST_S:
                raise SystemExit(f"pgbench: one run of {self.script} takes too long")
        return found

    def _metered(self, whole: int) -> Spent | None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            looks = self._run(["-T", str(whole), "-l", f"--log-prefix={log}"])
            (written,) = Path(folder).glob("log.*")
            # Client, number, microseconds, script, and when it was over: seconds, microseconds.
            words = [line.split() for line in written.read_text().splitlines()]
        return _between(looks, [int(w[4]) + int(w[5]) / 1e6 for w in words])

    def _run(self, more: Sequence[str]) -> list[_Look]:
        command = [find_server().programs / "pgbench", "-n", "-M", "prepared", "-c", "1"]
        command += ["-f", str(self.script), *(f"-D{v}" for v in self.variables), *more]
        known, new, looks = set(children(self.postmaster)), list[int](), list[_Look]()
        with subprocess.Popen(
            command,
            env=_environment(self.dsn, self.options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while process.poll() is None:
                new = new or [pid for pid in children(self.postmaster) if pid not in known]
                with suppress(OSError):
                    client, backend = cpu_seconds(process.pid), sum(map(cpu_seconds, new))
                    looks.append(_Look(time.time(), client, backend))
                time.sleep(_LOOK_S)
            if process.returncode:
                raise SystemExit(f"pgbench: {process.stderr.read() if process.stderr else ''}")
        # Its backend ends a little later, and all its CPU would be taken from whoever comes next.
        while not set(new).isdisjoint(children(self.postmaster)):
            time.sleep(_LOOK_S)
        return looks


@dataclass(frozen=True)
class _Look:
    at: float
    client: float
    backend: float


def _between(looks: Sequence[_Look], ends: Sequence[float]) -> Spent | None:
    """Return what one transaction took, of those between two looks; None where there were none."""
    if not ends:
        return None
    warm = [end for end in ends if end >= ends[0] + _WARM_S]
    begin = next((look for look in looks if warm and look.at >= warm[0]), None)
    # The last of all is over when the backend goes, which no look sees.
    over = [look for look in looks if begin and begin.at < look.at <= ends[-1]]
    last = max((end for end in ends if over and end <= over[-1].at), default=0.0)
    close = next((look for look in over if look.at >= last), None)
    number = sum(begin.at < end <= close.at for end in ends) if begin and close else 0
    if begin is None or close is None or not number:
        return None
    spent = Spent(close.client - begin.client, close.backend - begin.backend, close.at - begin.at)
    return spent / number


def write_floor(
    question: Question, dsn: str, postmaster: int, script: Path, seconds: float
) -> Floor:
    """Write the SELECT of a question down for pgbench."""
    script.write_text(select(question) + ";\n")
    script.chmod(0o644)
    return Floor(dsn, postmaster, script, seconds)


def select(question: Question) -> str:
    """Return the SELECT that somebody would write by hand for a question about the present.

    >>> select(Question("one", feature="7")).endswith(" AND _fid = '7' LIMIT 10")
    True
    """
    columns = ", ".join(["_fid", "_valid_from", "nullif(_valid_to, 'infinity')", *FIELDS])
    shape = "ST_AsGeoJSON(ST_Transform(_geom, 4326), 9, 0)"
    found = f"SELECT {columns}, {shape} FROM {TABLE}{_where(question)}"
    if question.feature is None:
        found += " ORDER BY _fid, _valid_from"
    return f"{found} LIMIT {question.limit}"


def count(question: Question) -> str:
    """Return the SELECT that counts what a question is about."""
    return f"SELECT count(*) FROM {TABLE}{_where(question)}"


def _where(question: Question) -> str:
    now = f"'{datetime.now(UTC).isoformat()}'"
    conditions = [f"_valid_from <= {now} AND _valid_to > {now}"]
    if question.feature is not None:
        conditions.append(f"_fid = {_literal(question.feature)}")
    if question.bbox is not None:
        west, south, east, north = question.bbox
        box = f"ST_MakeEnvelope({west}, {south}, {east}, {north}, 4490)"
        conditions.append(f"ST_Intersects(_geom, {box})")
    if question.between is not None:
        low, high = map(_literal, question.between)
        conditions.append(f'left(parcel_code, 255) COLLATE "C" BETWEEN {low} AND {high}')
    if question.within is not None:
        shape = f"ST_GeomFromText({_literal(question.within)}, 4490)"
        conditions.append(f"ST_Intersects(_geom, {shape})")
    return " WHERE " + " AND ".join(conditions)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _environment(dsn: str, options: str) -> Mapping[str, str]:
    where = conninfo.conninfo_to_dict(dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    own = {name: str(where[key]) for key, name in names.items() if key in where}
    return os.environ | own | {"PGOPTIONS": options}
