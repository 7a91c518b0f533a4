"""API keys: shown once, kept as a digest, gone when they expire."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from publishing import START

from layers import tables
from layers.access import keys
from layers.access.keys import Key
from layers.errors import BadCredential, BadGrant, UnknownCaller
from layers.store import Store


def made(store: Store, name: str = "gis office", end: datetime | None = None) -> tuple[Key, str]:
    with store.database.keep() as connection:
        return keys.create_key(connection, name, START, expires_at=end, by="shell:root")


def found(store: Store, text: str, now: datetime = START) -> Key:
    with store.database.keep() as connection:
        return keys.find_key(connection, text, now)


def test_a_key_is_found_by_its_text_alone(store: Store) -> None:
    key, text = made(store)
    assert found(store, text) == key
    for other in (text[:-1], f"{text}x", "", "sk_1_2", "\ud800", "x" * 10_000):
        with pytest.raises(BadCredential):
            found(store, other)


def test_the_text_of_a_key_is_not_kept(store: Store) -> None:
    _, text = made(store)
    with store.database.keep() as connection:
        kept = connection.execute(sa.select(tables.api_key)).one()
    assert text not in str(kept)
    assert text.rsplit("_", 1)[-1] not in str(kept)


def test_a_key_ends(store: Store) -> None:
    end = START + timedelta(days=1)
    key, text = made(store, end=end)
    assert found(store, text, end - timedelta(seconds=1)).expires_at == end
    with pytest.raises(BadCredential, match="expired"):
        found(store, text, end)
    with store.database.keep() as connection:
        assert keys.revoke(connection, key.id, START).revoked_at == START
        with pytest.raises(UnknownCaller):
            keys.revoke(connection, key.id, START)
    with pytest.raises(BadCredential, match="not known"):
        found(store, text)


def test_the_last_use_of_a_key_is_known_to_a_minute(store: Store) -> None:
    key, _ = made(store)
    uses = []
    for seconds in (0, 30, 59, 61, 100):
        with store.database.keep() as connection:
            keys.note_use(connection, key, START + timedelta(seconds=seconds))
            uses.append(keys.read_keys(connection)[0].used_at)
    assert uses == [START] * 3 + [START + timedelta(seconds=61)] * 2


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
def test_a_key_has_a_name(store: Store, name: str) -> None:
    with pytest.raises(BadGrant):
        made(store, name)


def test_a_key_that_is_over_is_not_made(store: Store) -> None:
    with pytest.raises(BadGrant, match="expired already"):
        made(store, end=START)
