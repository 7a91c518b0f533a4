"""What the tests of the store share: short ways to make frames, schemas, publishes and stores."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from layers.store import open_store
from tests.databases import Databases

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def rich_template(empty_template: str, make_database: Databases) -> str:
    """The address of a store with everything in it, to copy and never to write."""
    from rich_store import fill

    dsn = make_database(empty_template)
    with closing(open_store(dsn)) as store:
        fill(store)
    return dsn
