"""keys, grants, people and audit on the command line; and where the demo's key is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.errors import BadCredential
from layers.readers import Reader
from layers.store import open_store
from services.demo.key import demo_key

Run = Callable[..., tuple[int, str, str]]
ANYONE = Reader.anonymous()
WHO = Caller("shell:tests", "tests")


def test_a_key_is_made_listed_and_revoked(run: Run, own_city: str) -> None:
    bounds = ("--layers", "layer:parcels", "--division", "16")
    named = ("keys", "create", "--name", "QGIS", "--role", "editor", "--days", "9")
    code, text, said = run(*named, *bounds)
    assert (code, text.startswith("sk_"), text.count("\n")) == (0, True, 1)
    key_id = text.split("_")[1]
    assert f"key {key_id} (editor)" in said
    with closing(open_store(own_city)) as store:
        (terms,) = store.register.by_key(text.strip()).terms
    assert (terms.role, terms.layers, terms.territory.division) == ("editor", "layer:parcels", "16")
    code, out, _ = run("keys", "list")
    assert f"key:{key_id}  QGIS  made " in out
    assert "last used 20" in out
    assert text.strip() not in out
    assert run("keys", "revoke", f"key:{key_id}")[0] == 0
    assert "revoked" in run("keys", "list")[1]
    with closing(open_store(own_city)) as store, pytest.raises(BadCredential):
        store.register.by_key(text.strip())
    code, _, said = run("keys", "revoke", key_id)
    assert code == 1
    assert "no key" in said


def test_grants_are_given_listed_and_taken(run: Run, own_city: str, tmp_path: Path) -> None:
    shape = tmp_path / "area.wkt"
    shape.write_text("POLYGON ((0 0, 1 0, 1 1, 0 0))")
    bounds = ("--area", f"@{shape}", "--ends", "2999-01-01", "--reason", "survey")
    code, out, _ = run("grants", "give", "department:规划局", "--role", "publisher", *bounds)
    assert code == 0
    number = out.split()[0]
    assert "department:规划局  publisher of * within an area" in out
    assert "(survey)" in out
    assert out in run("grants", "list")[1]
    assert run("grants", "list", "key:0a1b")[1] == ""
    assert run("grants", "take", number)[0] == 0
    assert run("grants", "list")[1] == ""
    assert "taken back by shell:" in run("grants", "list", "--all")[1]


@pytest.mark.parametrize(
    "wrong",
    [
        ("give", "somebody", "--role", "reader"),
        ("give", "key:0a1b", "--role", "reader"),
        ("give", "department:a", "--role", "reader", "--layers", "parcels"),
        ("give", "department:a", "--role", "reader", "--area", "@/no/such/file"),
        ("give", "department:a", "--role", "reader", "--ends", "2001-01-01"),
        ("give", "department:a", "--role", "reader", "--seen-from", "yesterday"),
        ("take", "99"),
        ("approve", "99"),
    ],
)
def test_a_wrong_grant_is_one_line(run: Run, own_city: str, wrong: tuple[str, ...]) -> None:
    code, out, said = run("grants", *wrong)
    assert (code, out) == (1, "")
    assert said.startswith("shikong: ")
    assert said.count("\n") == 1


def test_applications_are_decided(run: Run, own_city: str) -> None:
    with closing(open_store(own_city)) as store:
        who = store.register.by_identity("https://login.example", "7", "王芳", None, "规划局")
        desk = Desk(store.register, who)
        first, second = (
            desk.apply(Terms(Role.READER, "layer:parcels", reason=why)) for why in ("a", "b")
        )
    assert run("grants", "applications")[1].count("waits") == 2
    assert run("grants", "approve", str(first.id))[1].count("\n") == 2
    assert "refused by shell:" in run("grants", "refuse", str(second.id), "--answer", "no")[1]
    assert run("grants", "applications")[1] == ""
    assert run("grants", "applications", "--all")[1].count("\n") == 2
    assert "王芳  规划局" in run("people", "list")[1]
    assert "closed" in run("people", "close", who.id)[1]
    assert "王芳: open" in run("people", "open", who.id)[1]
    code, _, said = run("people", "close", "0000")
    assert (code, "no person" in said) == (1, True)


def test_a_layer_s_department_and_approval(run: Run, own_city: str) -> None:
    assert run("layer", "set", "parcels", "--department", "规划局", "--pending")[0] == 0
    with closing(open_store(own_city)) as store:
        assert "parcels" not in {record.id for record in store.layers(ANYONE)}
    assert run("layer", "set", "parcels", "--department", "-", "--approve")[0] == 0
    with closing(open_store(own_city)) as store:
        assert "parcels" in {record.id for record in store.layers(ANYONE)}
    assert run("layer", "set", "parcels")[0] == 1


def test_the_server_is_not_opened_to_others_with_the_demo_s_key(
    run: Run, own_city: str, tmp_path: Path
) -> None:
    with closing(open_store(own_city)) as store:
        text = demo_key(store, tmp_path / "demo.key", WHO)
        assert text is not None
        assert demo_key(store, tmp_path / "demo.key", WHO) == text
    assert (tmp_path / "demo.key").stat().st_mode & 0o777 == 0o600
    for host in ("0.0.0.0", "::", ""):
        code, _, said = run("serve", "--host", host, "--port", "1")
        assert code == 1
        assert "shikong keys revoke" in said
    assert run("keys", "revoke", text.split("_")[1])[0] == 0
    with closing(open_store(own_city)) as store:
        assert demo_key(store, tmp_path / "demo.key", WHO) is None
        assert demo_key(store, tmp_path / "other.key", WHO) is None
