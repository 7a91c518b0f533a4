"""API keys: shown once, kept as a digest, gone when they expire."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from publishing import START

from layers import tables
from layers.errors import BadCredential
from layers.keys import create_key, find_key
from layers.store import Store


def test_a_key_is_found_by_its_text_alone(store: Store) -> None:
    made, text = create_key(store.database, lambda: START, "gis office", "publisher")
    assert find_key(store.database, lambda: START, text) == made
    for other in (text[:-1], f"{text}x", "", "sk_1_2", "\ud800", "x" * 10_000):
        with pytest.raises(BadCredential):
            find_key(store.database, lambda: START, other)


def test_the_text_of_a_key_is_not_kept(store: Store) -> None:
    _, text = create_key(store.database, lambda: START, "n", "reader")
    with store.database.read() as connection:
        kept = connection.execute(sa.select(tables.api_key)).one()
    assert text not in str(kept)
    assert text.rsplit("_", 1)[-1] not in str(kept)


def test_a_key_ends(store: Store) -> None:
    end = START + timedelta(days=1)
    _, text = create_key(store.database, lambda: START, "n", "reader", end)
    assert find_key(store.database, lambda: end - timedelta(seconds=1), text).expires_at == end
    with pytest.raises(BadCredential, match="expired"):
        find_key(store.database, lambda: end, text)
    with store.database.write() as connection:
        connection.execute(sa.update(tables.api_key).values(revoked_at=START))
    with pytest.raises(BadCredential, match="not known"):
        find_key(store.database, lambda: START, text)
