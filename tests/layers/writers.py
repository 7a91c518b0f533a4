"""A process of writers, as the tests of concurrency start it: ``python writers.py DSN``.

It says "ready", reads what each of its writers is to commit, one line of JSON, and answers with a
line for each commit. Everybody upserts the features f0 to f4, and one of the commit's own, in every
layer of the commit: the commit's name in the field stamp, and its number in the writer's own field.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from publishing import points

from layers.model import Mode
from layers.publish import Reload
from layers.readers import Writer
from layers.sources import FrameSource
from layers.store import Store, open_store

SHARED = [f"f{n}" for n in range(5)]


def upsert(writer: int, number: int) -> Reload:
    """What a commit says of each of its layers."""
    stamp = stamp_of(writer, number)
    ids = [*SHARED, stamp]
    columns: dict[str, Any] = {"no": ids, "stamp": [stamp] * len(ids)}
    columns[f"c{writer}"] = [number] * len(ids)
    return Reload(FrameSource(points(**columns)), mode=Mode.UPSERT)


def stamp_of(writer: int, number: int) -> str:
    """The name of a writer's commit."""
    return f"w{writer}.{number}"


def write(store: Store, writer: int, sets: Sequence[Sequence[str]]) -> list[Mapping[str, Any]]:
    """Commit to one set of layers after another, and say what came of each."""
    done = []
    for number, layers in enumerate(sets, 1):
        stamp = stamp_of(writer, number)
        try:
            edits = {layer: upsert(writer, number) for layer in layers}
            committed = store.commit(edits, Writer(f"w{writer}"), stamp)
            revisions = {layer: report.revision for layer, report in committed.reports.items()}
            done.append({"stamp": stamp, "commit": committed.commit, "revisions": revisions})
        except Exception as error:
            done.append({"stamp": stamp, "error": f"{type(error).__name__}: {error}"})
    return done


def main() -> None:
    with closing(open_store(sys.argv[1])) as store, ThreadPoolExecutor(16) as threads:
        print("ready", flush=True)
        plan = json.loads(sys.stdin.readline())
        running = [threads.submit(write, store, int(w), sets) for w, sets in plan.items()]
        for writer in running:
            for line in writer.result():
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
