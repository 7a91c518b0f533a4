"""Tiles that nobody keeps: what one takes each server, beside the floor."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import connect
from served.floor import Floor
from served.rows import Row, print_table, shown, take_turns

from layers.quick import Line
from tiled.bench import Bench
from tiled.decoding import Seen, decode
from tiled.places import named
from tiled.servers import (
    FIELDS,
    MartinAnew,
    Ours,
    OursAnew,
    Tileserv,
    TileServer,
    TipgTiles,
)
from tiled.visits import asking_all, read
from tiles import vector
from tiles.content import GOAL_BYTES, content_of
from tiles.grids import Place

FLOOR, OURS = "floor", Ours.name
KINDS: tuple[type[TileServer], ...] = (OursAnew, TipgTiles, Tileserv, MartinAnew)
ZOOMS: Mapping[int, int] = {12: 4, 14: 24, 16: 64}
AT_ONCE = 4
# With it a request is for the application: the gate, which keeps answers, lets it pass.
PAST_GATE = {"X-Request-Id": "benchmark"}


@dataclass(frozen=True)
class Statement:
    """The statement that draws a tile in PostgreSQL, and what it answers."""

    text: str
    values: Sequence[str]
    body: bytes
    seconds: float


def measure_uncached(bench: Bench) -> None:
    """Tiles around the densest place, the same attributes from all servers."""
    alone, several, about, numbers = [], [], [], []
    with bench.serving(KINDS) as servers:
        for zoom, number in ZOOMS.items():
            places, statements = _plain(bench, zoom, number)
            if not places:
                continue
            title = f"z{zoom}, {len(places)} tiles"
            one, four = Row(title, {}, bar="1.15 x the floor, or + 0.3 ms"), Row(title, {})
            for s in servers:
                own = (bench.meter(s.pid), s.port, [s.tile(where) for where in places])
                one.asks[s.name] = asking_all(*own, 1, PAST_GATE)
                four.asks[s.name] = asking_all(*own, AT_ONCE, PAST_GATE)
            one.asks[FLOOR] = _floor(bench, zoom, statements).ask
            about += _compare(title, places, servers, statements)
            alone.append(one)
            several.append(four)
            numbers.append(len(places))
        take_turns([*alone, *several], bench.options.rounds, bench.options.seconds)
        names = [s.name for s in servers]
    for row, tiles in zip(alone, numbers, strict=True):
        row.found[FLOOR] = [spent / tiles for spent in row.found[FLOOR]]
    _print(names, alone, several, about)


def _plain(bench: Bench, zoom: int, number: int) -> tuple[list[Place], list[Statement]]:
    """The tiles about the densest place that are not thinned, and what draws them."""
    wanted = bench.map.around(zoom, number)
    every = [(where, _statement(bench, where)) for where in wanted]
    found = [(where, told) for where, told in every if len(told.body) <= GOAL_BYTES]
    if len(found) < len(every):
        most = max(len(told.body) for _, told in every)
        told = f"{len(every) - len(found)} of {len(every)} tiles are left out"
        print(f"<!-- z{zoom}: {told}: over the goal ({most:,} bytes), ours are thinned -->")
    return [where for where, _ in found], [told for _, told in found]


def _print(
    names: Sequence[str], alone: Sequence[Row], several: Sequence[Row], about: list[list[str]]
) -> None:
    print_table(["tiles", "by", "bytes a tile", "features a tile", "fields"], about)
    others = [name for name in names if name != OURS]
    titles = ["uncached, one connection: CPU, ms a tile", OURS, f"{FLOOR}, PostgreSQL alone"]
    lines = [
        [
            *(row.title, row.cell(OURS), row.cell(FLOOR, "database")),
            *(_over(row), _more(row), *(row.cell(n) for n in others), row.bar),
        ]
        for row in alone
    ]
    print_table([*titles, "of the floor", "more, ms", *others, "bar"], lines)
    lines = [[row.title, *(row.cell(n, "database") for n in names)] for row in alone]
    print_table(["of it CPU of PostgreSQL, ms", *names], lines)
    lines = [[row.title, *(row.cell(n) for n in names)] for row in several]
    print_table([f"{AT_ONCE} connections: CPU, ms a tile", *names], lines)
    lines = [[row.title, *(_rate(row, n) for n in names)] for row in several]
    print_table([f"{AT_ONCE} connections: tiles/s", *names], lines)


def _over(row: Row) -> str:
    ours, floor = row.of(OURS), row.of(FLOOR, "database")
    if not ours:
        return "-"
    ratios = [a / b for a, b in zip(ours, floor, strict=True)]
    whole = statistics.median(ours) / statistics.median(floor)
    return f"{whole:.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


def _more(row: Row) -> str:
    ours, floor = row.of(OURS), row.of(FLOOR, "database")
    if not ours:
        return "-"
    more = [a - b for a, b in zip(ours, floor, strict=True)]
    return f"{statistics.median(more):.2f} ({min(more):.2f} to {max(more):.2f})"


def _rate(row: Row, name: str) -> str:
    return shown([1000 / ms for ms in row.of(name, "wall")])


def _statement(bench: Bench, where: Place) -> Statement:
    """The statement that draws a tile with these fields in PostgreSQL, and what it answers."""
    asked = bench.asked(where, ",".join(FIELDS))
    content = content_of(asked.snapshot.schema, (), where.scale, FIELDS)
    own = replace(vector._question(asked.snapshot, where, content), dense=False)
    narrowed = own.narrowed
    question = narrowed._question(own.name, narrowed._built(own.build), own.values)
    if question is None:
        raise SystemExit(f"{named(where)}: there is no kept statement for it")
    sent = (question.kept.text, question.values)
    begun = time.perf_counter()
    rows = bench.store.database.ask(*sent)
    seconds = time.perf_counter() - begun
    with connect(bench.dsn) as connection:
        written = Line(connection)._written(question.values)
    told = [bytes(value).decode() for value in written]
    return Statement(question.kept.text, told, bytes(rows[0][0] or b""), seconds)


def _floor(bench: Bench, zoom: int, statements: Sequence[Statement]) -> Floor:
    """All tiles of a zoom as one script of pgbench: the same text, the same parameters."""
    written, variables = [], []
    for tile, statement in enumerate(statements):
        text = statement.text
        # The longest first: $1 stands in $10 too.
        for number in range(len(statement.values), 0, -1):
            text = text.replace(f"${number}", f":t{tile}_{number}")
        written.append(" ".join(text.split()) + ";\n")
        variables += [f"t{tile}_{n}={v}" for n, v in enumerate(statement.values, 1)]
    script = bench.folder / f"tiles{zoom}.sql"
    script.write_text("".join(written))
    # Two whole runs of the script at least, after the one that warms it up.
    seconds = max(bench.options.seconds, 3.2 * sum(s.seconds for s in statements))
    options = bench.store.database.quick.options
    return Floor(bench.dsn, bench.postmaster, script, seconds, tuple(variables), options)


def _compare(
    title: str,
    places: Sequence[Place],
    servers: Sequence[TileServer],
    statements: Sequence[Statement],
) -> list[list[str]]:
    """What the tiles of each server hold; and whether ours are the floor's.

    Those that PostgreSQL draws are so to the last byte. Where our kernels draw them, the floor is
    the statement that they stand in for, and both must show the same.
    """
    lines, own = [], [s.body for s in statements]
    floor = [decode(body, where) for body, where in zip(own, places, strict=True)]
    equal = False
    for server in servers:
        bodies = [read(server.port, server.tile(where), PAST_GATE).body for where in places]
        seen = [decode(body, where) for body, where in zip(bodies, places, strict=True)]
        if server.name == OURS:
            equal = bodies == own
            if not equal and not all(map(_alike, seen, floor)):
                raise SystemExit(f"{title}: the server's tiles show other than the floor's")
        lines.append([title, server.name, _bytes(bodies), _features(seen), _fields(seen)])
    if equal:
        lines.append([title, FLOOR, "the same as shikong's, compared", "", ""])
    else:
        lines.append([title, FLOOR, _bytes(own), _features(floor), _fields(floor)])
    return lines


def _alike(one: Seen, other: Seen) -> bool:
    """Whether two tiles show the same but for what is smaller than a unit."""
    return (
        one.fields == other.fields
        and math.isclose(one.features, other.features, rel_tol=0.001)
        and math.isclose(one.area, other.area, rel_tol=0.001)
    )


def _bytes(bodies: Sequence[bytes]) -> str:
    return f"{sum(map(len, bodies)) / len(bodies):,.0f}"


def _features(seen: Sequence[Seen]) -> str:
    return f"{sum(s.features for s in seen) / len(seen):,.1f}"


def _fields(seen: Sequence[Seen]) -> str:
    every = frozenset[str]().union(*(s.fields for s in seen))
    missing, more = sorted(set(FIELDS) - every), sorted(every - set(FIELDS) - {"mvt_id"})
    return "the same" if not (missing or more) else f"without {missing}, with {more} too"
