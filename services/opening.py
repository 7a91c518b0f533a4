"""The platform's store, opened as this installation has it: embedded, or on DATABASE_URL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from layers.servers.embedded import running_cluster
from layers.store import Store, open_store
from services.settings import Settings, read_settings


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def opened_store(
    settings: Settings | None = None, *, say: Callable[[str], None] = _to_stderr
) -> Iterator[Store]:
    """Open the store, starting the embedded PostGIS where no other is named, and stop it again.

    Parameters
    ----------
    settings : Settings, optional
        Of this installation; read from the environment where absent.
    say : callable
        Told what the embedded cluster has to say.

    Notes
    -----
    As the notebook has it, which the tests run::

        with opened_store() as store:
            parcels = store.layer("parcels").at("2014-06-01").read()
    """
    settings = settings or read_settings()
    copies = copies_in(settings)
    with ExitStack() as stack:
        dsn = settings.database_url
        if not dsn:
            dsn = stack.enter_context(running_cluster(settings.data, say=say))
        yield stack.enter_context(closing(open_store(dsn, copies=copies)))


def copies_in(settings: Settings) -> Path:
    """Return where an installation keeps copies of scenes' files."""
    return settings.data / "cache" / "rasters"
