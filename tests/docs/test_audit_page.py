"""What docs/audit.md says of an export holds: its program checks one without the platform."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from layers.access.audit import Entry, append, head
from layers.access.chain import export_lines, read_links
from layers.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    file = tmp_path / "check.py"
    file.write_text(block, encoding="utf-8")
    return file


def check(program: Path, export: Path) -> subprocess.CompletedProcess[str]:
    # Without any package: as somebody else would run it.
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(program), str(export)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)


def test_the_program_checks_an_export(store: Store, program: Path, tmp_path: Path) -> None:
    export = tmp_path / "audit.jsonl"
    with store.database.keep() as connection:
        for odd in ("", "地块 🗺", 'a"b', "\0", "\u2028\r\n"):
            append(connection, Entry(odd, "read", odd, odd, 7, odd, {odd: [1.50, odd, None]}))
        append(connection, Entry("shell:x", "export"))
        export.write_text("".join(export_lines(read_links(connection), "jsonl")), "utf-8")
        whole = head(connection)
    assert check(program, export).stdout == f"{whole}\n"
    lines = export.read_text("utf-8").splitlines()
    altered = [json.loads(lines[0]) | {"layer": None}, json.loads(lines[1]) | {"actor": "b"}]
    for number, row in enumerate(altered):
        forged = [*lines[:number], json.dumps(row), *lines[number + 1 :]]
        export.write_text("\n".join(forged), "utf-8")
        assert check(program, export).returncode == 1
    export.write_text("\n".join(lines[1:]), "utf-8")
    assert check(program, export).returncode == 1
    export.write_text("", "utf-8")
    assert check(program, export).stdout == f"0:{'00' * 32}\n"
