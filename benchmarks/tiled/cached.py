"""A kept tile asked for again and again by many: what an answer takes each server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from served.clocks import Spent
from served.parcels import middle_of
from served.rows import Row, print_table, shown, take_turns, times

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from tiled.bench import Bench
from tiled.places import named
from tiled.servers import Granian, GranianAsgi, Martin, Nginx, Ours, TileServer, TileservWhole
from tiled.visits import Answer, loading, read
from tiles.grids import Place

OURS, BARE = Ours.name, Granian.name
Rows = tuple[Row, Row, dict[str, int]]
KINDS: tuple[type[TileServer], ...] = (Granian, GranianAsgi, Nginx, Martin, TileservWhole)
WANTED_BYTES = 20_000
AT_ONCE = 32
# Of each zoom, to find one of that size.
_LOOKED_AT = 24
_WARM = 20
# What each server says for itself.
_OWN = frozenset(("date", "server", "x-request-id", "connection", "transfer-encoding"))


def measure_cached(bench: Bench) -> None:
    """One tile of about 20 kB, 32 connections."""
    where = _tile_of(bench, WANTED_BYTES)
    with bench.serving((Ours,)) as own, _key(bench) as key:
        if not own:
            raise SystemExit("the others send what ours answers: leave shikong among --servers")
        ours = own[0]
        path = ours.tile(where)
        answer = _warmed(ours, path, {})
        _write(bench, answer)
        print(f"<!-- {named(where)}: {len(answer.body):,} bytes -->")
        rows: Rows = (Row("200", {}), Row("304", {}), {})
        _put(bench, rows, ours, path, {}, OURS)
        _put(bench, rows, ours, path, {"X-API-Key": key}, f"{OURS}, an API key")
        edition = bench.options.versions // 2
        when = middle_of(edition).isoformat().replace("+00:00", "Z")
        _put(bench, rows, ours, f"{path}?datetime={when}", {}, f"{OURS}, datetime=")
        pinned = f"{path}?datetime={when}&revision={edition + 1}"
        _put(bench, rows, ours, pinned, {}, f"{OURS}, datetime= and revision=")
        with bench.serving(KINDS) as others:
            for server in others:
                _put(bench, rows, server, server.tile(where), {}, server.name)
            take_turns(rows[:2], bench.options.rounds, bench.options.seconds)
    _print(*rows)


def _print(whole: Row, same: Row, sizes: Mapping[str, int]) -> None:
    lines = []
    for row in (whole, same):
        for name in row.asks:
            spent = row.found[name]
            rates = [1 / s.wall for s in spent]
            lines.append(
                [
                    *(row.title, name, f"{sizes[name]:,}"),
                    *(shown(_micro(spent, "server")), shown(_micro(spent, "cpu"))),
                    times(row.of(name), row.of(BARE)) if BARE in row.asks else "-",
                    shown(rates),
                ]
            )
        for name, why in row.refused.items():
            print(f"<!-- {row.title}, {name}: {why} -->")
    titles = ["answer", "by", "bytes of the tile", "CPU of the server, us", "with PostgreSQL, us"]
    print_table([*titles, f"of {BARE} (bar 1.5 x)", f"answers/s, {AT_ONCE} connections"], lines)


def _micro(spent: list[Spent], part: str) -> list[float]:
    return [getattr(s, part) * 1e6 for s in spent]


def _put(
    bench: Bench,
    rows: Rows,
    server: TileServer,
    path: str,
    headers: Mapping[str, str],
    name: str,
) -> None:
    """Put a server into the rows of both answers, where it gives them."""
    whole, same, sizes = rows
    answer = _warmed(server, path, headers)
    sizes[name] = len(answer.body)
    url = f"http://127.0.0.1:{server.port}{path}"
    meter, seconds = bench.meter(server.pid), bench.options.seconds
    if answer.status != 200 or not answer.body:
        whole.refused[name] = f"{answer.status}, {len(answer.body)} bytes"
        return
    whole.asks[name] = loading(meter, url, headers, AT_ONCE, seconds)
    tag = answer.header("etag")
    again = None if tag is None else read(server.port, path, {**headers, "If-None-Match": tag})
    if tag is None or again is None or again.status != 304:
        same.refused[name] = "no ETag" if again is None else f"{again.status} to its own ETag"
        return
    told = {**headers, "If-None-Match": tag}
    same.asks[name] = loading(meter, url, told, AT_ONCE, seconds)


def _warmed(server: TileServer, path: str, headers: Mapping[str, str]) -> Answer:
    answer = read(server.port, path, headers)
    for _ in range(_WARM):
        answer = read(server.port, path, headers)
    return answer


def _tile_of(bench: Bench, wanted: int) -> Place:
    """The tile about the densest place whose size comes nearest to what is wanted."""
    found: dict[int, Place] = {}
    for zoom in (15, 16, 17):
        for where in bench.map.around(zoom, _LOOKED_AT):
            asked = bench.asked(where)
            found.setdefault(abs(len(asked.draw().body) - wanted), where)
    return found[min(found)]


def _write(bench: Bench, answer: Answer) -> None:
    """Write down what the bare application and nginx are to send."""
    pairs = [(n.lower(), v) for n, v in answer.headers if n.lower() not in _OWN]
    (bench.folder / "answer.json").write_text(json.dumps(pairs))
    (bench.folder / "answer.body").write_bytes(answer.body)


@contextmanager
def _key(bench: Bench) -> Iterator[str]:
    """An API key that reads all layers, for as long as it is needed."""
    caller = Caller("shell:benchmark", "benchmark")
    desk = Desk(bench.store.register, caller, unbounded=True)
    key, text = desk.make_key("benchmark", Terms(Role.READER))
    try:
        yield text
    finally:
        desk.revoke_key(key.id)
