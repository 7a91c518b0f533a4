"""Features over HTTP beside tipg, pygeoapi, pg_featureserv and the bare SELECT.

``make peers`` installs the others. ``make bench-features``, or ``.venv/bin/python
benchmarks/features.py [--features N] [--versions N] [--parts ...]``, makes a cluster of its own in
``--data`` (kept, as to publish takes long), has all of them serve the same table, and prints rows
of docs/benchmarks.md. CPU is that of the server's process and of all processes of PostgreSQL.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from city.editions import edited
from city.files import write_parquet
from city.parcels import parcels
from measuring import Server as Postgres
from served import crowd, exports, floor
from served.clocks import Meter
from served.parcels import LAYER, SCHEMA, middle_of, publish_editions
from served.questions import Question, Samples, take_samples
from served.rows import Row, print_refusals, print_table, shown, take_turns, times
from served.servers import PEER_KINDS, Place, Server, Shikong, make_view
from served.visits import Unanswered, prepare

from layers.servers.embedded import running_cluster

PAGES = (10, 100, 1_000, 10_000)
FLOOR = "floor"
OURS = Shikong.name
OTHERS = tuple(kind.name for kind in PEER_KINDS)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bench:
    """The cluster, the servers that run on it, and what to ask them."""

    dsn: str
    postmaster: int
    folder: Path
    servers: Mapping[str, Server]
    samples: Samples
    options: argparse.Namespace

    def row(
        self, question: Question, bar: str = "", *, hand: str | None = None, wanted: str = ""
    ) -> Row:
        """Return the row of a question, of all who can answer it.

        Parameters
        ----------
        hand : str, optional
            What the statement written by hand is called; nobody runs one where absent.
        wanted : str
            The only server that is asked; all where empty.
        """
        row = Row(question.title, {}, bar=bar)
        for name, server in self.servers.items():
            if wanted in ("", name):
                try:
                    visit = prepare(server, question, self.samples)
                except Unanswered as why:
                    row.refused[name] = str(why)
                    continue
                meter = Meter(server.pid, self.postmaster)
                row.asks[name] = lambda n, visit=visit, meter=meter: visit.ask(meter, n)
        if hand is not None:
            script = self.folder / f"{question.title.replace(' ', '_').replace('/', '_')}.sql"
            least = floor.write_floor(question, self.dsn, self.postmaster, script)
            row.asks[hand] = least.ask
        return row

    def measure(self, rows: Sequence[Row]) -> None:
        """Let all of them answer in turns."""
        take_turns(rows, self.options.rounds, self.options.seconds)


def measure_pages(bench: Bench) -> None:
    """Pages of items, one item and what has not changed, beside the floor and the others."""
    some = bench.samples
    rows = [
        bench.row(
            Question(f"items page of {n:,}", n), "2 x the floor + 0.3 ms; 1/8 of tipg", hand=FLOOR
        )
        for n in PAGES
        if n <= some.features
    ]
    whole = Question("page of 10 with an exact count, city-wide box", bbox=some.extent, count=True)
    rows.append(bench.row(whole, "1/5 of tipg"))
    one = Question("one item by id", 1, feature=some.some[0])
    rows.append(bench.row(one, "0.6 ms", hand=FLOOR))
    for question in (one, Question("items page of 10", 10)):
        again = dataclasses.replace(question, title=f"{question.title}, 304", unchanged=True)
        rows.append(bench.row(again, "0.15 ms", wanted=OURS))
    bench.measure(rows)
    print_costs(rows)
    print_scans(bench, rows[-1])


def print_costs(rows: Sequence[Row]) -> None:
    """Print what answers took, and what these are of each other."""
    titles = ["CPU, ms an answer", OURS, FLOOR, "of the floor", *OTHERS, "tipg of ours", "bar"]
    lines = [
        [
            row.title,
            *(row.cell(OURS), row.cell(FLOOR), row.ratio(OURS, FLOOR)),
            *(row.cell(name) for name in OTHERS),
            *(row.ratio(OTHERS[0], OURS), row.bar),
        ]
        for row in rows
    ]
    print_table(titles, lines)
    names = (OURS, FLOOR, *OTHERS)
    walls = [[row.title, *(row.cell(name, "wall") for name in names)] for row in rows]
    print_table(["by the clock, ms an answer", *names], walls)
    shares = [[row.title, *(row.cell(name, "database") for name in names)] for row in rows]
    print_table(["of it CPU of PostgreSQL, ms", *names], shares)
    print_refusals(rows)


def print_scans(bench: Bench, row: Row) -> None:
    """Print how often an answer of 304 looked into the tables of features."""
    query = (
        "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables "
        "WHERE schemaname IN ('live', 'history')"
    )
    number, wait = 100, 11  # a backend tells of its scans when it has been idle for ten seconds
    with psycopg.connect(bench.dsn, autocommit=True) as connection:
        found: list[int] = []
        for asked in (0, number):
            if asked and OURS in row.asks:
                row.asks[OURS](asked)
            time.sleep(wait)
            connection.execute("SELECT pg_stat_clear_snapshot()")
            (scans,) = connection.execute(query).fetchone() or (0,)
            found.append(int(scans))
    print(f"\n{row.title}: {found[1] - found[0]} scans of feature tables in {number + 1} answers")


def measure_past(bench: Bench) -> None:
    """A page of the past beside one of the present."""
    size = min(1_000, bench.samples.features)
    now = bench.row(Question(f"items page of {size:,}, now", size), wanted=OURS)
    when = middle_of(bench.options.versions)
    title = f"items page of {size:,}, as of an instant, {bench.options.versions} past versions"
    then = bench.row(Question(title, size, when=when), wanted=OURS)
    bench.measure([now, then])
    lines = [[row.title, row.cell(OURS), row.cell(OURS, "database")] for row in (now, then)]
    print_table(["CPU, ms an answer", OURS, "of it PostgreSQL"], lines)
    print(f"\nas of an instant: {times(then.of(OURS), now.of(OURS))} the present; bar 4 x")
    print_refusals([now, then])


def measure_filters(bench: Bench) -> None:
    """CQL2 filters beside the same conditions written by hand, PostgreSQL's side."""
    some, hand = bench.samples, "by hand"
    questions = [
        Question("CQL2, a range of an indexed property, 1,000 found", 1_000, between=some.codes),
        Question("CQL2, a polygon of 500 vertices", 1_000, within=some.polygon),
    ]
    rows = [bench.row(question, "1.3 x", hand=hand) for question in questions]
    bench.measure(rows)
    names = (OURS, hand, *OTHERS)
    part = "database"
    lines = [
        [row.title, *(row.cell(n, part) for n in names), row.ratio(OURS, hand, part), row.bar]
        for row in rows
    ]
    print_table(["CPU of PostgreSQL, ms an answer", *names, "of by hand", "bar"], lines)
    lines = [[row.title, *(row.cell(n) for n in names)] for row in rows]
    print_table(["CPU of both, ms an answer", *names], lines)
    print_refusals(rows)


def measure_exports(bench: Bench) -> None:
    """All features as a file, by all who can write it."""
    lines: list[list[str]] = []
    for name in exports.FORMATS:
        found = _export(bench, name)
        for way, made in found.items():
            rates = [e.features / e.spent.wall for e in made]
            cpus = [e.features / e.spent.cpu for e in made]
            firsts = [e.first_s for e in made if e.first_s is not None]
            lines.append(
                [
                    *(name, way, _thousands(rates), _thousands(cpus)),
                    f"{max(firsts):.2f}" if firsts else "-",
                    f"{max(e.peak_mb for e in made):.0f}",
                    f"{made[0].features:,}",
                ]
            )
    titles = ["format", "by", "1,000 features/s", "1,000 features/CPU s", "first byte, s"]
    print_table([*titles, "resident at most, MB", "features"], lines)


def _export(bench: Bench, name: str) -> dict[str, list[exports.Export]]:
    ways = exports.ways(name, dict(bench.servers), bench.dsn, bench.postmaster)
    found: dict[str, list[exports.Export]] = {}
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        for _ in range(bench.options.exports):
            for way, make in ways.items():
                out = Path(folder) / f"{way.replace(' ', '')}.{exports.ENDINGS[name]}"
                out.unlink(missing_ok=True)
                try:
                    found.setdefault(way, []).append(make(out))
                except exports.NoExport as why:
                    print(f"<!-- {name}, {way}: {why} -->", flush=True)
    return {way: made for way, made in found.items() if made}


def _thousands(values: Sequence[float]) -> str:
    return shown([value / 1000 for value in values])


def measure_crowd(bench: Bench) -> None:
    """Thirty-two readers, while one in a hundred features is published again and again."""
    files = _editions(bench)
    turns = {"next": 0}

    def publish() -> float:
        turns["next"] += 1
        return crowd.publish_file(bench.dsn, LAYER, files[turns["next"] % 2], SCHEMA)

    past = [Question("then", 100, when=middle_of(bench.options.versions))]
    asked = crowd.mixed(bench.samples, past)
    found = crowd.gather(bench.servers[OURS], asked, bench.options.crowd, bench.folder, publish)
    if turns["next"] % 2:  # leave the layer as it was found
        publish()
    start, most, end = found.memory_mb
    publishes = found.publishes or (0.0,)
    print_table(
        ["readers", "s", "answers", "errors", "p50, ms", "p99, ms", "p99 / p50", "MB", "publishes"],
        [
            [
                *(str(crowd.CONNECTIONS), str(found.seconds), f"{found.requests:,}"),
                *(str(found.errors), f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}"),
                f"{found.p99_ms / found.p50_ms:.1f}",
                f"{start:.0f}, at most {most:.0f}, {end:.0f} at the end",
                f"{len(found.publishes)} of {shown(publishes)} s",
            ]
        ],
    )


def _editions(bench: Bench) -> list[Path]:
    """Two files: the layer as it is, and with one in a hundred changed."""
    files = [bench.folder / f"edition{n}.parquet" for n in (0, 1)]
    for share, path in zip((0.0, 0.01), files, strict=True):
        if not path.exists():
            frames = (
                frame.assign(floor_area_ratio=float(bench.options.versions))
                for frame in parcels(1, bench.options.features)
            )
            write_parquet(edited(frames, share, 2) if share else frames, path, "parcels")
    return files


PARTS: Mapping[str, Callable[[Bench], None]] = {
    "pages": measure_pages,
    "past": measure_past,
    "filters": measure_filters,
    "exports": measure_exports,
    "crowd": measure_crowd,
}


@contextmanager
def serving(place: Place, wanted: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Start this project's server and those of the others that are installed, and end them."""
    running: dict[str, Server] = {}
    try:
        for kind in (Shikong, *PEER_KINDS):
            server = kind(place)
            if kind.name not in wanted:
                continue
            if not server.there():
                print(f"<!-- {kind.name} is not installed; run make peers -->", flush=True)
                continue
            running[kind.name] = server
            server.start()
        yield running
    finally:
        for server in running.values():
            server.stop()


def main() -> None:
    """Measure the parts asked for."""
    options = read_options()
    options.data.mkdir(parents=True, exist_ok=True)
    options.data.chmod(0o755)
    with running_cluster(options.data) as dsn:
        publish_editions(dsn, options.features, options.versions)
        with psycopg.connect(dsn, autocommit=True) as connection:
            make_view(connection)
            samples = take_samples(connection)
        place = Place(dsn, options.data / "servers", samples.features)
        place.folder.mkdir(exist_ok=True)
        with serving(place, options.servers) as servers:
            postmaster = Postgres.of(options.data).pid
            bench = Bench(dsn, postmaster, place.folder, servers, samples, options)
            print(f"<!-- {samples.features:,} parcels, {options.versions} past versions each -->")
            for part in options.parts:
                PARTS[part](bench)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--features", type=int, default=500_000, help="parcels")
    add("--versions", type=int, default=10, help="past versions of each")
    add("--data", type=Path, help="folder of the cluster, kept; .cache/features by default")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--servers", nargs="+", choices=(OURS, *OTHERS), default=[OURS, *OTHERS])
    add("--rounds", type=int, default=5, help="in which all take turns")
    add("--seconds", type=float, default=1.0, help="for each, in each round")
    add("--exports", type=int, default=3, help="rounds of exports")
    add("--crowd", type=int, default=600, help="seconds that the crowd reads")
    options = parser.parse_args()
    size = f"{options.features}x{options.versions}"
    options.data = (options.data or ROOT / ".cache" / "features" / size).absolute()
    os.environ["PYTHONPATH"] = str(ROOT)  # of the processes that are started
    return options


if __name__ == "__main__":
    main()
