"""The machine code of the kernels: what it is made of, and whether this machine has it."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import sysconfig
from functools import cache
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("cells", "overlay")
_HERE = Path(__file__).parent


def is_warm() -> bool:
    """Return whether the machine code of this version is kept for this machine.

    It looks at one small file, and loads neither numba nor NumPy.
    """
    return any(place.exists() for place in _stamps())


def note_warm() -> bool:
    """Note that all machine code of this version is kept; return whether that could be noted."""
    for place in _stamps():
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            return True
    return False


def _stamps() -> tuple[Path, Path]:
    """Where it may be noted that the kernels are compiled: beside them, or in the user's cache."""
    name = f"warm-{_machine()}-{sources_fingerprint()}"
    return _HERE / "cells" / "__pycache__" / name, Path.home() / ".cache" / "shikong" / name


@cache
def _machine() -> str:
    """Return what machine code depends on, besides its source."""
    told = [version("numba"), sysconfig.get_config_var("SOABI") or "", platform.machine()]
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
