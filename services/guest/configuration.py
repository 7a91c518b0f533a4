"""pygeoapi's configuration and its API object, made here instead of from files and environment."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pygeoapi.api import API

from services.parameters import DEFAULT_LIMIT, LARGEST_LIMIT

MANAGER = "services.guest.execution.SynchronousManager"
LANGUAGES = ("en", "zh")
PROCESSES = {"assign-cases-to-grids": "services.guest.case_grids.CaseGridsProcessor"}

# Without a handler of its own, what pygeoapi says of every 404 would go to standard error
logging.getLogger("pygeoapi").addHandler(logging.NullHandler())


def configuration(base_url: str) -> dict[str, Any]:
    """Return pygeoapi's configuration.

    It depends on the address alone: which layers there are is asked when a process runs, as the
    reader who runs it, so that no change of the catalogue ever makes it stale.

    Examples
    --------
    >>> list(configuration("https://shikong.example")["resources"])
    ['assign-cases-to-grids']
    """
    return {
        "server": {
            "url": base_url,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": list(LANGUAGES),
            "limits": {"default_items": DEFAULT_LIMIT, "max_items": LARGEST_LIMIT},
            "manager": {"name": MANAGER},
        },
        "logging": {"level": "ERROR"},
        "metadata": {"identification": {"title": {"en": "Shikong", "zh": "时空"}}},
        "resources": {
            name: {"type": "process", "processor": {"name": plugin}}
            for name, plugin in PROCESSES.items()
        },
    }


# Bounded, as the address comes from the Host header where the settings state none
@lru_cache(maxsize=8)
def guest_api(base_url: str) -> API:
    """Return pygeoapi's API object for an address."""
    with _root_logger_kept():
        return API(configuration(base_url), {})


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    # API() calls logging.basicConfig, which does nothing where the root has a handler
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
