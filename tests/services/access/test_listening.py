"""No server listens beyond its machine while a key is valid that everybody knows."""

from __future__ import annotations

import pytest

from services.access.listening import is_loopback, refuse_open_door
from services.errors import OpenDoor

HERE = ["127.0.0.1", "127.8.9.10", "::1", "localhost", "::ffff:127.0.0.1", "127.1"]
BEYOND = ["", "0.0.0.0", "::", "::ffff:10.0.0.1", "192.168.1.7", "10.0.0.1", "fe80::1", "8.8.8.8"]
NAMELESS = ["no-such-name.invalid", "a" * 300, "127.0.0.1.invalid", " "]


@pytest.mark.parametrize("host", HERE)
def test_this_machine_may_use_the_demo_key(host: str) -> None:
    refuse_open_door(host, ["1f2e"])
    assert is_loopback(host)


@pytest.mark.parametrize("host", BEYOND + NAMELESS)
def test_nobody_else_may(host: str) -> None:
    with pytest.raises(OpenDoor, match=r"shikong keys revoke 1f2e; or listen on 127\.0\.0\.1"):
        refuse_open_door(host, ["1f2e"])


@pytest.mark.parametrize("host", HERE + BEYOND)
def test_without_such_a_key_every_door_may_open(host: str) -> None:
    refuse_open_door(host, [])


def test_each_key_is_named_with_its_remedy() -> None:
    with pytest.raises(OpenDoor) as refused:
        refuse_open_door("0.0.0.0", ["1f2e", "3a4b"])
    assert "shikong keys revoke 1f2e && shikong keys revoke 3a4b" in str(refused.value)
    assert "0.0.0.0" in str(refused.value)
