"""A process whose children publish, one at a time, to be killed: ``python publisher.py DSN``.

It reads jobs, one line of JSON each: a layer, a stamp, whether the layer is new. A child says
"begun" with its process and that of the database which works for it, then what came of it; then
the parent says "ended". Children are forked, because to start Python anew takes longer than to
publish.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import sqlalchemy as sa
from publishing import START, WRITER, points, schema_of

from layers.model import Mode
from layers.publish import Reload
from layers.sources import FrameSource
from layers.store import open_store

FEATURES = 100_000
# Every fifth feature bears the stamp of the publish, the others that of the first.
SHARE = 5
PAIR = "pair"
SCHEMA = schema_of({"id": "stamp"})


def frame_of(stamp: str) -> gpd.GeoDataFrame:
    """A hundred thousand points, synthetic, of which some bear the stamp."""
    numbers = np.arange(FEATURES)
    shapes = shapely.points(100 + numbers % 1000 / 1000, 30 + numbers // 1000 / 1000)
    stamps = np.where(numbers % SHARE == 0, stamp, "0")
    columns = {"no": numbers.astype(str), "stamp": stamps}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="OGC:CRS84")


def few(stamp: str) -> Reload:
    """An upsert of ten features, all of which bear the stamp."""
    frame = points(no=[str(n) for n in range(10)], stamp=[stamp] * 10)
    return Reload(FrameSource(frame), mode=Mode.UPSERT)


def edits_of(layer: str, stamp: str, *, new: bool) -> dict[str, Reload]:
    """A large publish to one layer, and a few features of another in the same commit."""
    source = FrameSource(frame_of(stamp))
    large = Reload(source, SCHEMA, valid_from=START) if new else Reload(source)
    return {layer: large, PAIR: few(stamp)}


def publish(dsn: str, job: dict[str, Any]) -> None:
    edits = edits_of(job["layer"], job["stamp"], new=job["new"])
    with closing(open_store(dsn)) as store:
        with store.database.write() as connection:
            # The pool keeps this connection for the commit.
            backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        tell(begun=os.getpid(), backend=backend)
        try:
            done = store.commit(edits, WRITER, job["stamp"])
            tell(revision=done.reports[job["layer"]].revision)
        except Exception as error:
            tell(error=type(error).__name__, text=str(error))


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    tell(ready=os.getpid())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            publish(sys.argv[1], json.loads(line))
            os._exit(0)
        os.waitpid(child, 0)
        tell(ended=child)


if __name__ == "__main__":
    main()
