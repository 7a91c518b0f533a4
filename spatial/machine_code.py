"""The machine code of the kernels: what it is made of, and whether this machine has it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sysconfig
from functools import cache
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("cells", "drawing", "overlay")
_HERE = Path(__file__).parent


def is_warm() -> bool:
    """Return whether the machine code of this version is kept where this user's processes look.

    It looks at one small file, and loads neither numba nor NumPy.
    """
    return _stamp().exists()


def note_warm() -> bool:
    """Note that all machine code of this version is kept; return whether that could be noted."""
    stamp = _stamp()
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    except OSError:
        return False
    return True


def _stamp() -> Path:
    """Return where it is noted: beside the kernels, or, where those are not ours, in our cache.

    numba does alike: who may not write beside a source looks in a cache of one's own only, even
    where somebody else has left machine code there.
    """
    name = f"warm-{_machine()}-{sources_fingerprint()}"
    beside = _HERE / "cells" / "__pycache__"
    if os.access(beside if beside.exists() else beside.parent, os.W_OK):
        return beside / name
    return Path(os.path.expanduser("~")) / ".cache" / "shikong" / name  # noqa: PTH111 - never fails


@cache
def _machine() -> str:
    """Return what machine code depends on, besides its source."""
    # and the path, by which a cache of one's own is ordered
    told = [
        str(_HERE),
        version("numba"),
        sysconfig.get_config_var("SOABI") or "",
        platform.machine(),
    ]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told += next(([line] for line in lines if line.startswith("flags")), [])
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


@cache
def sources_fingerprint() -> str:
    """Return the hash of every source that machine code is made of."""
    found = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((_HERE / room).glob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
