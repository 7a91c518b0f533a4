"""The settings of the limits: what is read, and that a bad one is one line at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli import main
from services.errors import BadSettings
from services.settings import Settings, read_settings


def test_what_is_not_set_has_its_default() -> None:
    found = read_settings({"SHIKONG_RATE": "", "SHIKONG_AT_ONCE": ""})
    assert (found.rate, found.failures) == ("3000/minute", "20/minute")
    assert (found.at_once, found.each) == (16, 8)
    assert found == Settings(found.data)


def test_what_is_set_is_read() -> None:
    found = read_settings(
        {
            "SHIKONG_RATE": "5/second",
            "SHIKONG_FAILURES": "3/hour",
            "SHIKONG_AT_ONCE": "4",
            "SHIKONG_EACH": "2",
        }
    )
    assert (found.rate, found.failures, found.at_once, found.each) == ("5/second", "3/hour", 4, 2)


BAD = [
    *((name, text) for name in ("SHIKONG_RATE", "SHIKONG_FAILURES")
      for text in ("often", "0/minute", "-1/minute", "5", "1/second;2/minute", " ")),
    *((name, text) for name in ("SHIKONG_AT_ONCE", "SHIKONG_EACH")
      for text in ("0", "-1", "many", "1.5", "10001", "9" * 5000, "٣", " ")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), BAD)
def test_what_can_not_be_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadSettings, match=name):
        read_settings({name: text})


def test_a_bad_setting_is_one_line_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHIKONG_RATE", "often")
    assert main(["--data", str(tmp_path / "store"), "serve"]) == 1
    said = capsys.readouterr().err
    assert said == "shikong: SHIKONG_RATE='often': a rate such as 3000/minute or 100/second\n"
    assert not (tmp_path / "store").exists()
