"""What the content rule leaves out of dense tiles, and what that saves."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from served.clocks import Meter, Spent
from served.rows import Row, print_table, take_turns

from services.tile_questions import ALL
from tiled.bench import Bench
from tiled.decoding import decode
from tiled.places import named
from tiles.grids import Place
from tiles.keeping.making import TileQuestion
from tiles.vector import Drawn, check, draw_as

ZOOMS = (10, 11, 12)
RULE, WHOLE = "by the rule", "all, never thinned"
NAMES = {RULE: None, ALL: ALL, WHOLE: ALL}


@dataclass(frozen=True)
class Way:
    """One way to draw a tile."""

    asked: TileQuestion
    thins: bool

    def draw(self) -> Drawn:
        """Draw it; past its goal too where it is not to be thinned."""
        if self.thins:
            return self.asked.draw()
        snapshot = self.asked.snapshot
        content = check(snapshot, self.asked.where, self.asked.names)
        return draw_as(snapshot, self.asked.where, content)


def measure_contents(bench: Bench) -> None:
    """The densest tiles by the content rule, and with all properties of all features."""
    meter = Meter(os.getpid(), bench.postmaster)
    rows, ways = [], []
    for zoom in ZOOMS:
        where = bench.map.densest(zoom)
        row = Row(named(where), {})
        found = {name: _way(bench, where, name) for name in NAMES}
        row.asks = {name: _asking(meter, way) for name, way in found.items()}
        rows.append(row)
        ways.append(found)
    take_turns(rows, bench.options.rounds, bench.options.seconds)
    lines = []
    for row, found in zip(rows, ways, strict=True):
        drawn = {name: way.draw() for name, way in found.items()}
        where = found[WHOLE].asked.where
        seen = {name: decode(d.body, where) for name, d in drawn.items()}
        most = len(drawn[WHOLE].body)
        for name, one in drawn.items():
            lines.append(
                [
                    *(row.title, name, f"{len(one.body):,}", f"{len(one.body) / most:.1%}"),
                    *(row.cell(name), row.ratio(name, WHOLE)),
                    f"{seen[name].area / seen[WHOLE].area:.2%}" if seen[WHOLE].area else "-",
                    *(f"{seen[name].polygons:,}", f"{seen[name].features:,}"),
                    "no" if one.thinned is None else f"below {one.thinned:g} units",
                ]
            )
    titles = ["tile", "properties", "bytes", "of all", "CPU, ms", "of all", "area drawn of all"]
    print_table([*titles, "polygons", "features, counts too", "thinned"], lines)


def _way(bench: Bench, where: Place, name: str) -> Way:
    asked = bench.asked(where, NAMES[name])
    return Way(asked, name != WHOLE)


def _asking(meter: Meter, way: Way) -> Callable[[int], Spent]:
    def ask(times: int) -> Spent:
        with meter.metered() as bill:
            for _ in range(times):
                way.draw()
        return bill.spent / times

    return ask
