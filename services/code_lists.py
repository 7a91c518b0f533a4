"""The code list of a field on the command line: shown, or replaced by another."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

from layers.errors import BadSchema
from layers.model import Schema
from layers.schema_changes import SchemaChange
from layers.schemas.code_lists import CodeList, read_codes, write_codes
from layers.schemas.terms import read_day, terms_of
from services import commands
from services.commands import READER, writer
from services.errors import BadParameter
from services.history import print_commit
from services.opening import opened_store

Options = argparse.Namespace


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``layer codes``."""
    add = parser.add_argument
    add("layer", metavar="LAYER")
    add("field", metavar="FIELD")
    add("file", metavar="FILE.csv", nargs="?", help="the new list; without it the list is printed")
    add("--from", dest="since", metavar="DATE", help="from when the list holds; today if unsaid")
    add("--encoding", default="UTF-8", metavar="NAME", help="of the file: GB18030")
    add("--source", metavar="TEXT", help="where the list is from: document, number, edition")
    add("--message", default="", metavar="TEXT")
    add("--dry-run", action="store_true", help="say what it would do")


def codes(options: Options) -> None:
    """Print the code list of a field, or put another in its place."""
    listed = None
    if options.file is not None:
        listed = read_codes(Path(options.file), options.encoding, _day(options.since))
        listed = replace(listed, source=options.source or listed.source)
    with opened_store(commands.settings_of(options)) as store:
        record = store.layer(options.layer, READER).record
        if listed is None:
            _print_list(record.schema, options.field)
            return
        change = SchemaChange(_with_list(record.schema, options.field, listed))
        message = options.message or f"codes of {options.field}: {Path(options.file).name}"
        done = store.commit({record.id: change}, writer(), message, dry_run=options.dry_run)
        print_commit(done.commit, done.reports, options.dry_run)


def _print_list(schema: Schema, name: str) -> None:
    f = schema.find(name)
    if f is None or not f.codes:
        raise BadParameter(f"{name} has no code list; {_coded(schema)}")
    terms = {code: terms_of(f, code) for code in f.codes}
    print(write_codes(terms, f.codes_source), end="")


def _with_list(schema: Schema, name: str, listed: CodeList) -> Schema:
    f = schema.find(name)
    if f is None or f.is_period:
        raise BadSchema(f"there is no field {name!r} for a code list; {_coded(schema)}")
    fields = tuple(listed.of(one) if one is f else one for one in schema.fields)
    return replace(schema, fields=fields)


def _coded(schema: Schema) -> str:
    return f"fields with one: {', '.join(f.id for f in schema.fields if f.codes) or 'none'}"


def _day(text: str | None) -> date | None:
    return read_day(text, "--from")
