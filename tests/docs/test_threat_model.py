"""The threat model names no test that is not there: a defence is held by one, or by nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("SECURITY.md", "docs/threat-model.md")


def test_every_test_that_holds_a_defence_is_there() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    named = set(re.findall(r"tests/[\w/]+\.py", text))
    assert "tests/web/test_policy.py" in named
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_page_that_is_linked_is_there(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).is_file()] == []
