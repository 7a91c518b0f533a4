"""The set-up scripts where that is cheap: what they say, and what they leave alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the scripts call besides what a test puts in its place.
PROGRAMS = ("sh", "dirname", "id", "cat", "sed", "tr", "sha256sum", "cut", "mkdir", "flock")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Give a search path of a Debian with nothing installed, whose user is nobody in particular."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found is not None, f"{name} is part of every Debian"
        (programs / name).symlink_to(found)
    put(programs, "dpkg-query", "exit 1")
    put(programs, "apt-get", "echo apt-get was called; exit 100")
    put(programs, "id", "echo 1000")
    return programs


def put(programs: Path, name: str, script: str) -> None:
    program = programs / name
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def packages(machine: Path, level: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", ROOT / "deploy/packages.sh", level],
        env={"PATH": str(machine)} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_rights_one_line_says_what_to_run(machine: Path) -> None:
    done = packages(machine, "demo")
    assert done.returncode != 0
    line = done.stderr.strip()
    assert "\n" not in line
    command = re.search(r"As root, run: sh (\S+) install (.*)", line)
    assert command is not None
    assert Path(command[1]).samefile(ROOT / "deploy/packages.sh")
    assert command[2] == "postgresql-15 postgresql-15-postgis-3"
    assert "apt-get was called" not in done.stdout


def test_with_sudo_that_asks_and_nobody_to_answer(machine: Path) -> None:
    put(machine, "sudo", 'test "$1" != -n || exit 1; echo a password was asked for; exit 1')
    done = packages(machine, "demo")
    assert done.returncode != 0
    assert "Run: sudo sh " in done.stderr
    assert "password" not in done.stdout


def test_with_sudo_that_does_not_ask(machine: Path) -> None:
    put(machine, "sudo", 'test "$1" = -n || echo "sudo $*"')
    done = packages(machine, "demo")
    assert done.returncode == 0
    assert "sudo sh deploy/packages.sh install postgresql-15 postgresql-15-postgis-3" in done.stdout


def test_tests_go_on_without_what_they_miss(machine: Path) -> None:
    done = packages(machine, "test")
    assert done.returncode == 0
    assert "chromium" in done.stderr
    assert "As root, run: " in done.stderr


def test_another_database_needs_no_postgis(machine: Path) -> None:
    done = packages(machine, "demo", DATABASE_URL="postgresql://somewhere/else")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_is_said_or_done_where_nothing_is_missing(machine: Path) -> None:
    put(machine, "dpkg-query", "echo installed")
    done = packages(machine, "base")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_debian_gets_one_line(machine: Path) -> None:
    (machine / "apt-get").unlink()
    done = packages(machine, "demo")
    assert done.returncode != 0
    assert "set DATABASE_URL" in done.stderr


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    # Within `make test` a make would say which folder it enters.
    command = ["make", "--no-print-directory"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == targets
    assert {"demo", "test", "check", "bundle", "help"} <= targets


def test_no_script_names_a_registry_or_a_mirror() -> None:
    files = [*ROOT.glob("deploy/*.sh"), ROOT / "Makefile", ROOT / "deploy/constraints.txt"]
    for folder in ("services/web", "tests/oidc"):
        files += [ROOT / folder / name for name in ("package-lock.json", ".npmrc")]
    for file in files:
        text = file.read_text().replace("http://127.0.0.1", "")
        assert '"resolved"' not in text
        assert not re.search(r"(https?|file)://(?!github\.com/)[\w.]", text), file


def test_every_requirement_is_pinned() -> None:
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "deploy/constraints.txt").read_text().splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in project["dependency-groups"].values():
        wanted += group
    names = {re.split(r"[<>=~\[ ]", word)[0].lower().replace("_", "-") for word in wanted}
    assert names <= pinned


@pytest.mark.parametrize("script", sorted(ROOT.glob("deploy/*.sh")), ids=lambda path: path.name)
def test_the_scripts_parse(script: Path) -> None:
    shell = script.read_text().splitlines()[0].rsplit("/", 1)[-1].split()[-1]
    subprocess.run([shell, "-n", script], check=True)
