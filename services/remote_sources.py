"""Sources that are no files: databases that a publisher names, servers that an allow-list does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layers.errors import BadSource
from layers.sources import Source, with_closed_rings
from layers.sourcing.asked import Asked
from layers.sourcing.collections import opened_collection
from layers.sourcing.databases import DatabaseSource, is_database
from services.access.fetching import Fetcher
from services.errors import FetchFailed, FetchRefused
from services.settings import Settings

_PAGE_BYTES = 64 << 20
_PAGE_S = 120.0


def is_remote(address: str) -> bool:
    """Return whether a source is asked for over the network.

    >>> is_remote("https://gis.city.example/collections/roads"), is_remote("roads.shp")
    (True, False)
    """
    return is_database(address) or address.startswith(("https://", "http://"))


@contextmanager
def opened_remote(
    address: str, asked: Asked, query: str | None, settings: Settings
) -> Iterator[Source]:
    """Open a table or query of a database, or a collection of a server.

    Raises
    ------
    BadSource
        Where the server is not on the list, or does not answer as it should.
    """
    if is_database(address):
        yield with_closed_rings(DatabaseSource(address, asked, query), asked)
        return
    fetcher = Fetcher(
        settings.source_hosts,
        timeout_s=_PAGE_S,
        largest_bytes=_PAGE_BYTES,
        setting="SHIKONG_SOURCES",
        accept="application/geo+json, application/json",
    )

    def fetch(url: str) -> dict[str, Any]:
        try:
            return asyncio.run(fetcher.get_json(url))
        except (FetchRefused, FetchFailed) as error:
            raise BadSource(str(error)) from None

    with opened_collection(address, fetch, asked.layer) as source:
        yield with_closed_rings(source, asked)
