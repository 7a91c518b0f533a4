"""Write the synthetic city: ``python benchmarks/city --out DIR --parcels 500000 --seed 1``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

# Run as a folder, Python finds the modules of the folder and not the folder itself.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from city.files import WRITERS
from city.grids import grids
from city.incidents import incidents
from city.parcels import parcels
from city.pipes import pipe_nodes, pipe_segments
from city.schemas import synthetic_schemas
from layers.schemas.documents import write_schema

LAYERS = {
    "parcels": ("合成宗地 · Synthetic parcels", parcels),
    "grids": ("合成网格 · Synthetic grids", grids),
    "pipe_nodes": ("合成管线点 · Synthetic pipe nodes", pipe_nodes),
    "pipe_segments": ("合成管线段 · Synthetic pipe segments", pipe_segments),
    "incidents": ("合成案件 · Synthetic cases", incidents),
}


def main() -> None:
    """Write the layers asked for, in the formats asked for."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    formats = ["gpkg", "parquet"] if options.format == "both" else [options.format]
    schemas = synthetic_schemas()
    for name in options.layers:
        schema = options.out / f"{name}.toml"
        schema.write_text(write_schema(schemas[name]), encoding="utf-8")
        for ending in formats:
            _write(name, ending, options)


def _write(name: str, ending: str, options: argparse.Namespace) -> None:
    title, make = LAYERS[name]
    path = options.out / f"{name}.{ending}"
    start = time.perf_counter()

    def say(rows: int) -> None:
        spent = time.perf_counter() - start
        print(f"\r{path.name}: {rows:,} rows, {spent:.1f} s", end="", file=sys.stderr, flush=True)

    WRITERS[ending](make(options.seed, options.parcels, options.crs), path, title, say)
    print(file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write a synthetic Chinese city in CGCS2000.")
    parser.add_argument("--out", type=Path, required=True, help="a folder, made if need be")
    parser.add_argument("--parcels", type=int, default=500_000, help="how many (500000)")
    parser.add_argument("--seed", type=int, default=1, help="another city for another (1)")
    parser.add_argument("--format", choices=("gpkg", "parquet", "both"), default="gpkg")
    parser.add_argument("--crs", choices=("EPSG:4490", "EPSG:4547"), default="EPSG:4490")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
