"""The OGC's executable test suite for Tiles, against a real server of the demo city.

Not part of `make test`, which installs no Java: `make cite-tiles` builds the suite and runs this
(`deploy/cite-tiles.sh`; `CITE_TILES_JAR` names another jar). It asks one tileset for some of its
tiles, and the landing page, the collections and the OpenAPI document for what leads there. Nothing
fails and nothing is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.interop.conftest import Server
from tests.interop.test_cite import Case, read_results

pytestmark = pytest.mark.outside
ROOT = Path(__file__).resolve().parents[2]
REGISTER = "http://www.opengis.net/def/tilematrixset/OGC/1.0/"
PROPERTIES = """<?xml version="1.0" encoding="UTF-8"?>
<properties version="1.0">
  <entry key="iut">{base}/</entry>
  <entry key="tilematrixsetdefinitionuri">{register}{name}</entry>
  <entry key="urltemplatefortiles">{base}{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}</entry>
  <entry key="tilematrix">{matrix}</entry>
  <entry key="mintilerow">{row}</entry>
  <entry key="maxtilerow">{row}</entry>
  <entry key="mintilecol">{column}</entry>
  <entry key="maxtilecol">{column}</entry>
</properties>
"""
# Where Cambridge is: of one collection and of several, in both registered matrix sets.
ASKED = [
    ("/collections/grids/tiles/WebMercatorQuad", 14, 6060, 4956),
    ("/collections/parcels/tiles/WorldCRS84Quad", 13, 2167, 4956),
    ("/tiles/WebMercatorQuad", 14, 6060, 4956),
]


@pytest.fixture(scope="module")
def jar() -> Path:
    """The suite, which a program of another language runs."""
    if shutil.which("java") is None:
        pytest.skip("no Java; sh deploy/cite-tiles.sh installs Debian's")
    named = os.environ.get("CITE_TILES_JAR")
    found = (
        [Path(named)] if named else sorted(ROOT.glob(".cache/cite/ets-ogcapi-tiles10-*-aio.jar"))
    )
    if not found or not found[-1].is_file():
        pytest.skip("the suite is not there; sh deploy/cite-tiles.sh says why")
    return found[-1]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked[0]))
def test_nothing_fails_and_nothing_is_skipped(
    jar: Path, city_server: Server, tmp_path: Path, asked: tuple[str, int, int, int]
) -> None:
    here, matrix, row, column = asked
    name = here.rpartition("/")[2]
    where = {"base": city_server.base, "register": REGISTER, "here": here, "name": name}
    numbers = {"matrix": matrix, "row": row, "column": column}
    (tmp_path / "props.xml").write_text(PROPERTIES.format(**where, **numbers))
    command = ["java", "-jar", str(jar), "-o", "out", "props.xml"]
    with (tmp_path / "log").open("w") as log:
        subprocess.run(command, cwd=tmp_path, check=True, stdout=log, stderr=log, timeout=600)
    [results] = tmp_path.glob("out/**/testng-results.xml")
    cases: list[Case] = list(read_results(results))
    counts = Counter(case.status for case in cases)
    print(f"\n{jar.name}: {here}: {dict(counts)}")
    others = [case for case in cases if case.status != "PASS"]
    assert not others, "\n".join(map(str, others))
    # A suite that finds nothing to test fails nothing.
    passed = {case.group for case in cases}
    assert {"Core", "Tilesets List", "Dataset Tilesets", "GeoData Tilesets"} <= passed, passed
