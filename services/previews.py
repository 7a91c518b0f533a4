"""The report of a publish as a terminal table, as JSON, as a layer of its faults, and as a page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from layers.report import PLACED_FAULTS, Fault, Report
from layers.schemas.documents import schema_document
from services.errors import BadParameter
from services.reports import counted

Options = argparse.Namespace
_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what becomes of its report."""
    add = parser.add_argument
    add("--json", action="store_true", help="print the report as JSON · 以 JSON 输出报告")
    add("--faults", metavar="FILE", help="write the faults as a layer: .gpkg or .geojson")
    add("--html", metavar="FILE", help="write the report as one page, with a map of what differs")


def check_files(options: Options) -> None:
    """Refuse files that can't be written, before the work is done.

    Raises
    ------
    BadParameter
        Naming the option.
    """
    for name, endings in (("faults", tuple(_DRIVERS)), ("html", (".html", ".htm"))):
        stated = getattr(options, name)
        if stated is None:
            continue
        path = Path(stated)
        if path.suffix.lower() not in endings:
            raise BadParameter(f"--{name} {path}: a file name that ends in {' or '.join(endings)}")
        if not path.parent.is_dir():
            raise BadParameter(f"--{name} {path}: the folder {path.parent} does not exist; make it")


def write_files(report: Report, options: Options) -> None:
    """Write the files that were asked for."""
    if options.faults:
        write_faults(report, Path(options.faults))
    if options.html:
        from services.preview_pages import preview_page

        try:
            Path(options.html).write_text(preview_page(report), encoding="utf-8")
        except OSError as error:
            raise BadParameter(f"{options.html} can't be written ({error.strerror})") from None


def write_faults(report: Report, out: Path) -> None:
    """Write the faults of a report as a layer in the layer's system, one feature each.

    Raises
    ------
    BadParameter
        Where the file can't be written.
    """
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    frame = _frame(report.findings.faults, report.crs)
    driver = _DRIVERS[out.suffix.lower()]
    try:
        # Written beside and moved when whole, as exports are.
        with TemporaryDirectory(dir=out.parent, prefix=".faults-") as folder:
            partial = Path(folder) / out.name
            kind = {"geometry_type": "Unknown", "layer": "faults"}
            pyogrio.write_dataframe(frame, partial, driver=driver, **kind)
            partial.replace(out)
    except (OSError, ValueError, DataSourceError, DataLayerError) as error:
        cause = str(error).splitlines()[0]
        raise BadParameter(f"--faults {out} can't be written ({cause}); name another") from None


def _frame(faults: Iterable[Fault], crs: str) -> Any:
    import geopandas as gpd
    import pandas as pd
    import shapely

    rows = list(faults)
    columns = {
        "rule": pd.Series([f.rule for f in rows], dtype=object),
        "row": pd.Series([f.row for f in rows], dtype="Int64"),
        "other_row": pd.Series([f.other_row for f in rows], dtype="Int64"),
        "measured": pd.Series([f.measured for f in rows], dtype=float),
        "allowed": pd.Series([f.allowed for f in rows], dtype=object),
        "unit": pd.Series([f.unit for f in rows], dtype=object),
        "message": pd.Series([f.message for f in rows], dtype=object),
    }
    places = [None if f.place is None else shapely.force_2d(f.place) for f in rows]
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(places, crs=crs or None))


def preview_document(report: Report) -> dict[str, Any]:
    """Return the report as JSON has it, with what became of the publish."""
    found = report.findings
    document = {
        "layer": report.layer,
        "dry_run": report.dry_run,
        "revision": report.revision,
        "refused": found.refusals,
    }
    if report.inferred is not None:
        document["inferred_schema"] = schema_document(report.inferred)
    return document | report.document()


def print_json(report: Report) -> None:
    """Print the report as JSON."""
    print(orjson.dumps(preview_document(report), option=orjson.OPT_INDENT_2).decode())


def print_table(report: Report) -> None:
    """Print the counts, and the faults of each rule, as tables."""
    print()
    for name, chinese, count in counted(report):
        print(f"  {name:<18}{count:>10}  {chinese}")
    broken = report.findings.broken
    if not broken:
        return
    print(f"\n  {'rule':<20}{'fault':<18}{'outcome':<9}{'faults':>8}  first rows · 规则检查")
    for one in broken:
        rows = ", ".join(str(row) for row, _ in one.rows.named[:5] if row)
        more = " ..." if one.rows.count > 5 else ""
        print(f"  {one.rule:<20}{one.fault:<18}{one.outcome:<9}{one.rows.count:>8}  {rows}{more}")
    if len(report.findings.faults) >= PLACED_FAULTS:
        print(f"  of the faults the first {PLACED_FAULTS} are kept with their places")
