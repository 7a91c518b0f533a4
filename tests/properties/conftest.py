"""What the property tests share: the naive models beside them, and a store of their own."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from layers.store import Store, open_store
from tests.databases import Databases

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def own_store(empty_template: str, make_database: Databases) -> Iterator[Store]:
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as opened:
        yield opened
