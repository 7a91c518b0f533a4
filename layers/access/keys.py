"""API keys: made once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.errors import BadCredential, BadGrant, UnknownCaller
from layers.tables import api_key

# Written at most so often: to note each use would make of every read a write.
_NOTED_EVERY = timedelta(minutes=1)
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Key:
    """What the store knows of a key; the key itself it does not keep."""

    id: str
    name: str
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    demo: bool = False

    @property
    def caller(self) -> str:
        """Who that is: ``key:ID``."""
        return f"key:{self.id}"

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key opens anything at an instant."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def create_key(
    connection: Connection,
    name: str,
    now: datetime,
    *,
    expires_at: datetime | None = None,
    by: str | None = None,
    demo: bool = False,
) -> tuple[Key, str]:
    """Make a key; return what is kept of it, and its text, which is shown this once.

    A key is 256 random bits, so a plain digest is as good as a slow one: there is nothing to guess.
    What it opens is a matter of grants to ``key:ID``; without any, what is public.

    Raises
    ------
    BadGrant
        Where the name is empty or too long, or the key would have expired already.
    """
    name = name.strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise BadGrant(f"a key has a name of 1 to {_LONGEST_NAME} signs: whose, and what for")
    if expires_at is not None and expires_at <= now:
        raise BadGrant(f"the key would have expired already, at {expires_at}")
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    text = f"sk_{key_id}_{secret}"
    row = {
        "id": key_id,
        "name": name,
        "digest": digest(text),
        "created_at": now,
        "created_by": by,
        "expires_at": expires_at,
        "demo": demo,
    }
    made = connection.execute(sa.insert(api_key).values(row).returning(api_key)).one()
    return _key(made), text


def find_key(connection: Connection, text: str, now: datetime) -> Key:
    """Return the key of a text.

    Raises
    ------
    BadCredential
        Where there is none, or it has expired or was revoked.
    """
    query = sa.select(api_key).where(api_key.c.digest == digest(text))
    row = connection.execute(query).one_or_none()
    if row is None or row.revoked_at is not None:
        raise BadCredential("this API key is not known; ask an administrator for one")
    if row.expires_at is not None and row.expires_at <= now:
        raise BadCredential("this API key has expired; ask an administrator for another")
    return _key(row)


def find_by_id(connection: Connection, key_id: str) -> Key:
    """Return a key by its id, valid or not.

    Raises
    ------
    UnknownCaller
        Where there is none of that id.
    """
    row = connection.execute(sa.select(api_key).where(api_key.c.id == key_id)).one_or_none()
    if row is None:
        raise UnknownCaller(f"there is no key {key_id!r}")
    return _key(row)


def note_use(connection: Connection, key: Key, now: datetime) -> None:
    """Note that a key was used, unless that was noted a moment ago."""
    connection.execute(
        sa.update(api_key)
        .where(api_key.c.id == key.id)
        .where(sa.or_(api_key.c.used_at.is_(None), api_key.c.used_at < now - _NOTED_EVERY))
        .values(used_at=now)
    )


def read_keys(connection: Connection) -> list[Key]:
    """Return all keys that ever were, the newest first."""
    query = sa.select(api_key).order_by(api_key.c.created_at.desc(), api_key.c.id)
    return [_key(row) for row in connection.execute(query)]


def revoke(connection: Connection, key_id: str, now: datetime) -> Key:
    """Let a key open nothing any more.

    Raises
    ------
    UnknownCaller
        Where there is none, or it was revoked before.
    """
    done = connection.execute(
        sa.update(api_key)
        .where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(api_key)
    ).one_or_none()
    if done is None:
        raise UnknownCaller(f"there is no key {key_id!r} that could be revoked")
    return _key(done)


def digest(text: str) -> bytes:
    """Return what is kept of a secret that is too random to be guessed."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _key(row: Row[Any]) -> Key:
    return Key(
        row.id,
        row.name,
        row.created_at,
        row.created_by,
        row.expires_at,
        row.revoked_at,
        row.used_at,
        row.demo,
    )
