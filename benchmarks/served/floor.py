"""The floor: the same SELECT, written by hand, prepared, and run by pgbench."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import conninfo, sql

from layers.servers.postgres import find_server
from served.clocks import Spent, run
from served.questions import FIELDS, TABLE, Question

# As the store's own reads have them, but for the plan: it is made once here.
_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0"
_FEW = 3


@dataclass(frozen=True)
class Floor:
    """One SELECT that pgbench runs again and again."""

    dsn: str
    postmaster: int
    script: Path

    def ask(self, times: int) -> Spent:
        """Run it so many times more than a few, and return what one of these took.

        What it takes to connect, and to read the catalogues for the first time, is in both runs.
        """
        return (self._run(times + _FEW) - self._run(_FEW)) / times

    def _run(self, times: int) -> Spent:
        pgbench = find_server().programs / "pgbench"
        words = ["-n", "-M", "prepared", "-c", "1", "-t", str(times), "-f", str(self.script)]
        return run([pgbench, *words], self.postmaster, _environment(self.dsn)).spent


def write_floor(question: Question, dsn: str, postmaster: int, script: Path) -> Floor:
    """Write the SELECT of a question down for pgbench."""
    script.write_text(select(question) + ";\n")
    script.chmod(0o644)
    return Floor(dsn, postmaster, script)


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
        conditions.append(f"parcel_code BETWEEN {low} AND {high}")
    if question.within is not None:
        shape = f"ST_GeomFromText({_literal(question.within)}, 4490)"
        conditions.append(f"ST_Intersects(_geom, {shape})")
    return " WHERE " + " AND ".join(conditions)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _environment(dsn: str) -> Mapping[str, str]:
    where = conninfo.conninfo_to_dict(dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    own = {name: str(where[key]) for key, name in names.items() if key in where}
    return os.environ | own | {"PGOPTIONS": _OPTIONS}
