"""The number that processes of one machine share, and what a store knows of layers by it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from layers import counters
from layers.counters import Counter, counter_of
from layers.edits import Update
from layers.readers import Reader
from layers.store import open_store
from layers.writers import Writer
from tests.databases import Databases

RAISE = "import sys; from layers.counters import counter_of; counter_of(sys.argv[1]).raise_()"


def test_another_process_raises_it() -> None:
    name = f"test {os.getpid()}"
    with closing(counter_of(name)) as one, closing(counter_of(name)) as other:
        assert one.is_shared
        before = one.value
        one.raise_()
        assert other.value == one.value == before + 1
        subprocess.run([sys.executable, "-c", RAISE, name], check=True)
        assert one.value == before + 2
        with closing(counter_of(f"{name} beside")) as beside:
            beside.raise_()
        assert one.value == before + 2


def test_a_file_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    """Nor one behind a link: folders of temporary files are everybody's."""
    target = tmp_path / "target"
    target.write_bytes(b"something of value")
    link = tmp_path / "link"
    link.symlink_to(target)
    with closing(Counter(link)) as found:
        assert not found.is_shared
        found.raise_()
        assert found.value == 1
    assert target.read_bytes() == b"something of value"


def test_without_shared_memory_it_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_FOLDERS", (Path("/nowhere"),))
    with closing(counter_of("anything")) as found:
        assert not found.is_shared
        found.raise_()
        assert found.value == 1


def test_who_follows_knows_of_a_commit_as_soon_as_it_is_answered(
    demo_template: str, make_database: Databases
) -> None:
    """Without waiting for what the database tells: the other store looks into the memory."""
    dsn = make_database(demo_template)
    reader = Reader.anonymous()
    with closing(open_store(dsn)) as one, closing(open_store(dsn)) as other:
        other.follow()
        while other.known_layer("parcels", reader) is None:
            other.layer("parcels", reader)
        for n in range(20):
            head = other.layer("parcels", reader).record.head
            edit = Update("169-100", {"title_deed": f"deed {n} (synthetic)"})
            one.commit({"parcels": [edit]}, Writer("test"), "change")
            assert other.layer("parcels", reader).record.head == head + 1
