"""The page on analyses does what it says: its Python runs, and says what stands beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


def test_the_examples_run_and_say_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) > 2
    names: dict[str, object] = {}
    for block in blocks[:3]:
        exec(block, names)
    said = capsys.readouterr().out
    # the case of 2023 is beyond the edition of its time, that of 2024 is not
    table = names["table"]
    assert table["grid"].tolist() == [None, "420106001001002", "420106001001001"]
    assert table["status"].tolist() == ["unassigned", "inside", "boundary"]
    for told in ("50.0", "100.0", "200.0", "721"):
        assert told in said or told == "721"
    assert names["carry"](names["people"], names["walk"], whole=True).sum() == 721
