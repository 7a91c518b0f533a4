"""The house holds: imports go down only, and every module says what lives in it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("spatial", "layers", "tiles", "services")
MODULES = sorted(
    path
    for floor in FLOORS
    for path in (ROOT / floor).rglob("*.py")
    if "node_modules" not in path.parts
)
# Far above the habit (files of 100-300 lines, functions of 5-25): what lies beyond has lost its
# shape, whatever the reason.
FILE_LINES, FUNCTION_LINES = 600, 80


def test_the_contracts_of_import_linter_hold() -> None:
    pytest.importorskip("importlinter", reason="import-linter is in the dependency group check")
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_in_one_sentence_what_lives_there(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, "no docstring"
    first = text.splitlines()[0]
    assert first.endswith((".", "::", "。")), f"{first!r} is no sentence of one line"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_keep_their_shape(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1 - documented.count("\n")
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_routes_reach_the_store_through_who_asks_alone() -> None:
    """`Admitted` is the one way; sessions are begun and ended before there is anybody."""
    doors = [*(ROOT / "services/routes").rglob("*.py"), *(ROOT / "services/guest").rglob("*.py")]
    assert len(doors) > 10
    for path in doors:
        if path.name != "login.py":
            text = path.read_text(encoding="utf-8")
            for way in ("app.state.store", "Reader.everything", "open_store", ".database"):
                assert way not in text, f"{path.name} reaches the store by {way}"


def test_who_only_answers_loads_neither_pandas_nor_gdal() -> None:
    """Of 264 MB they were 70, on a server that may have few."""
    heavy = {"pandas", "geopandas", "pyogrio", "numba", "llvmlite", "distributed"}
    script = f"import sys, services.app, services.commands; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("floor", FLOORS[1:])
def test_nothing_is_read_at_import(floor: str) -> None:
    """The environment is read by `services.settings` and nowhere else."""
    for path in (p for p in MODULES if p.relative_to(ROOT).parts[0] == floor):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            text = ast.unparse(node)
            assert "os.environ" not in text, f"{path.relative_to(ROOT)}: {text}"
            assert "getenv" not in text, f"{path.relative_to(ROOT)}: {text}"
