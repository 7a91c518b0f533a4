"""What is answered in the event loop: as by a thread, and without keeping others waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from land import LAND, Desk, feature

from layers.database import Database

ADDRESSES = (
    LAND,
    f"{LAND}?limit=1",
    f"{LAND}?limit=1&count=exact",
    f"{LAND}?bbox=-180,-90,180,90&count=exact",
    f"{LAND}?datetime=2021-01-01&revision=1",
    f"{LAND}?filter=use%3D%2702%27",
    f"{LAND}/a1",
    f"{LAND}/nowhere",
    f"{LAND}/a1?f=jsonfg",
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Reads for which the event loop itself waits."""
    found: list[str] = []
    whole = Database.read

    def read(self: Database, **how: Any) -> Any:
        with suppress(RuntimeError):
            found.append(repr(asyncio.get_running_loop()))
        return whole(self, **how)

    monkeypatch.setattr(Database, "read", read)
    return found


def test_the_event_loop_never_waits_for_the_database(desk: Desk, waits: list[str]) -> None:
    for number in range(3):
        for address in ADDRESSES:
            # First after a commit, of which nothing is known yet; then again, and again with a tag.
            found = [desk.client.get(address) for _ in range(2)]
            tag = {"If-None-Match": found[1].headers.get("etag", "none")}
            found.append(desk.client.get(address, headers=tag))
            assert [a.status_code for a in found] in ([200, 200, 304], [404, 404, 404]), address
            assert not waits, address
            made = desk.send("POST", LAND, feature(f"n{number}{ADDRESSES.index(address)}"))
            assert made.status_code == 201, made.text


def test_links_are_addresses_also_where_the_query_is_none(desk: Desk) -> None:
    links = desk.get(f"{LAND}?q=50%&limit=1")["links"]
    assert all("q=50%25" in x["href"] for x in links if "/items?" in x["href"])
    assert sum("/items?" in x["href"] for x in links) > 5
