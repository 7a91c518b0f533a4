"""Make the synthetic city's files: ``python benchmarks/city --out DIR --parcels 500000``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import geopandas as gpd

from city.files import write
from city.grids import grids
from city.incidents import incidents
from city.parcels import edited, parcels
from city.pipes import pipes

LAYERS = ("parcels", "grids", "pipe_nodes", "pipe_segments", "incidents")


def main() -> None:
    """Write the layers that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parcels", type=int, default=500_000, metavar="N")
    parser.add_argument("--incidents", type=int, metavar="N", help="a tenth of the parcels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=("gpkg", "parquet", "both"), default="gpkg")
    parser.add_argument("--crs", default="EPSG:4490")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=LAYERS)
    parser.add_argument("--edited", type=float, metavar="SHARE", help="also the next edition")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    endings = ("gpkg", "parquet") if options.format == "both" else (options.format,)
    for name in options.layers:
        for ending in endings:
            _write(options, name, f"{name}.{ending}", _frames(options, name))
            if name == "parcels" and options.edited:
                frames = edited(_frames(options, name), options.edited, options.seed)
                _write(options, name, f"parcels_next.{ending}", frames)


def _frames(options: argparse.Namespace, name: str) -> Iterator[gpd.GeoDataFrame]:
    seed, count = options.seed, options.parcels
    if name == "parcels":
        yield from parcels(seed, count)
    elif name == "grids":
        yield grids(seed, count)
    elif name == "incidents":
        cases = options.incidents or count // 10
        yield incidents(seed, cases, grids(seed, count), count)
    else:
        nodes, segments = pipes(seed, count)
        yield nodes if name == "pipe_nodes" else segments


def _write(
    options: argparse.Namespace, name: str, file: str, frames: Iterator[gpd.GeoDataFrame]
) -> None:
    begun = time.monotonic()

    def say(rows: int) -> None:
        print(f"\r{file}: {rows:,} rows", end="", file=sys.stderr, flush=True)

    rows = write(frames, options.out / file, options.crs, say)
    took = time.monotonic() - begun
    print(f"\r{file}: {rows:,} synthetic rows in {took:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
