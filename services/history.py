"""What the command line does with the past: the log, reverts, tags, changes, lineage, edits."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from layers.editing.files import read_edits
from layers.model import Document, Link, Revision
from layers.report import Report
from layers.schema_changes import SchemaChange
from layers.schemas.profiles import find_schema
from layers.store import Store
from services.commands import READER, settings_of, writer
from services.errors import BadParameter
from services.opening import opened_store
from spatial.periods import format_instant, parse_instant

Options = argparse.Namespace


def log(options: Options) -> None:
    """Print what commits did, newest first; of a document, also each feature."""
    with opened_store(settings_of(options)) as store:
        if options.layer:
            store.layer(options.layer, READER)
        wanted = {"layer_id": options.layer, "document": options.document}
        found = store.log(READER, **wanted, limit=options.limit)
        tagged = {tag.commit: tag.name for tag in store.tags(READER)}
        for r in found:
            print(_log_line(r, tagged.get(r.commit.id), with_layer=options.layer is None))
            if options.document:
                layer = store.layer(r.layer, READER)
                for feature, kind in layer.touched(r.number):
                    print(f"    {_MARKS[kind]} {feature}")
        if not options.document:
            _print_erasures(store, options.layer)


def revert(options: Options) -> None:
    """Undo a commit by another."""
    with opened_store(settings_of(options)) as store:
        done = store.revert(
            options.commit,
            writer(),
            options.message,
            force=options.force,
            dry_run=options.dry_run,
        )
        print_commit(done.commit, done.reports, options.dry_run)


def apply(options: Options) -> None:
    """Commit a file of edits."""
    edits = read_edits(Path(options.edits))
    document = Document(options.document) if options.document else None
    with opened_store(settings_of(options)) as store:
        done = store.commit(
            edits,
            writer(),
            options.message,
            document=document,
            provenance={"source": Path(options.edits).name},
            dry_run=options.dry_run,
        )
        print_commit(done.commit, done.reports, options.dry_run)


def change_schema(options: Options) -> None:
    """Give a layer another schema."""
    change = SchemaChange(find_schema(options.schema))
    with opened_store(settings_of(options)) as store:
        done = store.commit(
            {options.layer: change}, writer(), options.message, dry_run=options.dry_run
        )
        print_commit(done.commit, done.reports, options.dry_run)


def tag(options: Options) -> None:
    """Name a commit, the newest where none is given."""
    with opened_store(settings_of(options)) as store:
        newest = store.log(READER, limit=1)
        if not options.commit and not newest:
            raise BadParameter("there is no commit to name yet")
        commit = options.commit or newest[0].commit.id
        store.tag(options.name, commit, writer(), options.note)
        print(f"{options.name}: commit {commit}")


def tags(options: Options) -> None:
    """Print the tags."""
    with opened_store(settings_of(options)) as store:
        for found in store.tags(READER):
            recorded = format_instant(found.recorded_at)
            print(f"{found.name}  commit {found.commit}  {recorded}  {found.note}".rstrip())


def erase(options: Options) -> None:
    """Remove one feature's restricted fields from all history."""
    with opened_store(settings_of(options)) as store:
        done = store.erase(options.layer, options.feature, writer(), options.reason)
        print(
            f"{done.layer} {done.feature}: {done.versions} restricted versions erased; backups "
            "made before still hold them"
        )


def changes(options: Options) -> None:
    """Print the versions that revisions asserted and retracted."""
    after, to = _revisions(options.between)
    with opened_store(settings_of(options)) as store:
        for change in store.layer(options.layer, READER).changes(after, to):
            version, sign = change.version, "+" if change.kind == "asserted" else "-"
            end = format_instant(version.valid_to) if version.valid_to else ".."
            period = f"{format_instant(version.valid_from)}/{end}"
            print(f"r{change.revision} {sign} {version.id}  {period}")


def lineage(options: Options) -> None:
    """Print what a feature came from, and what came of it."""
    with opened_store(settings_of(options)) as store:
        layer = store.layer(options.layer, READER)
        zone = layer.record.schema.zone
        until = parse_instant(options.until, zone) if options.until else None
        up, down = layer.lineage(options.feature, revision=options.revision, until=until)
        _print_links("from · 来自", up)
        _print_links("to · 变为", down)
        if not up and not down:
            print(f"{options.feature}: no split or merge is known")


_MARKS = {"created": "+", "changed": "~", "retired": "-"}


def _log_line(r: Revision, tag_name: str | None, *, with_layer: bool) -> str:
    commit = r.commit
    name = f"{r.layer} " if with_layer else ""
    marks = " (simulated)" if commit.simulated else ""
    document = f"  [{commit.document}]" if commit.document else ""
    tagged = f"  #{tag_name}" if tag_name else ""
    counts = f"+{r.n_created} ~{r.n_changed} -{r.n_retired}"
    notes = "; ".join(r.report.get("notes", []))
    return (
        f"{name}r{r.number:<4} c{commit.id:<4} {format_instant(commit.recorded_at)}  {counts}  "
        f"{commit.author}{marks}: {commit.message}{document}{tagged}"
        f"{f'  ({notes})' if notes else ''}"
    )


def _print_erasures(store: Store, layer_id: str | None) -> None:
    for done in store.erasures(READER, layer_id):
        print(
            f"erased {format_instant(done.erased_at)}  {done.layer} {done.feature}  "
            f"{done.author}: {done.reason}"
        )


def print_commit(commit: int | None, reports: object, dry_run: bool) -> None:
    """Print what a commit of edits or schemas did to each layer."""
    assert isinstance(reports, dict)  # noqa: S101 - as the store gives them
    found: dict[str, Report] = reports
    for report in found.values():
        revision = f"revision {report.revision}" if report.revision else "no revision"
        if dry_run and not (report.nothing_to_do and not report.notes):
            revision = "would make a revision"
        counts = f"{report.created} created, {report.changed} changed, {report.retired} retired"
        print(f"{report.layer}: {revision}: {counts}")
        for note in report.notes:
            print(f"  {note}")
    if commit:
        print(f"commit {commit}; shikong revert {commit} undoes it")


def _print_links(title: str, links: Iterable[Link]) -> None:
    for link in links:
        document = f"  [{link.document}]" if link.document else ""
        at = format_instant(link.at)
        who = f"{link.ancestor} -> {link.descendant}"
        print(f"{title}  {who}  {at}  commit {link.commit}{document}")


def _revisions(between: str) -> tuple[int, int | None]:
    first, dots, last = between.partition("..")
    numbers = [n for n in (first, last) if n]
    if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers) or not numbers:
        raise BadParameter(f"{between!r}: write revisions, 0..5, or 3..")
    if not dots:
        return int(first) - 1, int(first)
    return int(first or 0), int(last) if last else None
