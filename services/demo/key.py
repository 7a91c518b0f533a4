"""The demo's key: made once, and kept beside the demo's data for whoever runs it."""

from __future__ import annotations

from pathlib import Path

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.store import Store


def demo_key(store: Store, path: Path, caller: Caller) -> str | None:
    """Return the demo's key; None where it was revoked.

    Parameters
    ----------
    path : Path
        The file in which it is kept, which only its owner may read.
    caller : Caller
        Whoever runs the demo; where there never was a key, they make it.
    """
    if path.exists():
        text = path.read_text(encoding="utf-8").strip()
        return text if store.register.demo_keys() else None
    desk = Desk(store.register, caller, unbounded=True, origin="shell")
    if any(key.demo for key in desk.every_key()):
        return None
    _, text = desk.make_key("demo", Terms(Role.PUBLISHER, reason="the demo"), demo=True)
    path.touch(mode=0o600)
    path.write_text(f"{text}\n", encoding="utf-8")
    return text
