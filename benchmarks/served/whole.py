"""The whole layer as a file, and many readers of it at once: tables of both."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from city.editions import edited
from city.files import write_parquet
from city.parcels import parcels

from served import crowd, exports
from served.bench import OURS, Bench
from served.parcels import LAYER, SCHEMA, middle_of
from served.questions import Question, Samples
from served.rows import print_table, shown

_COLD_S = 20


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
                    f"{made[0].before_mb:.0f}" if firsts else "-",
                    f"{max(e.peak_mb for e in made):.0f}",
                    f"{made[0].features:,}",
                ]
            )
    titles = ["format", "by", "1,000 features/s", "1,000 features/CPU s", "first byte, s"]
    print_table([*titles, "resident before, MB", "at most", "features"], lines)


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

    past = [Question("then", 100, when=middle_of(bench.options.versions // 2))]
    asked = crowd.mixed(_lasting(bench.samples, files[1]), past)
    ours, seconds = bench.servers[OURS], bench.options.crowd
    # Apart from the rest: each connection of the database reads catalogues and loads PROJ first.
    cold = crowd.gather(ours, asked, _COLD_S, bench.folder, _rest)
    found = crowd.gather(ours, asked, seconds, bench.folder, publish)
    if turns["next"] % 2:  # leave the layer as it was found
        publish()
    titles = ["32 readers", "s", "answers", "errors", "p50, ms", "p99, ms", "p99 / p50", "MB"]
    lines = [_told("at first, nothing published", cold), _told("1 % published on and on", found)]
    print_table([*titles, "s a publish"], lines)


def _lasting(samples: Samples, edited_file: Path) -> Samples:
    """The samples without features that one in a hundred ends: to ask for these is 410."""
    there = set(pq.read_table(edited_file, columns=["parcel_code"]).column(0).to_pylist())
    return dataclasses.replace(samples, some=tuple(i for i in samples.some if i in there))


def _told(title: str, found: crowd.Crowd) -> list[str]:
    start, most, end = found.memory_mb
    publishes = [seconds for seconds in found.publishes if seconds]
    return [
        *(title, str(found.seconds), f"{found.requests:,}", str(found.errors)),
        *(f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}", f"{found.p99_ms / found.p50_ms:.1f}"),
        f"{start:.0f}, at most {most:.0f}, {end:.0f} at the end",
        f"{len(publishes)} of {shown(publishes)}" if publishes else "-",
    ]


def _rest() -> float:
    time.sleep(1)
    return 0.0


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
