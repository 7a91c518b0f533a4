"""The audit on the command line: its last lines, all of it as a file, its head."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from layers.access import audit as trail
from layers.access.audit import Head, KeptEntry
from layers.access.chain import FORMS, Link, export_lines, read_links
from layers.store import Store
from services.commands import settings_of
from services.errors import BadParameter
from services.opening import opened_store
from spatial.periods import format_instant, parse_instant

Options = argparse.Namespace
ZONE = ZoneInfo("Asia/Shanghai")


def audit(options: Options) -> None:
    """Print entries, the newest last; or all of them to a file; or the head."""
    _check(options)
    with opened_store(settings_of(options)) as store:
        if options.out:
            _export(store, Path(options.out))
        elif options.head:
            with store.database.keep() as connection:
                print(trail.head(connection))
        else:
            _list(store, options)


def _check(options: Options) -> None:
    chosen = [options.since, options.until, options.actor, options.layer, options.action]
    if (options.out or options.head) and any(value is not None for value in chosen):
        raise BadParameter(
            "--out and --head are of the whole audit; a part of a chain proves little"
        )
    if options.out and _form(Path(options.out)) not in FORMS:
        raise BadParameter(f"{options.out}: name a file .jsonl or .csv")


def _list(store: Store, options: Options) -> None:
    with store.database.keep() as connection:
        found = trail.read_entries(
            connection,
            since=_instant(options.since),
            until=_instant(options.until),
            actor=options.actor,
            layer=options.layer,
            action=options.action,
            limit=options.limit,
        )
    for kept in reversed(found):
        print(_line(kept))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text, ZONE)


def _line(kept: KeptEntry) -> str:
    entry = kept.entry
    commit = None if entry.commit is None else f"commit {entry.commit}"
    request = None if entry.request is None else f"request {entry.request}"
    detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else None
    origin = f"from {entry.origin}" if entry.origin else None
    words = (entry.actor, entry.action, entry.layer, commit, origin, request, detail)
    said = "  ".join(word for word in words if word)
    return f"{kept.seq:<6} {format_instant(kept.at)}  {_shown(said)}"


def _shown(text: str) -> str:
    """Without what would steer a terminal: anybody may have sent it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _export(store: Store, path: Path) -> None:
    heads = [Head(0, "00" * 32)]
    try:
        # For its owner alone, and never over another.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadParameter(f"{path} can't be made: {error.strerror}; name another file") from None
    try:
        with (
            open(handle, "w", encoding="utf-8", newline="") as file,  # noqa: PTH123 - a handle
            store.database.keep() as connection,
        ):
            file.writelines(export_lines(_watched(read_links(connection), heads), _form(path)))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    last = heads[-1]
    print(f"{last.seq} entries · 条审计记录 -> {path}; head {last}")


def _watched(links: Iterable[Link], heads: list[Head]) -> Iterator[Link]:
    """Keep the last link's head while they pass by."""
    for link in links:
        heads[-1] = Head(link.seq, link.hash.hex())
        yield link


def _form(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
