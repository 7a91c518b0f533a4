"""The commands that look after a store: verify, backup, restore."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from layers.access.audit import parse_head
from layers.database import Database, connect, reachable
from layers.keeping import archives
from layers.keeping.archive_files import Manifest
from layers.keeping.verify import verify as find_faults
from layers.servers.embedded import running_cluster
from services.commands import settings_of
from services.opening import opened_store

Options = argparse.Namespace


def verify(options: Options) -> int:
    """Print what is wrong with the store, one line a fault; 1 where anything is."""
    head = parse_head(options.audit_head) if options.audit_head else None
    with opened_store(settings_of(options)) as store:
        say = _says("verify · 检查")
        faults = find_faults(store.database, say, layers=options.layers, audit_head=head)
    for fault in faults:
        print(fault)
    if faults:
        print(f"shikong: {len(faults)} faults · 发现 {len(faults)} 处错误", file=sys.stderr)
        return 1
    print("no faults · 未发现错误")
    return 0


def backup(options: Options) -> None:
    """Write the store to a file."""
    path = Path(options.file)
    with _opened_database(options) as database:
        done = archives.backup(database, path, _says("backup · 备份"))
    print(f"{_told(done)} -> {path} ({path.stat().st_size:,} bytes)")
    told = "it holds restricted fields: keep it as the store is kept"
    print(f"{told} · 含受限字段，请与数据库同等保管", file=sys.stderr)


def restore(options: Options) -> None:
    """Fill an empty store from a file."""
    path = Path(options.file)
    with _opened_database(options) as database:
        done = archives.restore(database, path, _says("restore · 恢复"))
    print(f"{path} -> {_told(done)}")


@contextmanager
def _opened_database(options: Options) -> Iterator[Database]:
    """The database as it is: a backup migrates nothing, and a restore makes the store itself."""
    settings = settings_of(options)
    if settings.database_url:
        with reachable(settings.database_url), closing(connect(settings.database_url)) as database:
            yield database
        return
    with running_cluster(settings.data) as dsn, closing(connect(dsn)) as database:
        yield database


def _says(title: str) -> Callable[[str], None]:
    """Tell on a terminal what is being looked at."""
    if not sys.stderr.isatty():
        return lambda name: None
    return lambda name: print(f"{title}: {name}", file=sys.stderr, flush=True)


def _told(done: Manifest) -> str:
    layers = sum(member.schema == "live" for member in done.members)
    return f"{layers} layers, {done.rows:,} rows, release {done.shikong}"
