"""How much is in a file, as programs and ways of others count it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


def _gdal(program: str) -> str:
    if shutil.which(program) is None:
        pytest.skip("gdal-bin is not installed")
    return program


def ogrinfo(path: Path) -> int:
    """How many features there are, as another GDAL counts them."""
    program = _gdal("ogrinfo")
    # A copy: an index that is lacking is made beside the file.
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in path.parent.glob(f"{path.stem}.*"):
            shutil.copy(part, folder)
        copy = folder / path.name
        if path.suffix in (".tgz", ".zip"):
            shutil.unpack_archive(path, folder, "gztar" if path.suffix == ".tgz" else "zip")
            (copy,) = (p for p in folder.rglob("*.shp") if not p.name.startswith("."))
        command = [program, "-ro", "-al", "-so", "--config", "SHAPE_RESTORE_SHX", "YES", str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return sum(map(int, re.findall(r"Feature Count: (\d+)", done.stdout)))


def gdalinfo(path: Path) -> tuple[int, int, int]:
    """How many columns, rows and bands a raster has, as another GDAL says."""
    command = [_gdal("gdalinfo"), "-json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    return (*told["size"], len(told["bands"]))


def gdalwarp(path: Path) -> tuple[int, int, int]:
    """What `gdalinfo` says of a turned raster once another GDAL has set it upright."""
    place = ["-s_srs", "EPSG:32650", "-t_srs", "EPSG:32650"]
    with TemporaryDirectory() as name:
        upright = Path(name) / path.name
        command = [_gdal("gdalwarp"), "-q", *place, "-dstalpha", str(path), str(upright)]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
        return gdalinfo(upright)


def section_lines(path: Path, section: str) -> int:
    """How many lines say something in a section of a network."""
    body = re.search(rf"^\[{section}\]([^\[]*)", path.read_text(errors="replace"), re.M)
    said = [line.split(";")[0].strip() for line in body[1].splitlines()] if body else []
    return len([line for line in said if line])
