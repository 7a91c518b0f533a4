"""The audit's chain: each entry recomputed, apart from the database's function; and its export."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.access.audit import Head
from layers.tables import audit

# In the order in which they are hashed.
HASHED = ("seq", "at", "actor", "origin", "action", "layer", "commit_id", "request", "detail")
BEFORE_THE_FIRST = bytes(32)
_STREAMED = 1000
_NUMBERS = frozenset({"seq", "commit_id"})
_WRITTEN = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?\+00")


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as it is hashed.

    Attributes
    ----------
    values : tuple of str or None
        Of the columns `HASHED`, as texts.
    previous, hash : bytes
        As they stand in it, whether they are right or not.
    """

    seq: int
    values: tuple[str | None, ...]
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """What is wrong with the audit, and at which entry."""

    seq: int
    text: str


def link_hash(previous: bytes, values: Sequence[str | None]) -> bytes:
    """Return what an entry's hash must be, given the hash of the one before it.

    >>> link_hash(bytes(32), ["a", ""]) == link_hash(bytes(32), ["a", None])
    False
    """
    return hashlib.sha256(previous + b"".join(map(_encoded, values))).digest()


def _encoded(value: str | None) -> bytes:
    if value is None:
        return b"\x00"
    text = value.encode()
    return b"\x01" + len(text).to_bytes(8, "big") + text


def read_links(connection: Connection) -> Iterator[Link]:
    """Yield all entries in order, a few at a time."""
    columns: list[sa.ColumnElement[Any]] = [
        sa.cast(audit.c[name], sa.Text).label(name) for name in HASHED
    ]
    # By the number itself: the texts would have 10 come before 2.
    query: sa.Select[Any] = sa.select(*columns, audit.c.previous, audit.c.hash)
    ordered = query.order_by(audit.c.seq)
    for row in connection.execute(ordered, execution_options={"yield_per": _STREAMED}):
        yield _link(row)


def _link(row: Row[Any]) -> Link:
    values = (row.seq, _instant(row.at), *row[2 : len(HASHED)])
    return Link(int(row.seq), values, bytes(row.previous or b""), bytes(row.hash or b""))


def _instant(text: str | None) -> str | None:
    """The instant as it is hashed; whatever can't be one stays as it is, and fits no hash."""
    match = _WRITTEN.fullmatch(text or "")
    if match is None:
        return text
    day, hour, fraction = match.groups(default="")
    return f"{day}T{hour}.{fraction.ljust(6, '0')}Z"


def broken_links(connection: Connection, anchor: Head | None = None) -> Iterator[BrokenLink]:
    """Yield what is wrong with the chain: entries changed, missing, misplaced or cut off.

    Parameters
    ----------
    anchor : Head, optional
        What `layers.access.audit.head` said at some moment, kept elsewhere. Without one, nobody can
        tell whether the last entries are gone, or all was written anew with other hashes.
    """
    before: Link | None = None
    for link in read_links(connection):
        if text := _misplaced(before, link):
            yield BrokenLink(link.seq, text)
        if link_hash(link.previous, link.values) != link.hash:
            yield BrokenLink(link.seq, "is not what was written, by its hash")
        if anchor is not None and link.seq == anchor.seq and link.hash.hex() != anchor.hash:
            yield BrokenLink(link.seq, f"is not the one whose hash was kept, {anchor.hash}")
        before = link
    last = before.seq if before else 0
    if anchor is not None and last < anchor.seq:
        yield BrokenLink(anchor.seq, f"was there once, and the last one now is {last}")


def _misplaced(before: Link | None, link: Link) -> str | None:
    """Say what is wrong with where a link stands, after the one before it."""
    last = before.seq if before else 0
    if link.seq <= last:
        return "stands there twice" if before else "has a number that none can have"
    if link.seq > last + 1:
        gone = f"{last + 1} to {link.seq - 1}" if link.seq > last + 2 else f"{last + 1}"
        return f"follows on entries that are missing: {gone}"
    if link.previous != (before.hash if before else BEFORE_THE_FIRST):
        return "does not go on from the entry before it, by its hash"
    if before and (link.values[1] or "") < (before.values[1] or ""):
        return "is of an earlier moment than the entry before it"
    return None


def json_line(link: Link) -> str:
    """Return an entry as a line of JSON, from which anybody can compute its hash again."""
    texts = zip(HASHED, link.values, strict=True)
    row: dict[str, Any] = {n: int(v) if v and n in _NUMBERS else v for n, v in texts}
    return f"{json.dumps(row | {'previous': link.previous.hex(), 'hash': link.hash.hex()})}\n"


def csv_line(link: Link) -> str:
    """Return an entry as a line of CSV, in which NULL is nothing and an empty text is ``""``."""
    return _csv((*link.values, link.previous.hex(), link.hash.hex()))


def _csv(values: Iterable[str | None]) -> str:
    quoted = ("" if v is None else '"' + v.replace('"', '""') + '"' for v in values)
    return f"{','.join(quoted)}\r\n"


FORMS: dict[str, tuple[str, Callable[[Link], str]]] = {
    "jsonl": ("", json_line),
    "csv": (_csv((*HASHED, "previous", "hash")), csv_line),
}


def export_lines(links: Iterable[Link], form: str) -> Iterator[str]:
    """Yield the lines of an export, ``jsonl`` or ``csv``; memory does not grow with them."""
    first, written = FORMS[form]
    if first:
        yield first
    yield from map(written, links)
