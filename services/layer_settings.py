"""Settings of a layer on the command line: changed by ``layer set``, shown by ``layer show``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from layers.access.audit import KeptEntry, read_entries
from layers.errors import BadSchema
from layers.model import Layer, Schema
from layers.schema_changes import SchemaChange
from layers.settings import change_settings, settings_of
from layers.store import Store
from services import commands
from services.commands import READER, writer
from services.errors import BadParameter
from services.layer_styles import draw_by_own, put, read_style
from services.opening import opened_store
from spatial.periods import format_instant

Options = argparse.Namespace
# What of the audit is about a layer itself, and not about its features.
_SHOWN = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``layer set``."""
    add = parser.add_argument
    add("layer", metavar="LAYER")
    add("--title", nargs=2, metavar=("EN", "ZH"))
    add("--description", nargs=2, metavar=("EN", "ZH"))
    add("--owner", nargs="+", metavar="NAME", help="who answers for it: EN ZH, or - for nobody")
    add("--update-cycle", metavar="P1Y", help="how often it is brought up to date; - for unsaid")
    add("--default-datetime", metavar="TIME", help="what requests without a time see; - for now")
    add("--backdating", choices=("yes", "no"), help="let edits begin before the newest version")
    add("--visibility", choices=("public", "internal", "private"))
    add("--department", metavar="NAME", help="whose it is; - for nobody's")
    add("--style", metavar="FILE", help="a MapLibre style or .sld that it is drawn by; - for none")
    add("--index", nargs="+", metavar="FIELD", help="keep an index of these, and no others; -")
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--pause", action="store_true", help="answer 503 until it is started")
    state.add_argument("--start", action="store_true", help="answer again")
    pending = parser.add_mutually_exclusive_group()
    pending.add_argument("--pending", action="store_true", help="hide it until it is approved")
    pending.add_argument("--approve", action="store_true", help="let a pending layer be seen")


def set_layer(options: Options) -> None:
    """Change what is said of a layer."""
    wanted = _wanted(options)
    if not wanted and not options.index and not options.style:
        raise BadParameter(
            "nothing to set; give --title, --description, --owner, --update-cycle, "
            "--default-datetime, --backdating, --visibility, --department, --style, --index, "
            "--pause, --start, --pending or --approve"
        )
    with opened_store(commands.settings_of(options)) as store:
        record = store.layer(options.layer, READER).record
        if options.style and options.style != "-":
            # Before anything is changed.
            read_style(Path(options.style), record.id, record.schema)
        told: list[str] = []
        if options.index:
            names = [name for name in options.index if name != "-"]
            change = SchemaChange(with_indexes(record.schema, names))
            store.commit({record.id: change}, writer(), f"indexes: {', '.join(names) or 'none'}")
            told.append("indexes")
        if wanted:
            with store.database.write() as connection:
                change_settings(connection, record.id, wanted, writer())
        if options.style:
            told += _set_style(store, record, options.style)
        print(f"{record.id}: {', '.join([*wanted, *told])}")


def _set_style(store: Store, record: Layer, named: str) -> list[str]:
    if named == "-":
        draw_by_own(store, record.id, writer())
        return ["style"]
    found = read_style(Path(named), record.id, store.layer(record.id, READER).record.schema)
    put(store, replace(found.wanted, chosen=True), writer())
    return ["style", *found.warnings]


def with_indexes(schema: Schema, names: list[str]) -> Schema:
    """Return a schema of which these fields are indexed, and no others.

    Raises
    ------
    BadSchema
        Where there is no such field, or none that can be indexed.
    """
    for name in names:
        f = schema.find(name)
        if f is None or f not in schema.stored:
            known = ", ".join(f.id for f in schema.stored)
            raise BadSchema(f"no field {name!r} that can be indexed; there are: {known}")
    fields = tuple(replace(f, indexed=f.id in names) for f in schema.fields)
    return replace(schema, fields=fields)


def show_layer(options: Options) -> None:
    """Print a layer's settings, and who changed them."""
    with opened_store(commands.settings_of(options)) as store:
        record = store.layer(options.layer, READER).record
        print(f"{record.id}  {record.schema.kind.value}  revision {record.head}")
        for name, value in settings_of(record).items():
            print(f"  {name:<17} {_text(value)}")
        indexed = ", ".join(f.id for f in record.schema.fields if f.indexed)
        print(f"  {'indexes':<17} {indexed or '-'}")
        drawn = [s.id for s in store.styles.read_all(READER, record.id) if s.chosen]
        print(f"  {'style':<17} {drawn[0] if drawn else '-'}")
        with store.database.keep() as connection:
            changed = read_entries(connection, layer=record.id, action="layer", limit=_SHOWN)
        since = {since for since, _ in record.schemas}
        for r in store.log(READER, layer_id=record.id):
            if r.number in since:
                when = format_instant(r.commit.recorded_at)
                print(f"{when}  {r.commit.author}  schema of revision {r.number}")
        for entry in reversed(changed):
            print(_change(entry))


def _wanted(options: Options) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("title", "description"):
        pair = getattr(options, name)
        if pair:
            found[name] = {"en": pair[0], "zh": pair[1]}
    if options.owner:
        found["owner"] = _owner(options.owner)
    for name in ("update_cycle", "default_datetime", "visibility", "department"):
        text = getattr(options, name)
        if text:
            found[name] = None if text == "-" else text
    if options.backdating:
        found["backdating"] = options.backdating == "yes"
    if options.pause or options.start:
        found["paused"] = bool(options.pause)
    if options.pending or options.approve:
        found["pending"] = bool(options.pending)
    return found


def _owner(words: list[str]) -> dict[str, str] | None:
    if words == ["-"]:
        return None
    if len(words) > 2:
        raise BadParameter(f"--owner {' '.join(words)!r}: an English name and a Chinese one")
    return {"en": words[0], "zh": words[-1]}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['zh']} · {value['en']}" if any(value.values()) else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _change(kept: KeptEntry) -> str:
    was, becomes = kept.entry.detail.get("was", {}), kept.entry.detail.get("is", {})
    told = [f"{k}: {_text(was.get(k))} -> {_text(v)}" for k, v in becomes.items()]
    named = told or [json.dumps(kept.entry.detail, ensure_ascii=False)]
    return f"{format_instant(kept.at)}  {kept.entry.actor}  {'; '.join(named)}"
