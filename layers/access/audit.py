"""The audit: who changed what, and who read what is restricted, from where and when.

Entries are only added, by a function of the database that gives each the hash of the one before it
(docs/audit.md); whether they still stand as they were written is told by `layers.access.chain`.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.database import Database, statement
from layers.errors import BadQuery
from layers.tables import audit
from layers.writers import Writer

TILE = "tile"
_ONE_TILE_EVERY_S = 60.0
_MOST_WATCHED = 10_000
# What stands in an entry may have been sent by anybody, at any length.
_LONGEST = 500
_LONGEST_DETAIL = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that somebody did.

    Parameters
    ----------
    actor : str
        ``anonymous``, ``key:ID``, ``person:ID`` or ``shell:NAME``.
    action : str
        A word such as read, commit, erase, grant, take, key, revoke, login, login-failed.
    origin : str
        The address from which it was asked for; empty where there is none.
    layer : str, optional
        Where it was about one.
    commit : int, optional
        The commit that did it.
    request : str, optional
        Id of the request, as in the server's log.
    detail : mapping
        What more there is to say, as JSON has it: names and numbers, never a feature's values.
    """

    actor: str
    action: str
    origin: str = ""
    layer: str | None = None
    commit: int | None = None
    request: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry as the audit keeps it: its number, its moment, and its place in the chain.

    Attributes
    ----------
    seq : int
        1, 2, 3 ... without gaps.
    at : datetime
        By the database's clock; never before the entry before it.
    hash : str
        In hex digits, of this entry and the hash of the one before it.
    """

    seq: int
    at: datetime
    entry: Entry
    hash: str


class Head(NamedTuple):
    """The last entry's number and hash: kept elsewhere, it tells whether the audit was cut off.

    >>> str(Head(1, "ab" * 32))[:8]
    '1:ababab'
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def append(connection: Connection, entry: Entry) -> int:
    """Add an entry, in the transaction of what it tells, and return its number.

    Others wait to add theirs until the transaction ends: it is to be the last thing in it. The
    connection is one for writing or keeping; those for reading may not.
    """
    bounds = {
        "actor": _clean(entry.actor),
        "origin": _clean(entry.origin),
        "action": _clean(entry.action),
        "layer": None if entry.layer is None else _clean(entry.layer),
        "commit": entry.commit,
        "request": None if entry.request is None else _clean(entry.request),
        "detail": json.dumps(_clean_value(entry.detail), ensure_ascii=False),
    }
    return int(connection.execute(statement("audit/append"), bounds).scalar_one())


def by_writer(
    writer: Writer,
    action: str,
    *,
    layer: str | None = None,
    commit: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Entry:
    """Return the entry of something that a Writer did."""
    actor = writer.caller or writer.name
    return Entry(actor, action, writer.origin, layer, commit, detail=detail or {})


def read_entries(
    connection: Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    layer: str | None = None,
    action: str | None = None,
    limit: int = 100,
    after: int | None = None,
    newest_first: bool = True,
) -> list[KeptEntry]:
    """Return entries, the newest first unless told otherwise.

    Parameters
    ----------
    since, until : datetime, optional
        From the one, and before the other.
    layer : str, optional
        Also of commits over several layers, where it is among them.
    limit : int
        At most so many.
    after : int, optional
        Number of the last entry of the page before; the page goes on after it, in its order.
    """
    c = audit.c
    asked = _asked(since=since, until=until, actor=actor, layer=layer, action=action)
    if after is not None:
        asked.append(c.seq < after if newest_first else c.seq > after)
    order = c.seq.desc() if newest_first else c.seq
    query = sa.select(audit).where(*asked).order_by(order).limit(limit)
    return [_kept(row) for row in connection.execute(query)]


def _asked(
    *,
    since: datetime | None,
    until: datetime | None,
    actor: str | None,
    layer: str | None,
    action: str | None,
) -> list[sa.ColumnElement[bool]]:
    c = audit.c
    asked = [column == value for column, value in ((c.actor, actor), (c.action, action)) if value]
    if since is not None:
        asked.append(c.at >= since)
    if until is not None:
        asked.append(c.at < until)
    if layer is not None:
        several = sa.and_(c.layer.is_(None), c.action == "commit")
        asked.append(sa.or_(c.layer == layer, sa.and_(several, c.detail["layers"].has_key(layer))))
    return asked


def head(connection: Connection) -> Head:
    """Return the last entry's number and hash, zeros where there is no entry yet."""
    last = sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return Head(0, "00" * 32) if row is None else Head(row.seq, bytes(row.hash).hex())


def parse_head(text: str) -> Head:
    """Read what `head` said once.

    Raises
    ------
    BadQuery
        Where it is no number and hash.

    Examples
    --------
    >>> parse_head("12:" + "AB" * 32).seq
    12
    """
    seq, _, digits = text.strip().partition(":")
    hexadecimal = len(digits) == 64 and set(digits) <= set("0123456789abcdefABCDEF")
    if not (seq.isascii() and seq.isdigit() and len(seq) < 19 and hexadecimal):
        raise BadQuery(f"{text!r} is no head of an audit; shikong audit --head prints one")
    return Head(int(seq), digits.lower())


@dataclass
class _Seen:
    """Until when tiles of a layer need no entry more; held by whoever writes the next one."""

    until: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)


class Watch:
    """Notes reads of restricted layers, before they are answered; one a store, for all threads.

    Parameters
    ----------
    every_s : float
        For how many seconds one entry stands for all tiles of a layer that somebody takes.
    timer : callable
        Seconds that pass.
    """

    def __init__(
        self, every_s: float = _ONE_TILE_EVERY_S, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_s = every_s
        self.timer = timer
        self._seen: OrderedDict[tuple[str, str, str], _Seen] = OrderedDict()
        self._lock = threading.Lock()

    def note_read(
        self,
        database: Database,
        actor: str,
        origin: str,
        layer: str,
        what: str,
        request: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that somebody reads; when it returns, the answer may begin.

        Parameters
        ----------
        what : str
            ``tile``, of which many are one entry, or another word: items, versions, export.
        detail : mapping, optional
            What they ask for: the query, the count.

        Raises
        ------
        StoreUnavailable, LayerBusy
            Where it can't be written down; there must be no answer then.
        """
        said = {"what": what, **(detail or {})}
        entry = Entry(actor, "read", origin, layer, None, request, said)
        if what != TILE:
            _write(database, entry)
            return
        seen = self._seen_of((actor, origin, layer))
        # The others of the same map wait here until the entry that stands for them is written.
        with seen.lock:
            if self.timer() >= seen.until:
                _write(database, entry)
                seen.until = self.timer() + self.every_s

    def _seen_of(self, key: tuple[str, str, str]) -> _Seen:
        with self._lock:
            seen = self._seen.setdefault(key, _Seen())
            self._seen.move_to_end(key)
            # Who is forgotten has an entry more: none too few.
            while len(self._seen) > _MOST_WATCHED:
                self._seen.popitem(last=False)
            return seen


def _write(database: Database, entry: Entry) -> None:
    with database.keep() as connection:
        append(connection, entry)


def _clean(text: str, longest: int = _LONGEST) -> str:
    """A text as PostgreSQL can hold it: whoever sends odd letters is written down all the same."""
    held = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return held if len(held) <= longest else f"{held[: longest - 1]}…"


def _clean_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_clean(str(name)): _clean_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(inner) for inner in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _clean(str(value), _LONGEST_DETAIL)


def _kept(row: Row[Any]) -> KeptEntry:
    entry = Entry(
        row.actor, row.action, row.origin, row.layer, row.commit_id, row.request, row.detail
    )
    return KeptEntry(row.seq, row.at, entry, bytes(row.hash).hex())
