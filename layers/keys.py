"""API keys: made once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from layers.clock import Clock
from layers.database import Database
from layers.errors import BadCredential
from layers.tables import api_key

ROLES = ("reader", "publisher")


@dataclass(frozen=True, slots=True)
class Key:
    """What the store knows of a key; the key itself it does not keep."""

    id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None


def create_key(
    database: Database, clock: Clock, name: str, role: str, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """Make a key; return what is kept of it, and its text, which is shown this once.

    A key is 256 random bits, so a plain digest is as good as a slow one: there is nothing to guess.
    """
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = Key(key_id, name, role, clock(), expires_at)
    row = {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "digest": _digest(f"sk_{key_id}_{secret}"),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    with database.write() as connection:
        connection.execute(sa.insert(api_key).values(row))
    return key, f"sk_{key_id}_{secret}"


def find_key(database: Database, clock: Clock, text: str) -> Key:
    """Return the key of a text.

    Raises
    ------
    BadCredential
        Where there is none, or it has expired or was revoked.
    """
    with database.read() as connection:
        query = sa.select(api_key).where(api_key.c.digest == _digest(text))
        row = connection.execute(query).one_or_none()
    if row is None or row.revoked_at is not None:
        raise BadCredential("this API key is not known; make one with: shikong keys create")
    if row.expires_at is not None and row.expires_at <= clock():
        raise BadCredential("this API key has expired; make another with: shikong keys create")
    return Key(row.id, row.name, row.role, row.created_at, row.expires_at)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
