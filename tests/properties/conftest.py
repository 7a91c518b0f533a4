"""What the property tests share: the naive models beside them, and a store of their own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from layers.store import Store, open_store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def own_store(empty_template: str, make_database: Callable[..., str]) -> Iterator[Store]:
    with closing(open_store(make_database(empty_template))) as opened:
        yield opened
