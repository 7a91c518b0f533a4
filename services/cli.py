"""The command line: ``shikong serve``, ``publish``, ``log``, ``diff`` and the others."""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from layers.access.grants import Role
from layers.errors import LayersError
from layers.servers.embedded import EmbeddedError
from services import (
    audit_trail,
    code_lists,
    commands,
    declarations,
    history,
    keeping,
    layer_settings,
    mappings,
    people,
    previews,
    repairs,
    tile_commands,
)
from services.applying import running
from services.applying.documents import ENDINGS
from services.applying.publish_keys import PublishKeys, keys_of
from services.errors import ServicesError
from spatial.errors import SpatialError
from spatial.operations import GRIDS_WARNING
from tiles.errors import TilesError
from tiles.grids import DEEPEST, OFFERED

_MOST_DAYS = 36_500
_MOST_ENTRIES = 100_000
# Each has a connection to the database; there are eight.
_MOST_THREADS = 8
_SCHEMA_HELP = "a schema file (docs/schema-files.md), or a profile's layer such as cn:parcels"
Command = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors are one line with a remedy, and a code that is not zero.

    Below that line may stand what there is to choose from.
    """
    # A stop from outside leaves as Ctrl-C does, so that the embedded cluster is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Grids that an intranet lacks: what they would be good for stands in the report.
    warnings.filterwarnings("ignore", GRIDS_WARNING, UserWarning)
    options = _parser().parse_args(arguments)
    command: Command = options.run
    try:
        return command(options) or 0
    except (LayersError, SpatialError, TilesError, ServicesError, EmbeddedError) as error:
        print(f"shikong: {error}", file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        print(f"shikong: the database refused: {first}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shikong",
        description="时空信息云平台 · layers published once, kept through time, read by everyone.",
    )
    parser.add_argument("--data", metavar="DIR", help="data folder (SHIKONG_DATA, or ./.shikong)")
    chosen = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _serving(chosen)
    _publishing(chosen)
    _reading(chosen)
    _changing(chosen)
    _keeping(chosen)
    _tiles(chosen)
    _people(chosen)
    _audit(chosen)
    return parser


def _add(chosen: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = chosen.add_parser(name, help=text, description=text)
    parser.add_argument("--data", metavar="DIR", default=argparse.SUPPRESS, help="data folder")
    parser.set_defaults(run=run)
    return parser


def _serving(chosen: Any) -> None:
    serve = _add(chosen, "serve", commands.serve, "serve the platform over HTTP · 启动服务")
    demo = _add(chosen, "demo", commands.demo, "publish the demo city and serve it · 演示城市")
    for parser in (serve, demo):
        parser.add_argument("--port", type=_port, default=8000, metavar="N")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument(
            "--workers", type=_workers, default=1, metavar="N", help="server processes, 1 to 64"
        )
    demo.add_argument("--city", metavar="FILE", help="city.toml of another city")
    demo.add_argument("--load-only", action="store_true", help="publish, and do not serve")


def _publishing(chosen: Any) -> None:
    publish = _add(chosen, "publish", commands.publish, "publish a source as a revision · 发布")
    preview = _add(chosen, "preview", commands.publish, "what a publish would do · 预览")
    for parser in (publish, preview):
        _of_source(parser)
        previews.add_options(parser)
    publish.set_defaults(table=False)
    preview.set_defaults(table=True, dry_run=True)


def _of_source(publish: argparse.ArgumentParser) -> None:
    add = publish.add_argument
    add(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="a file that GDAL reads, GeoParquet, CSV, alone or in a .zip (docs/publishing.md); "
        "or GeoTIFFs, each a scene of the layer",
    )
    add("--layer", required=True, metavar="ID")
    add("--kind", choices=("state", "event"))
    add("--schema", metavar="FILE", help=_SCHEMA_HELP)
    add("--mode", choices=("reload", "upsert"), help="reload for state layers, upsert for events")
    add("--key", nargs="+", metavar="FIELD", default=[])
    add("--duplicates", choices=("refuse", "merge", "first", "last", "sum"))
    start = publish.add_mutually_exclusive_group()
    start.add_argument("--valid-from", metavar="DATE", help="from when the source is so")
    start.add_argument("--valid-from-field", metavar="FIELD")
    add("--valid-to-field", metavar="FIELD")
    add("--scope", nargs="+", metavar="FIELD=VALUE", default=[], action="extend")
    declarations.add_options(publish)
    mappings.add_options(publish)
    add("--encoding", metavar="NAME", help="of attribute text: GBK")
    add("--source-layer", metavar="NAME", help="which layer, sheet, table or file of several")
    add("--query", metavar="SELECT", help="of a database, instead of a table")
    add("--coordinates", nargs=2, metavar=("X", "Y"), help="columns of a table: east, then north")
    add("--wkt", metavar="COLUMN", help="column of a table that holds well-known text")
    add("--separator", metavar="SIGN", help="between the fields of a table of text: , ; | or tab")
    repairs.add_option(publish)
    add("--scene", metavar="NAME", nargs="+", default=[], help="of GeoTIFFs; their files' names")
    add("--codes", action="store_true", help="values of the GeoTIFFs are codes: never averaged")
    add("--valid-to", metavar="DATE", help="until when the GeoTIFFs are so")
    add("--message", default="", metavar="TEXT")
    add("--document", metavar="ID", help="the legal document behind it")
    add("--dry-run", action="store_true", help="work everything out and write nothing")
    add(
        "--leave-unknown",
        action="store_true",
        help="leave out a table's rows of no feature",
    )
    add("--yes", action="store_true", help="let a reload retire more than a fifth of its scope")


def _publish_keys() -> PublishKeys:
    """What a description may say of a source: what a publish can be told of one."""
    parser = argparse.ArgumentParser()
    _of_source(parser)
    previews.add_options(parser)
    return keys_of(parser)


def _reading(chosen: Any) -> None:
    _add(chosen, "layers", commands.list_layers, "list the layers · 图层")
    log = _add(chosen, "log", history.log, "what commits did, newest first · 日志")
    log.add_argument("layer", metavar="LAYER", nargs="?")
    log.add_argument("--document", metavar="ID", help="only of this document, with each feature")
    log.add_argument("--limit", type=int, metavar="N")
    diff = _add(chosen, "diff", commands.diff, "what differs between revisions or dates · 差异")
    diff.add_argument("layer", metavar="LAYER")
    diff.add_argument("between", metavar="A..B", help="two revisions (1..2) or two dates")
    diff.add_argument("--summary", action="store_true", help="only the counts")
    export = _add(chosen, "export", commands.export, "write a snapshot to a file · 导出")
    export.add_argument("layer", metavar="LAYER")
    export.add_argument(
        "--out", required=True, metavar="FILE", help=".geojson, .gpkg, .parquet ..."
    )
    assign = _add(chosen, "assign", commands.assign, "the grid of every case · 案件归格")
    assign.add_argument("cases", metavar="CASES")
    assign.add_argument("--grids", required=True, metavar="LAYER")
    assign.add_argument("--out", metavar="FILE", help="write each case's grids as CSV")
    assign.add_argument("--tolerance", type=float, default=0.0, metavar="METRES")
    assign.add_argument(
        "--write",
        nargs="?",
        const="grid_codes",
        metavar="FIELD",
        help="write the codes into this field of the cases (grid_codes), as a commit",
    )
    assign.add_argument("--again", action="store_true", help="also where codes are written already")
    assign.add_argument("--message", default="", metavar="TEXT")
    assign.add_argument("--dry-run", action="store_true", help="say what --write would do")
    changes = _add(chosen, "changes", history.changes, "versions asserted and retracted · 变更")
    changes.add_argument("layer", metavar="LAYER")
    changes.add_argument("between", metavar="A..B", help="after revision A, up to B; 3 is 2..3")
    lineage = _add(chosen, "lineage", history.lineage, "splits and merges of a feature · 沿革")
    lineage.add_argument("layer", metavar="LAYER")
    lineage.add_argument("feature", metavar="ID")
    lineage.add_argument("--revision", type=int, metavar="N")
    lineage.add_argument("--until", metavar="TIME", help="only what had happened by then")
    _add(chosen, "tags", history.tags, "list the tags · 标签")
    for parser in (export, assign):
        parser.add_argument("--datetime", metavar="TIME", help="instant or interval; now if absent")
        parser.add_argument("--revision", type=int, metavar="N")


def _changing(chosen: Any) -> None:
    apply = _add(chosen, "apply", _apply, "edits, or a described state · 提交编辑或城市描述")
    apply.add_argument(
        "edits", metavar="FILE", help="JSON: edits (docs/edits.md); YAML, TOML: docs/apply.md"
    )
    apply.add_argument("--yes", action="store_true", help="let reloads retire more than a fifth")
    apply.add_argument("--document", metavar="ID", help="the legal document behind it")
    apply.set_defaults(known=_publish_keys())
    revert = _add(chosen, "revert", history.revert, "undo a commit by another · 撤销")
    revert.add_argument("commit", metavar="COMMIT", help="its number, or a tag")
    revert.add_argument(
        "--force", action="store_true", help="also where later commits touched the same features"
    )
    for parser in (apply, revert):
        parser.add_argument("--message", default="", metavar="TEXT")
        parser.add_argument("--dry-run", action="store_true", help="say what it would do")
    tag = _add(chosen, "tag", history.tag, "name a commit · 加标签")
    tag.add_argument("name", metavar="NAME")
    tag.add_argument("commit", metavar="COMMIT", nargs="?", help="the newest if absent")
    tag.add_argument("--note", default="", metavar="TEXT")
    erase = _add(chosen, "erase", history.erase, "remove a feature's restricted fields · 依法清除")
    erase.add_argument("layer", metavar="LAYER")
    erase.add_argument("feature", metavar="ID")
    erase.add_argument("--reason", required=True, metavar="TEXT", help="stands in the log")


def _apply(options: argparse.Namespace) -> None:
    """Commit edits, or bring the store to a described state, by the ending of the file."""
    if Path(options.edits).suffix.lower() in ENDINGS:
        running.apply(options)
    else:
        history.apply(options)


def _keeping(chosen: Any) -> None:
    layer = chosen.add_parser("layer", help="change what is said of a layer · 图层设置")
    layers = layer.add_subparsers(required=True, metavar="COMMAND")
    schema = _add(layers, "schema", history.change_schema, "give a layer another schema")
    schema.add_argument("layer", metavar="LAYER")
    schema.add_argument("--schema", required=True, metavar="FILE", help=_SCHEMA_HELP)
    schema.add_argument("--message", default="", metavar="TEXT")
    schema.add_argument("--dry-run", action="store_true", help="say what it would do")
    setting = _add(layers, "set", layer_settings.set_layer, "change a layer's settings")
    layer_settings.add_options(setting)
    codes = _add(layers, "codes", code_lists.codes, "show or replace a field's code list")
    code_lists.add_options(codes)
    shown = _add(layers, "show", layer_settings.show_layer, "settings, and who changed them")
    shown.add_argument("layer", metavar="LAYER")
    verify = _add(chosen, "verify", keeping.verify, "check that the store can be so · 检查")
    verify.add_argument("layers", metavar="LAYER", nargs="*", help="only these; all if absent")
    head = "what shikong audit --head said once: nothing up to it may be gone"
    verify.add_argument("--audit-head", metavar="SEQ:HASH", help=head)
    backup = _add(chosen, "backup", keeping.backup, "the whole store as one file · 备份")
    backup.add_argument("file", metavar="FILE", help="a new file; it holds restricted fields")
    restore = _add(chosen, "restore", keeping.restore, "fill an empty store from a backup · 恢复")
    restore.add_argument("file", metavar="FILE", help="what shikong backup wrote")


def _tiles(chosen: Any) -> None:
    tiles = _group(chosen, "tiles", "tiles made before anybody asks · 瓦片")
    seed = _add(
        tiles, "seed", tile_commands.seed_tiles, "make a layer's tiles for the server · 预制"
    )
    archive = _add(tiles, "archive", tile_commands.archive_tiles, "a snapshot as PMTiles · 归档")
    seed.add_argument("layer", metavar="LAYER")
    archive.add_argument("layer", metavar="LAYER")
    archive.add_argument("out", metavar="OUT.pmtiles")
    seed.add_argument("--matrix-set", choices=OFFERED, default=OFFERED[0])
    for parser in (seed, archive):
        add = parser.add_argument
        add("--zoom", type=_zooms, default=(0, 14), metavar="A..B", help="zooms; 0..14 if absent")
        add(
            "--format",
            choices=tile_commands.FORMATS,
            help="vector tiles or pictures; png of a raster layer if absent, mvt of any other",
        )
        add("--at", metavar="TIME", help="the instant that is shown; now if absent")
        add("--revision", type=_revision, metavar="N", help="what was known; the newest if absent")
        add("--properties", metavar="NAMES", help="as in requests: a,b or all")
        add("--workers", type=_threads, default=2, metavar="N", help="tiles at once; 2 if absent")
        add(
            "--as",
            dest="reader",
            choices=sorted(tile_commands.READERS),
            default="anonymous",
            help="whose tiles they are: everybody's, or of those who see every internal field",
        )


def _people(chosen: Any) -> None:
    keys = _group(chosen, "keys", "API keys · 密钥")
    create = _add(keys, "create", people.create_key, "make an API key; it is shown this once")
    create.add_argument("--name", default="unnamed")
    create.add_argument("--days", type=_days, metavar="N", help="expires after so many days")
    _add(keys, "list", people.list_keys, "every key that ever was, and when it was last used")
    revoke = _add(keys, "revoke", people.revoke_key, "let a key open nothing any more")
    revoke.add_argument("key", metavar="ID")
    grants = _group(chosen, "grants", "who may do what · 授权")
    listed = _add(grants, "list", people.list_grants, "the grants there are")
    listed.add_argument("grantee", metavar="WHOM", nargs="?", help="only of person:ID, key:ID ...")
    give = _add(grants, "give", people.give, "give a grant")
    give.add_argument("grantee", metavar="WHOM", help="person:ID, key:ID or department:NAME")
    take = _add(grants, "take", people.take, "take a grant back")
    take.add_argument("grant", metavar="N", type=int)
    waiting = _add(grants, "applications", people.list_applications, "what people apply for")
    for parser in (listed, waiting):
        parser.add_argument("--all", action="store_true", help="what is over and decided too")
    for name, decision in (("approve", "approved"), ("refuse", "refused")):
        decide = _add(grants, name, people.decide, f"{name} an application")
        decide.add_argument("application", metavar="N", type=int)
        decide.add_argument("--answer", default="", metavar="TEXT")
        decide.set_defaults(decision=decision)
    for parser in (create, give):
        _terms(parser, default="reader" if parser is create else None)
    known = _group(chosen, "people", "who has signed in · 人员")
    _add(known, "list", people.list_people, "everybody who ever signed in")
    for name, closed in (("close", True), ("open", False)):
        door = _add(known, name, people.close, f"{name} the door to a person")
        door.add_argument("person", metavar="ID")
        door.set_defaults(closed=closed)


def _group(chosen: Any, name: str, text: str) -> Any:
    return chosen.add_parser(name, help=text).add_subparsers(required=True, metavar="COMMAND")


def _terms(parser: argparse.ArgumentParser, default: str | None) -> None:
    add = parser.add_argument
    add("--role", choices=[role.value for role in Role], default=default, required=default is None)
    add("--layers", metavar="WHICH", default="*", help="*, layer:ID or department:NAME")
    add("--division", metavar="CODE", help="only where codes begin so: 330106")
    add("--area", metavar="SHAPE", help="only within: WKT or GeoJSON in CRS84, or @FILE of it")
    add("--fields", metavar="NAMES", help="public, internal, restricted, or ids: internal,owner")
    add("--seen-from", metavar="TIME", help="only of the world from then on")
    add("--seen-to", metavar="TIME", help="only of the world until then")
    add("--begins", metavar="TIME", help="when the grant begins")
    add("--ends", metavar="TIME", help="when the grant ends")
    add("--reason", metavar="TEXT", default="")


def _audit(chosen: Any) -> None:
    audit = _add(chosen, "audit", audit_trail.audit, "who changed and who read what · 审计")
    add = audit.add_argument
    add("--since", metavar="TIME", help="from then on; a date is its 00:00 in Asia/Shanghai")
    add("--until", metavar="TIME", help="before then")
    add("--actor", metavar="ID", help="key:ID, person:ID, shell:NAME or anonymous")
    add("--layer", metavar="LAYER")
    add("--action", metavar="WORD", help="read, commit, erase, grant, login ...")
    add("--limit", type=_count, default=100, metavar="N", help="the newest so many; 100 if absent")
    whole = audit.add_mutually_exclusive_group()
    whole.add_argument("--out", metavar="FILE", help="all of it, to a new file .jsonl or .csv")
    whole.add_argument("--head", action="store_true", help="print SEQ:HASH, to be kept elsewhere")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _MOST_ENTRIES:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to {_MOST_ENTRIES}; --out writes all")
    return int(text)


def _zooms(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    numbers = (first, last if dots else first)
    if all(n.isascii() and n.isdigit() and len(n) < 3 for n in numbers):
        found = (int(numbers[0]), int(numbers[1]))
        if found[0] <= found[1] <= DEEPEST:
            return found
    raise argparse.ArgumentTypeError(f"{text!r}: write 0..14, or 12; zooms are 0 to {DEEPEST}")


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: revisions are 1, 2, 3 ...")
    return int(text)


def _threads(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to {_MOST_THREADS}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}: a port is 1 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to 64 server processes")
    return int(text)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to {_MOST_DAYS} days; without, for ever")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
