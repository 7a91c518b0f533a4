"""What `shikong publish` is told of a source's columns, and what it tells and suggests of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from layers import catalog
from layers.mapping import saved
from layers.mapping.stated import NOTHING, Stated, parse_pairs, read_mapping
from layers.mapping.suggesting import suggest, write_suggestions
from layers.model import Schema
from layers.publish import Reload
from layers.report import Report
from layers.store import Store

Options = argparse.Namespace


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a publisher says which column is which field."""
    parser.add_argument(
        "--map",
        nargs="+",
        action="extend",
        metavar="FIELD=COLUMN",
        default=[],
        help="which column is a field whose name it has not; kept with the layer",
    )
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        help="the same as TOML, with values and constants (docs/publishing.md), or the name of "
        "one that is kept; with --map and no such file, the name to keep it under",
    )


def mapping_of(options: Options) -> Stated:
    """Return what is said; a field of --map has its column instead of that of the file."""
    pairs = parse_pairs(options.map)
    if options.mapping is None:
        return Stated(pairs) if pairs else NOTHING
    path = Path(options.mapping)
    if path.is_file() or path.suffix == ".toml":
        stated = read_mapping(path)
        return Stated({**stated.fields, **pairs}, stated.name)
    return Stated(pairs, options.mapping)


def print_suggestions(store: Store, layer_id: str, schema: Schema | None, reload: Reload) -> None:
    """Print which columns may be the fields that the source lacks, to be given with --mapping."""
    with store.database.read() as connection:
        record = catalog.find_layer(connection, layer_id)
        if schema is None and record is not None:
            schema = record.schema
        if schema is None or schema.raster:
            return
        mapped = saved.find(connection, layer_id, schema, reload.source, reload.mapping)
    found = suggest(schema, reload.source, mapped)
    if found:
        print(
            "# 建议的字段映射，未采用；核对后用 --mapping 给出。\n"
            "# A mapping that is suggested, and not taken: mend it, and give it with --mapping.\n"
        )
        print(write_suggestions(mapped, found, schema))
        print("# ----\n", flush=True)


def print_mapped(report: Report) -> None:
    """Print which columns became fields under another name, and who said so."""
    mapped = report.mapped
    if mapped is None:
        return
    if mapped.note:
        print(f"  {mapped.note}")
    if mapped.origin == "names":
        return
    where = "as stated"
    if mapped.origin == "saved":
        when = "" if mapped.written_at is None else f"{mapped.written_at:%Y-%m-%d %H:%M} UTC"
        where = f"as kept by {mapped.author}, {when}"
    told = [f"{field} = {column}" for field, column in mapped.names.items()]
    told += [f"{field} = {value!r} in every row" for field, value in mapped.constants.items()]
    print(f"  columns by the mapping {mapped.name}, {where}: {', '.join(told)}")
    for field, pairs in mapped.recoded.items():
        print(f"  values of {field} by the mapping: {len(pairs)}")
