"""What tiles are measured with: the cluster, the store on it, and where the parcels stand."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from served.parcels import LAYER
from served.places import Place as Ground

from layers.readers import Reader
from layers.reading.features import Query
from layers.store import PublishedLayer, Store
from layers.writers import Writer
from services.parameters import Pins
from services.tile_questions import question_of
from tiled.clocks import TreeMeter
from tiled.places import Map
from tiled.servers import TileServer
from tiled.visits import ask_all
from tiles.grids import Place
from tiles.keeping.making import TileQuestion

WRITER = Writer("benchmark")
ANYBODY = Reader.anonymous()


@dataclass(frozen=True)
class Bench:
    """The cluster, the store on it, and where the parcels stand.

    Attributes
    ----------
    folder : Path
        Where servers write their settings and logs.
    """

    dsn: str
    postmaster: int
    folder: Path
    store: Store
    map: Map
    options: argparse.Namespace

    def layer(self) -> PublishedLayer:
        """Return the layer as anybody sees it now."""
        return self.store.layer(LAYER, ANYBODY)

    def asked(self, where: Place, properties: str | None = None) -> TileQuestion:
        """Return the question for a tile as the layer is now; see `question_of`."""
        pins = Pins(None, None, None)
        return question_of(self.layer(), pins, where, Query(), properties).question

    def meter(self, pid: int) -> TreeMeter:
        """Return the clocks of a server with all its processes, and of PostgreSQL."""
        return TreeMeter(pid, self.postmaster)

    @contextmanager
    def serving(self, kinds: Sequence[type[TileServer]]) -> Iterator[list[TileServer]]:
        """Start those servers that are installed, say which are not, and end them."""
        ground = Ground(self.dsn, self.folder, self.options.features)
        running: list[TileServer] = []
        try:
            for kind in kinds:
                server = kind(ground)
                if kind.name not in self.options.servers:
                    continue
                if not server.there():
                    print(f"<!-- {kind.name} is not there: {server.command()[0]} -->", flush=True)
                    continue
                running.append(server)
                server.start()
                place = server.tile(self.map.densest(16))
                ask_all(server.port, [place] * 32, 16)
            yield running
        finally:
            for server in running:
                server.stop()
