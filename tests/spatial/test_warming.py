"""Machine code is made once, and anew for other sources; who finds it compiles nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USE = """
import sys
from spatial.machine_code import is_warm
assert is_warm() and "numba" not in sys.modules
import numpy as np, shapely
from spatial.cells import index
found = index.CellIndex.build(np.array([shapely.box(0, 0, 1, 1)]))
assert found.pairs([0.5], [0.5]).polygon.tolist() == [0]
kernels = [index.locate, index.pair]
print(sum(sum(k.stats.cache_misses.values()) for k in kernels))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the sources without machine code."""
    root = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "spatial", root / "spatial", ignore=ignored)
    return root


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "HOME": str(root)}
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_machine_code_that_is_not_ours_does_not_count(copy: Path) -> None:
    """A server's user finds what root compiled, may not write beside it, and numba looks away."""
    (copy / "spatial" / "cells" / "__pycache__").mkdir(exist_ok=True)
    ask = """
import os
from unittest import mock
from spatial import machine_code
assert machine_code.note_warm() and machine_code.is_warm()
beside = machine_code._stamp()
with mock.patch.object(os, "access", lambda path, mode: False):
    print(machine_code.is_warm(), beside == machine_code._stamp())
beside.unlink()
"""
    told = run(copy, "-c", ask)
    assert told.stdout == "False False\n", told.stderr


def test_kernels_are_compiled_once_and_when_a_source_changes(copy: Path) -> None:
    cold = run(copy, "-c", "from spatial.machine_code import is_warm; print(is_warm())")
    assert cold.stdout == "False\n", cold.stderr
    first = run(copy, "-m", "spatial.warming")
    assert "Compiling" in first.stdout, first.stderr
    assert run(copy, "-m", "spatial.warming").stdout == ""
    used = run(copy, "-c", USE)
    assert used.stdout == "0\n", used.stderr
    # numba alone would run old code here: the file of the function that is called is the same
    source = copy / "spatial" / "cells" / "orientation.py"
    stat = source.stat()
    source.write_text(
        source.read_text().replace("3.3306690621773724e-16", "3.3306690621773725e-16")
    )
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    cold = run(copy, "-c", "from spatial.machine_code import is_warm; print(is_warm())")
    assert cold.stdout == "False\n", cold.stderr
    changed = run(copy, "-c", USE.replace('assert is_warm() and "numba" not in sys.modules', ""))
    assert int(changed.stdout) > 0, changed.stderr
