"""The OGC's executable test suite for Features, against a real server of the demo city.

Not part of `make test`, which installs no Java: `make cite` fetches the suite and runs this. The
suite is one jar (`deploy/cite.sh`; `CITE_JAR` names another); it reads OpenAPI 3.0 alone, and tests
Part 1 (Core) and, where that is declared, Part 2 (reference systems). Any failure fails; what it
skips must be something that is explained in `EXPLAINED`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.request
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from pyproj import CRS, Transformer

from layers.store import Store
from services.app import create_app
from services.settings import Settings

pytestmark = pytest.mark.outside
ROOT = Path(__file__).resolve().parents[2]
PROPERTIES = """<?xml version="1.0" encoding="UTF-8"?>
<properties version="1.0">
  <entry key="iut">{iut}</entry>
  <entry key="noofcollections">-1</entry>
</properties>
"""
# What the suite may skip, by what it says of it, and why that is no fault.
EXPLAINED = {
    r"No server response timeStamp set": "timeStamp is optional; answers that say the same are the "
    "same bytes, so that a client can keep them, and one with the present time never would be",
    r"No features were returned for collection": "the suite asks for boxes in other parts of the "
    "world too, where the demo city has nothing: no features is right",
    r"Number of matched features too large to check": "it does not page through more than 10,000",
    r"numberMatched|No server response numberMatched": "numberMatched is optional; it is there "
    "where it costs nothing, or where count=exact asks for it",
}

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
# Failures that are the suite's own, and what shows it.
FAULTS_OF_THE_SUITE = {
    # Since 1.9 transforms by proj4j, its boxes are longitude, latitude in systems that have them
    # the other way (its issue 233 says latitude first is right). It asks for a place in Antarctica,
    # and takes no feature for the right answer; parcels has one without a geometry, which Part 1
    # wants in every box. That we answer rightly is `test_boxes_in_the_order_of_the_authority`.
    ("verifyBboxCrsParameter", rf"parcels, .*{EPSG}(4326|4490)"): "longitude first in EPSG:4326",
}


@dataclass(frozen=True)
class Case:
    """One test of the suite with its arguments, and how it ended."""

    group: str
    name: str
    arguments: str
    status: str
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.group}: {self.name}({self.arguments}): {self.message}"


@pytest.fixture(scope="module")
def jar() -> Path:
    """The suite, which a program of another language runs."""
    if shutil.which("java") is None:
        pytest.skip("no Java; sh deploy/cite.sh installs Debian's")
    named = os.environ.get("CITE_JAR")
    found = (
        [Path(named)] if named else sorted(ROOT.glob(".cache/cite/ets-ogcapi-features10-*-aio.jar"))
    )
    if not found or not found[-1].is_file():
        pytest.skip("the suite's jar is not there; sh deploy/cite.sh says why, CITE_JAR names one")
    return found[-1]


@pytest.fixture(scope="module")
def server(demo_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the demo city; all of the suite comes from one address."""
    rates = {"rate": "1000000/second", "failures": "1000000/second"}
    app = create_app(demo_store, Settings(tmp_path_factory.mktemp("data"), **rates))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def cases(jar: Path, server: str, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Every test of the suite, run once."""
    folder = tmp_path_factory.mktemp("cite")
    (folder / "props.xml").write_text(PROPERTIES.format(iut=server))
    command = ["java", "-jar", str(jar), "-o", "out", "props.xml"]
    with (folder / "log").open("w") as log:
        subprocess.run(command, cwd=folder, check=True, stdout=log, stderr=log, timeout=3000)
    [results] = folder.glob("out/**/testng-results.xml")
    found = list(read_results(results))
    counts = Counter(case.status for case in found)
    print(
        f"\n{jar.name}: {counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped"
    )
    return found


def read_results(path: Path) -> Iterator[Case]:
    """Yield the tests that TestNG's report has; what only prepares one counts where it failed."""
    root = ET.parse(path).getroot()
    for group in root.iter("test"):
        for method in group.iter("test-method"):
            status = method.get("status", "")
            if method.get("is-config") == "true" and status == "PASS":
                continue
            message = " ".join((method.findtext(".//message") or "").split())
            values = (" ".join("".join(p.itertext()).split()) for p in method.iter("param"))
            arguments = ", ".join(value[:120] for value in values)
            yield Case(group.get("name", ""), method.get("name", ""), arguments, status, message)


def test_the_suite_ran(cases: list[Case]) -> None:
    """A suite that finds nothing to test fails nothing."""
    passed = Counter(case.group for case in cases if case.status == "PASS")
    assert passed["Core"] > 300, passed


def excuse(case: Case) -> str | None:
    """Return why a failure is the suite's, None where it is ours."""
    for (name, arguments), why in FAULTS_OF_THE_SUITE.items():
        if case.name == name and re.match(arguments, case.arguments):
            return why
    return None


def test_nothing_fails(cases: list[Case]) -> None:
    failed = [case for case in cases if case.status == "FAIL"]
    for case in failed:
        if excuse(case):
            print(f"  1 failed by a fault of the suite: {excuse(case)}: {case}")
    ours = [case for case in failed if excuse(case) is None]
    assert not ours, "\n".join(map(str, ours))


@pytest.mark.parametrize("layer", ["parcels", "grids", "incidents", "pipe_nodes", "pipe_segments"])
def test_boxes_in_the_order_of_the_authority(server: str, layer: str) -> None:
    """What verifyBboxCrsParameter asks, with latitude first where the authority has it first."""
    there = f"{server}collections/{layer}"
    about = _json(there)
    west, south, east, north = about["extent"]["spatial"]["bbox"][0]
    # The south-western quarter: pipes lie in two towns, one in this and one in the opposite.
    quarter = (west - 1e-4, south - 1e-4, (west + east) / 2, (south + north) / 2)
    asked = _ids(f"{there}/items?limit=10000", quarter)
    assert len(asked) > 10
    for uri in about["crs"]:
        crs = CRS.from_user_input(uri.replace(EPSG, "EPSG:").replace(CRS84, "OGC:CRS84"))
        made = Transformer.from_crs("OGC:CRS84", crs)
        box = made.transform_bounds(*quarter, densify_pts=0)
        assert _ids(f"{there}/items?limit=10000&bbox-crs={uri}", box) == asked, uri


def _ids(address: str, box: tuple[float, ...]) -> set[str]:
    page = _json(f"{address}&bbox={','.join(map(repr, box))}")
    return {feature["id"] for feature in page["features"]}


def _json(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return orjson.loads(answer.read())


def test_what_is_skipped_is_explained(cases: list[Case]) -> None:
    skipped = [case for case in cases if case.status == "SKIP"]
    told: Counter[str] = Counter()
    unexplained = []
    for case in skipped:
        why = next((w for sought, w in EXPLAINED.items() if re.search(sought, case.message)), None)
        if why is None:
            unexplained.append(case)
        else:
            told[why] += 1
    for why, count in told.most_common():
        print(f"  {count} skipped: {why}")
    assert not unexplained, "\n".join(map(str, unexplained))
