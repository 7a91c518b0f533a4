"""What each command does: the store opened, the work done, a few lines said."""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from layers.access.policy import Caller
from layers.errors import BadPeriod, BadScope, BadSource, LayersError
from layers.model import Document, Duplicates, Kind, Layer, Mode, Schema, Visibility
from layers.publish import Reload
from layers.rasters.sources import RasterSource, is_raster, opened_rasters
from layers.readers import Reader
from layers.report import Report
from layers.schemas.documents import write_schema
from layers.schemas.inference import Choices
from layers.schemas.profiles import find_schema
from layers.sources import Source, open_source
from layers.sourcing.asked import Asked
from layers.sourcing.databases import is_database
from layers.sourcing.texts import SEPARATORS
from layers.store import PublishedLayer, Snapshot, Store
from layers.writers import Writer
from services import previews
from services.declarations import (
    crs_of,
    crs_of_rasters,
    declared_of,
    print_placed,
    provenance_of,
)
from services.errors import BadParameter
from services.mappings import mapping_of, print_mapped, print_suggestions
from services.opening import opened_store
from services.progress import progress_bar
from services.rasters import end_of, print_scenes, refuse_raster_options
from services.remote_sources import is_remote, opened_remote
from services.repairs import CURVES, RINGS, remedies_of
from services.settings import Settings, read_settings
from spatial.errors import SpatialError
from spatial.machine_code import is_warm
from spatial.placement import Declared

if TYPE_CHECKING:
    import pandas as pd

    from services.assignments import CaseGrids

Options = argparse.Namespace
READER = Reader.everything()
CITY = Path(__file__).resolve().parent.parent / "deploy" / "demo" / "city.toml"


def settings_of(options: Options) -> Settings:
    """Return the settings, with the data folder that the command names."""
    settings = read_settings()
    if getattr(options, "data", None):
        settings = replace(settings, data=Path(options.data).absolute())
    return settings


def serve(options: Options) -> None:
    """Serve until interrupted."""
    with opened_store(settings_of(options)) as store:
        _run_server(store, options)


def demo(options: Options) -> None:
    """Publish the demo city, where it is not there yet, and serve it."""
    from services.demo.city import load_city, read_city

    path = Path(options.city) if options.city else CITY
    if not path.exists():
        raise BadSource(f"{path} does not exist; run from a clone, or name another with --city")
    city = read_city(path)
    with opened_store(settings_of(options)) as store:
        print(f"{city.title['zh']} · {city.title['en']}")
        load_city(store, city, print)
        if options.load_only:
            return
        base = f"http://{options.host}:{options.port}"
        key = _demo_key(store, options)
        print(
            f"\n  {base}/    一张图 · One Map\n\n"
            "Three things to try · 试一试:\n"
            f"  1. {base}/?datetime=2013-06-01    the map of another day\n"
            f"  2. {base}/collections/parcels/items/169-100/versions?f=html    a parcel's history\n"
            f"  3. {base}/collections/parcels/items/169-100?datetime=2014-05-20&revision=3\n"
            "     whose deed on 20 May, as known before the sale was recorded; then revision=4\n\n"
            "管线图层在本演示中公开，平时为内部数据。 Pipes are open to everybody in this demo;\n"
            "elsewhere they are internal unless a schema opens them.\n"
            f"{key}\n"
            "Ctrl-C stops the server and the database.",
            flush=True,
        )
        _run_server(store, options)


def _demo_key(store: Store, options: Options) -> str:
    """Say what the demo's key is; beyond this machine there is none."""
    from services.access.listening import is_loopback
    from services.demo.key import demo_key

    if not is_loopback(options.host):
        return ""
    who = writer()
    path = settings_of(options).data / "demo.key"
    text = demo_key(store, path, Caller(who.caller, who.name))
    if text is None:
        return ""
    return f"演示密钥（可发布） The demo's key, which publishes: {text}\n"


def publish(options: Options) -> int:
    """Publish a source, or say what that would do."""
    schema = find_schema(options.schema) if options.schema else None
    # Before the store is opened: that may take a while.
    _check_remote(options)
    with opened_store(settings_of(options)) as store, prepared(store, options, schema) as ready:
        if options.dry_run and not options.json:
            print_suggestions(store, options.layer, schema, ready.reload)
        document = Document(options.document) if options.document else None
        previews.check_files(options)
        with _told_when_refused(options), progress_bar(ready.source.name) as say:
            done = store.commit(
                {options.layer: ready.reload},
                writer(),
                options.message,
                document=document,
                provenance=ready.provenance,
                dry_run=options.dry_run,
                say=say,
            )
        report = done.reports[options.layer]
        tell(report, options, ready.source)
        if options.dry_run and report.inferred is not None and not options.json:
            print("\nThe schema, as inferred; keep and mend it, then give it with --schema:\n")
            print(write_schema(report.inferred), end="")
    return 0


@dataclass(frozen=True)
class Prepared:
    """A source that is open, and what a commit is to be told of it."""

    source: Source
    reload: Reload
    provenance: Mapping[str, Any]


@contextmanager
def prepared(store: Store, options: Options, schema: Schema | None) -> Iterator[Prepared]:
    """Open a source to be published to a store that is open.

    Parameters
    ----------
    schema : Schema or None
        Of a layer that is new, or that it is to agree with.
    """
    _check_remote(options)
    paths = [Path(source) for source in options.source]
    told = provenance_of(options)
    with ExitStack() as stack:
        source = stack.enter_context(_opened_source(store, paths, schema, options))
        reload = Reload(
            source=source,
            schema=schema,
            mode=Mode(options.mode) if options.mode else None,
            scope=_scope(options.scope),
            valid_from=_date(options.valid_from),
            crs=None if isinstance(source, RasterSource) else crs_of(options),
            declared=Declared() if isinstance(source, RasterSource) else declared_of(options),
            choices=_choices(options),
            consent=options.yes,
            mapping=mapping_of(options),
            leave_unknown=options.leave_unknown,
            pictured=bool(options.html or options.faults),
            remedies=remedies_of(options.repair),
            suggesting=options.dry_run and options.json,
        )
        yield Prepared(source, reload, _provenance(source, paths, options) | told)


def check_stated(options: Options) -> None:
    """Refuse what is said of a source and can't be, while nothing is open yet.

    Raises
    ------
    LayersError, ServicesError, SpatialError
        As a publish would, once it came so far.
    """
    _check_remote(options)
    _scope(options.scope)
    _date(options.valid_from)
    _asked(None, options)
    mapping_of(options)
    end_of(options.valid_to, None)
    paths = [Path(source) for source in options.source]
    if not is_remote(options.source[0]) and all(is_raster(path) for path in paths):
        crs_of_rasters(options)
        return
    refuse_raster_options(paths, options)
    crs_of(options)
    declared_of(options)


def tell(report: Report, options: Options, source: Source) -> None:
    """Print the report of a publish, or of what one would do."""
    _tell(report, options)
    if isinstance(source, RasterSource) and not options.json:
        print_scenes(source)


@contextmanager
def _told_when_refused(options: Options) -> Iterator[None]:
    """Give the whole report of what a rule or a limit refuses, before the error."""
    try:
        yield
    except LayersError as error:
        if error.report is not None:
            _tell(error.report, options)
        raise


def _tell(report: Report, options: Options) -> None:
    previews.write_files(report, options)
    if options.json:
        previews.print_json(report)
        return
    _print_report(report, options.dry_run)
    if options.table:
        previews.print_table(report)


@contextmanager
def _opened_source(
    store: Store, paths: list[Path], schema: Schema | None, options: Options
) -> Iterator[Source]:
    schema = schema or _schema_of(store, options.layer)
    if is_remote(options.source[0]):
        refuse_raster_options(paths[:1], options)
        asked = _asked(schema, options)
        settings = settings_of(options)
        with opened_remote(options.source[0], asked, options.query, settings) as source:
            yield source
        return
    if all(is_raster(path) for path in paths):
        with opened_rasters(
            paths,
            names=options.scene,
            crs=crs_of_rasters(options),
            codes=options.codes,
            until=end_of(options.valid_to, schema),
        ) as rasters:
            yield rasters
        return
    refuse_raster_options(paths, options)
    yield open_source(paths[0], _asked(schema, options))


def _check_remote(options: Options) -> None:
    """Refuse what goes together with no source, before anything is opened."""
    remote = [source for source in options.source if is_remote(source)]
    if remote and len(options.source) > 1:
        raise BadParameter("a database or a server is published alone; name no other source")
    if options.query and not (remote and is_database(remote[0])):
        raise BadParameter("--query is of databases: postgresql://...; leave it out")
    if options.query and options.source_layer:
        raise BadParameter("state --source-layer or --query, not both")


def _asked(schema: Schema | None, options: Options) -> Asked:
    """What the command says of its source; the schema's coordinates where it names none."""
    stated = tuple(options.coordinates) if options.coordinates else None
    kept = schema.coordinates if schema and not options.wkt else None
    separator = {"tab": "\t", "\\t": "\t"}.get(options.separator, options.separator)
    if separator is not None and separator not in SEPARATORS:
        raise BadParameter(f"--separator {options.separator!r}: one of , ; | or the word tab")
    return Asked(
        layer=options.source_layer,
        encoding=options.encoding,
        coordinates=stated or kept,
        wkt=options.wkt,
        separator=separator,
        curves=CURVES in options.repair,
        rings=RINGS in options.repair,
    )


def _provenance(source: Source, paths: list[Path], options: Options) -> dict[str, Any]:
    if is_remote(options.source[0]):
        # As the source calls itself: without a password.
        return {"source": source.name}
    told = [{"source": path.name, "sha256": _sha256(path)} for path in paths]
    if len(told) > 1:
        return {"sources": told}
    layer = {"layer": options.source_layer} if options.source_layer else {}
    # With the member of an archive that was read.
    return told[0] | {"source": source.name} | layer


def list_layers(options: Options) -> None:
    """Print the layers."""
    with opened_store(settings_of(options)) as store:
        for record in store.layers(READER):
            title = record.schema.title
            print(
                f"{record.id:<16} {record.schema.kind.value:<6} r{record.head:<4} "
                f"{record.visibility.value:<9} {title.zh} · {title.en}"
            )


def diff(options: Options) -> None:
    """Print what differs between two revisions, or between two instants."""
    with opened_store(settings_of(options)) as store:
        layer = store.layer(options.layer, READER)
        old, new = _two_snapshots(layer, options.between)
        counts: Counter[str] = Counter()
        marks = {"created": "+", "changed": "~", "retired": "-"}
        for change in layer.diff(old, new):
            counts[change.kind] += 1
            if not options.summary:
                named = f"  {', '.join(change.fields)}" if change.fields else ""
                print(f"{marks[change.kind]} {change.id}{named}")
        total = ", ".join(f"{counts[k]} {k}" for k in marks)
        print(f"{options.layer} {options.between}: {total}")


def export(options: Options) -> None:
    """Write a snapshot to a file, by the ending of its name."""
    out = Path(options.out)
    with opened_store(settings_of(options)) as store:
        layer = store.layer(options.layer, READER)
        snapshot = layer.at(options.datetime, revision=options.revision)
        if layer.record.visibility is not Visibility.PUBLIC:
            who = writer()
            own = (who.caller, who.origin, layer.record.id, "export")
            store.watch.note_read(store.database, *own)
        rows = _write_file(snapshot, out)
        print(f"{rows} features of {options.layer} r{snapshot.moment.revision} -> {out}")


def assign(options: Options) -> None:
    """Print how many cases each grid has; write each case's grids to a file, or into the layer."""
    from services.assignments import assign_cases

    if options.write and options.revision is not None:
        raise BadParameter("--write changes what is known now; leave --revision out")
    with opened_store(settings_of(options)) as store:
        found = assign_cases(
            store,
            READER,
            cases=options.cases,
            grids=options.grids,
            datetime=options.datetime,
            cases_revision=options.revision,
            tolerance_m=options.tolerance,
        )
        frame: pd.DataFrame = found.assignments
        if options.out:
            frame.to_csv(options.out, index=False)
        counts = frame.groupby(["grid_type", "status"], observed=True).size()
        for key, count in counts.items():
            system, status = key if isinstance(key, tuple) else ("", key)
            print(f"{system!s:<26} {status!s:<12} {count}")
        totals = frame.groupby("grid_type", observed=True).size()
        print(f"total per system: {sorted(set(totals.tolist()))}, cases: {found.cases}")
        if options.write:
            _write_grid_codes(store, found, options)


def _write_grid_codes(store: Store, found: CaseGrids, options: Options) -> None:
    from services.grid_codes import write_grid_codes

    with progress_bar(options.cases) as say:
        done = write_grid_codes(
            store,
            READER,
            writer(),
            found,
            field=options.write,
            again=options.again,
            message=options.message,
            dry_run=options.dry_run,
            say=say,
        )
    if done is None:
        print(f"{options.cases}: every case has its grids; no revision was made")
    else:
        _print_report(done.reports[options.cases], options.dry_run)


def _run_server(store: Store, options: Options) -> None:
    from services.access.listening import refuse_open_door
    from services.workers import Listening, serve_alone, serve_together

    refuse_open_door(options.host, [key.id for key in store.register.demo_keys()])
    _compile_kernels()
    settings, where = settings_of(options), Listening(options.host, options.port)
    if options.workers == 1:
        serve_alone(store, settings, where)
    else:
        serve_together(store, settings, where, options.workers)


def _compile_kernels() -> None:
    """Have the kernels compiled before the first request, which would wait for them."""
    if is_warm():
        return
    # In a process of its own: numba takes memory that a server which only answers can do without.
    subprocess.run([sys.executable, "-m", "spatial.warming"], check=False)
    if not is_warm():
        from spatial.warming import warm

        warm()


def _schema_of(store: Store, layer_id: str) -> Schema | None:
    records: dict[str, Layer] = {record.id: record for record in store.layers(READER)}
    return records[layer_id].schema if layer_id in records else None


def _choices(options: Options) -> Choices:
    return Choices(
        kind=Kind(options.kind) if options.kind else None,
        keys=tuple(itertools.chain.from_iterable(k.split(",") for k in options.key)),
        valid_from=options.valid_from_field,
        valid_to=options.valid_to_field,
        duplicates=Duplicates(options.duplicates) if options.duplicates else None,
    )


def _scope(pairs: list[str]) -> Mapping[str, str]:
    scope = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadScope(f"--scope {pair!r}: write FIELD=VALUE")
        scope[name] = value
    return scope


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadPeriod(f"--valid-from {text!r}: a date such as 2014-01-01") from None


def _two_snapshots(layer: PublishedLayer, between: str) -> tuple[Snapshot, Snapshot]:
    old, dots, new = between.partition("..")
    if not dots or not old or not new:
        raise BadParameter(f"{between!r}: write two revisions, 1..2, or two dates")
    if re.fullmatch(r"\d{1,9}", old) and re.fullmatch(r"\d{1,9}", new):
        first = layer.at(revision=int(old))
        # Both at the same instant: what differs is what was known.
        return first, layer.at(first.moment.when, revision=int(new))
    try:
        return layer.at(old), layer.at(new)
    except SpatialError as error:
        raise BadParameter(f"{between!r}: {error}") from None


def _write_file(snapshot: Snapshot, out: Path) -> int:
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    frame = snapshot.read().reset_index()
    try:
        # Written beside and moved when whole: a failed export leaves no half a file.
        with TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
            partial = Path(folder) / out.name
            if out.suffix == ".parquet":
                frame.to_parquet(partial)
            elif out.suffix == ".csv":
                frame.to_wkt().to_csv(partial, index=False, quoting=csv.QUOTE_MINIMAL)
            else:
                pyogrio.write_dataframe(frame, partial)
            for written in sorted(Path(folder).iterdir()):
                written.replace(out.parent / written.name)
    except (OSError, ValueError, DataSourceError, DataLayerError) as error:
        raise BadParameter(
            f"{out} can't be written ({str(error).splitlines()[0]}); .geojson, .gpkg, .fgb, "
            ".parquet and .csv can, in a folder that exists"
        ) from None
    return len(frame)


def _print_report(report: Report, dry_run: bool) -> None:
    found = report.findings
    if found.refusals:
        print(
            f"{report.layer}: refused, nothing was written; it would be: {report.created} created, "
            f"{report.changed} changed, {report.retired} retired, {report.unchanged} unchanged"
        )
    elif report.nothing_to_do:
        print(f"{report.layer}: nothing differs; no revision was made")
    else:
        made = "would make a revision" if dry_run else f"revision {report.revision}"
        print(
            f"{report.layer}: {made}: {report.created} created, {report.changed} changed, "
            f"{report.retired} retired, {report.unchanged} unchanged"
        )
    print_placed(report)
    print_mapped(report)
    for title, rows in (
        ("repaired", found.repaired),
        ("without geometry", found.without_geometry),
        ("without key", found.without_key),
    ):
        if rows.count:
            some = "; ".join(f"row {r}: {cause}" for r, cause in rows.named[:3])
            print(f"  {rows.count} rows {title} ({some}{' ...' if rows.count > 3 else ''})")
    if found.repeated:
        some = ", ".join(repr(k.id) for k in found.repeated[:5])
        print(f"  {len(found.repeated)} keys repeated ({found.repeated[0].outcome}): {some}")
    for broken in found.broken:
        some = "; ".join(f"row {r}: {cause}" for r, cause in broken.rows.named[:3])
        left_out = ", left out" if broken.outcome == "row" else ""
        more = " ..." if broken.rows.count > 3 else ""
        print(f"  {broken.rows.count} faults of rule {broken.rule}{left_out} ({some}{more})")
    for reason in (*found.unasked, *report.notes):
        print(f"  {reason}")
    if report.kept_shapes:
        print(f"  {report.kept_shapes} shapes moved less than the tolerance and were kept")
    for title, names in (
        ("columns left out", found.left_out),
        ("fields that the source lacks", found.lacking),
        ("names that requests use; reach them by filter", found.reserved),
    ):
        if names:
            print(f"  {title}: {', '.join(names)}")


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def writer() -> Writer:
    """Return whoever runs the command."""
    import getpass

    try:
        name = getpass.getuser()
        return Writer(name, caller=f"shell:{name}", origin="shell")
    except (KeyError, OSError):
        return Writer("unknown", caller="shell:unknown", origin="shell")
