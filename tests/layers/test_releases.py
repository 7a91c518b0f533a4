"""The stores that releases left behind: each is restored, migrated, and answers as it did then."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from publishing import WRITER

from layers import migrations
from layers.database import connect
from layers.keeping.archive_files import opened_archive
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.store import Store, open_store
from layers.tables import STORE_FORMAT, layer
from tests.databases import Databases

STORES = Path(__file__).resolve().parents[1] / "fixtures" / "stores"
RELEASES = sorted(path.stem for path in STORES.glob("*.zip"))


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that made them: it knows the sources and the questions."""
    spec = importlib.util.spec_from_file_location("make_release_store", STORES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up the module that they are in.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=RELEASES)
def release(
    request: pytest.FixtureRequest, make_database: Databases
) -> Iterator[tuple[str, Store]]:
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, STORES / f"{request.param}.zip")
    with closing(open_store(dsn)) as store:
        yield request.param, store


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (STORES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def asked_for(then: Any, now: Any) -> Any:
    """Of an answer, what was in it then: a later release may say more."""
    if isinstance(then, dict) and isinstance(now, dict):
        return {name: asked_for(value, now.get(name)) for name, value in then.items()}
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [asked_for(one, other) for one, other in zip(then, now, strict=True)]
    return now


def test_the_first_release_is_among_them() -> None:
    assert "0.1.0" in RELEASES
    assert all((STORES / f"{name}.jsonl").exists() for name in RELEASES)
    with opened_archive(STORES / "0.1.0.zip") as archive:
        assert archive.manifest.catalogue == "0001"


def test_an_old_store_is_migrated_and_has_no_fault(release: tuple[str, Store]) -> None:
    _, store = release
    with store.database.inspect() as connection:
        assert migrations.current(connection) == migrations.HEAD
        formats = connection.scalars(sa.select(layer.c.store_format).distinct()).all()
    assert formats == [STORE_FORMAT]
    assert [str(fault) for fault in verify(store.database)] == []


def test_an_old_store_answers_as_it_did(release: tuple[str, Store], make: ModuleType) -> None:
    name, store = release
    then, now = recorded(name), json.loads(json.dumps(list(make.answers(store))))
    assert sum(len(answer.get("rows", ())) for answer in then) > 100
    assert asked_for(then, now) == then


def test_what_has_not_changed_since_is_not_written_again(
    release: tuple[str, Store], make: ModuleType
) -> None:
    _, store = release
    today = store.with_clock(lambda: datetime(2022, 1, 1, tzinfo=UTC))
    for step in {step.layer: step for step in make.steps()}.values():
        done = today.commit({step.layer: make.reload_of(step)}, WRITER, "again")
        assert done.commit is None, done.reports[step.layer].document()


def test_this_release_can_leave_one_behind_too(
    store: Store, make: ModuleType, make_database: Databases, tmp_path: Path
) -> None:
    make.fill(store)
    then = list(make.answers(store))
    assert {answer["layer"] for answer in then} == {"plots", "cases", "lots"}
    backup(store.database, tmp_path / "this.zip")
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, tmp_path / "this.zip")
    with closing(open_store(dsn)) as restored:
        assert list(make.answers(restored)) == then
        assert verify(restored.database) == []
