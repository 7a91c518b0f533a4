"""The kernels compiled before anybody waits for them: once a version and a machine.

``python -m spatial.warming`` compiles what is not kept yet, and says so.
"""

from __future__ import annotations

import sys
import time

from spatial.machine_code import is_warm, note_warm


def warm() -> bool:
    """Compile every kernel, or load what is kept of it.

    Returns
    -------
    bool
        Whether the machine code is kept for other processes; no where no folder can be written.
    """
    # Late: where all is warm, none of it is needed.
    import geopandas as gpd
    import numpy as np
    import shapely

    from spatial.assignment import assign
    from spatial.cells.compiled import is_kept
    from spatial.cells.index import CellIndex
    from spatial.drawing.warming import draw_once
    from spatial.overlay.areas import polygons_to_grids
    from spatial.overlay.lengths import lines_to_grids

    boxes = np.array([shapely.box(k, 0, k + 2.5, 3) for k in range(4)], dtype=object)
    index = CellIndex.build(boxes, crowd=1)
    index.pairs([0.5, 2.0], [0.5, 0.0])
    grids = gpd.GeoDataFrame({"id": list("abcd")}, geometry=boxes, crs=4549)
    assign(gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=4549), grids)
    line = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (9, 1)])], crs=4549)
    lines_to_grids(line, grids)
    polygons_to_grids(grids, grids)
    draw_once()
    return is_kept() and note_warm()


def main() -> None:
    """Compile what is not kept, and say how long it took."""
    if is_warm():
        return
    print("Compiling the kernels of analysis, once · 首次编译分析内核", flush=True)
    start = time.monotonic()
    kept = warm()
    print(f"  {time.monotonic() - start:.0f} s", flush=True)
    if not kept:
        print("  no folder can be written: each process compiles them anew", file=sys.stderr)


if __name__ == "__main__":
    main()
