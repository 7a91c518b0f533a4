"""What the content rule leaves out of dense tiles, and what that saves."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from served.clocks import Meter, Spent
from served.rows import print_table, shown, times

from layers.errors import LayersError
from services.tile_questions import ALL
from tiled.bench import Bench
from tiled.decoding import decode
from tiled.places import named
from tiles.grids import Place
from tiles.keeping.making import TileQuestion
from tiles.vector import Drawn, check, draw_as

ZOOMS = (10, 11, 12)
RULE, WHOLE = "by the rule", "all, never thinned"
# A tile that takes so long is not drawn in further turns.
_ENOUGH_S = 20.0
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
    lines = []
    for zoom in ZOOMS:
        where = bench.map.densest(zoom)
        ways = {name: _way(bench, where, name) for name in NAMES}
        try:
            drawn = {name: way.draw() for name, way in ways.items()}
            spent = _spent(bench, ways)
        except LayersError as why:
            print(f"<!-- {named(where)}: {why} -->", flush=True)
            continue
        seen = {name: decode(d.body, where) for name, d in drawn.items()}
        most = seen[WHOLE]
        for name, one in drawn.items():
            cpus = [1000 * s.cpu for s in spent[name]]
            lines.append(
                [
                    *(named(where), name, f"{len(one.body):,}"),
                    f"{len(one.body) / len(drawn[WHOLE].body):.1%}",
                    *(shown(cpus), times(cpus, [1000 * s.cpu for s in spent[WHOLE]])),
                    f"{seen[name].area / most.area:.2%}" if most.area else "-",
                    *(f"{seen[name].polygons:,}", f"{seen[name].features:,}"),
                    "no" if one.thinned is None else f"below {one.thinned:g} units",
                ]
            )
    titles = ["tile", "properties", "bytes", "of all", "CPU, ms", "of all", "area drawn of all"]
    print_table([*titles, "polygons", "features, counts too", "thinned"], lines)


def _spent(bench: Bench, ways: Mapping[str, Way]) -> Mapping[str, list[Spent]]:
    """What drawing takes; each is drawn once a turn, as it takes seconds where it is dense."""
    meter = Meter(os.getpid(), bench.postmaster)
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    ends = time.monotonic() + _ENOUGH_S
    for turn in range(bench.options.rounds):
        if turn and time.monotonic() > ends:
            break
        for name, way in ways.items():
            with meter.metered() as bill:
                way.draw()
            spent[name].append(bill.spent)
    return spent


def _way(bench: Bench, where: Place, name: str) -> Way:
    asked = bench.asked(where, NAMES[name])
    return Way(asked, name != WHOLE)
