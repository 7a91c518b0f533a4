"""`shikong layer set` and `layer show`: what is said of a layer, and who said it."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from layers.store import open_store
from services.app import create_app
from services.commands import READER
from services.settings import Settings

Run = Callable[..., tuple[int, str, str]]


def test_settings_are_shown_with_who_changed_them(run: Run, own_city: str) -> None:
    revisions = run("log", "grids")[1]
    code, _, err = run(
        "layer", "set", "grids", "--update-cycle", "P1Y", "--owner", "Survey", "测绘院",
        "--default-datetime", "2015-01-01", "--backdating", "yes",
    )  # fmt: skip
    assert not code, err
    shown = run("layer", "show", "grids")[1]
    assert "update_cycle      P1Y" in shown
    assert "owner             测绘院 · Survey" in shown
    assert f"shell:{getpass.getuser()}" in shown
    assert "update_cycle: - -> P1Y" in shown
    assert run("log", "grids")[1] == revisions
    run("layer", "set", "grids", "--update-cycle", "-", "--owner", "-")
    assert "update_cycle: P1Y -> -" in run("layer", "show", "grids")[1]


@pytest.mark.parametrize(
    ("option", "match"),
    [
        (("--update-cycle", "yearly"), "P1Y a year"),
        (("--update-cycle", "P"), "P1Y a year"),
        (("--default-datetime", "soon"), "soon"),
        (("--index", "nope"), "no field 'nope'"),
    ],
)
def test_refused(run: Run, own_city: str, option: tuple[str, ...], match: str) -> None:
    code, _, err = run("layer", "set", "grids", *option)
    assert code == 1
    assert match in err


def test_an_index_is_made_and_dropped(run: Run, own_city: str) -> None:
    assert run("layer", "set", "grids", "--index", "-")[0] == 0
    assert "indexes           -" in run("layer", "show", "grids")[1]
    with closing(open_store(own_city)) as store:
        stored = store.layer("grids").record.schema.stored
    name = next(f.id for f in stored if f.role is None)
    layer = "grids"
    code, _, err = run("layer", "set", layer, "--index", name)
    assert not code, err
    assert f"indexes           {name}" in run("layer", "show", layer)[1]
    assert run("verify", layer)[0] == 0
    assert run("layer", "set", layer, "--index", "-")[0] == 0
    assert "indexes           -" in run("layer", "show", layer)[1]
    assert run("verify", layer)[0] == 0


def test_a_paused_layer(run: Run, own_city: str, tmp_path: Path) -> None:
    with closing(open_store(own_city)) as store:
        client = TestClient(create_app(store, Settings(tmp_path)))
        asked = "/collections/grids/items?limit=1"
        assert client.get(asked).status_code == 200
        assert run("layer", "set", "grids", "--pause")[0] == 0
        for path in (asked, "/collections/grids", "/collections/grids/tiles"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert answer.headers["Retry-After"] == "600"
            assert "paused" in answer.json()["detail"]
        told = run("revert", str(store.log(READER, layer_id="grids")[0].commit.id), "--dry-run")[1]
        assert "grids is paused: nobody is served this until: shikong layer set grids" in told
        listed = client.get("/collections").json()["collections"]
        assert "grids" not in {c["id"] for c in listed}
        assert run("layer", "set", "grids", "--start", "--update-cycle", "P3M")[0] == 0
        assert client.get(asked).status_code == 200
        assert client.get("/collections/grids").json()["updateCycle"] == "P3M"
        assert "P3M" in client.get("/collections/grids?f=html").text
