"""One publish as a process of its own, so that its memory and CPU can be told: run by store.py."""

from __future__ import annotations

import json
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

from measuring import peak_mb

from layers.publish import Reload
from layers.schemas.documents import read_schema
from layers.sources import open_source
from layers.store import open_store
from layers.writers import Writer


def main() -> None:
    """Publish a file into a layer: address, layer, file, schema file."""
    dsn, layer_id, source, schema = sys.argv[1:5]
    store = open_store(dsn)
    reload = Reload(
        open_source(Path(source)),
        schema=read_schema(Path(schema)),
        valid_from=datetime(2020, 1, 1, tzinfo=UTC) if "first" in sys.argv else None,
    )
    done = store.commit({layer_id: reload}, Writer("benchmark"), "measured")
    report = done.reports[layer_id]
    store.close()
    counts = {n: getattr(report, n) for n in ("created", "changed", "retired", "unchanged")}
    counts |= {"rows": report.findings.rows_read, "faults": len(report.findings.faults)}
    # What reads for it in a process of its own has ended by now.
    reader = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps(counts | {"peak_mb": peak_mb(), "reader_mb": reader}))


if __name__ == "__main__":
    main()
