"""GDAL's filters: what it leaves to the server, and that this changes nothing of what it finds.

Debian's `ogrinfo` and the GDAL in pyogrio. What they find without a server they find in a file of
the same features.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pandas as pd
import pyogrio
import pytest
import shapely

from tests.interop import wells
from tests.interop.conftest import Asked, Server

ITEMS = "/collections/wells/items"
# A condition in the SQL of OGR, and the filter that arrives.
LEFT_TO_THE_SERVER = {
    "no = 'W00003'": "no = 'W00003'",
    "street = 'O''Brien''s Lane'": "street = 'O''Brien''s Lane'",
    "street <> '长安街'": "street <> '长安街'",
    "rings = 5": "rings = 5",
    "rings > 90": "rings > 90",
    "depth = 3.25": "depth = 3.25",
    "depth >= 20.5 AND rings < 80": "(depth >= 20.5) AND (rings < 80)",
    "rings = 1 OR NOT (rings < 98)": "(rings = 1) OR (NOT (rings < 98))",
    "rings BETWEEN 3 AND 5": "(rings >= 3) AND (rings <= 5)",
    "street LIKE '王%'": "street LIKE '王%'",
    "no LIKE 'W0001_'": "no LIKE 'W0001_'",
    # A pattern of OGR has no escapes: there is no such well.
    r"no LIKE 'W0000\_'": r"no LIKE 'W0000\_'",
    "street ILIKE 'o''brien%'": "street ILIKE 'o''brien%'",
    "street IS NULL": "(street IS NULL)",
    "dug = '1990/01/05'": "dug = '1990-01-05T'",
    "dug > '1990-01-03' AND dug <= '1990/01/06'": (
        "(dug > '1990-01-03T') AND (dug <= '1990-01-06T')"
    ),
    "measured > '2024/05/01 09:30:00'": "measured > '2024-05-01T09:30:00Z'",
    "dry = 1": "dry = 1",
    "dry = 0 AND rings < 10": "(dry = 0) AND (rings < 10)",
}
# It has no CQL for lists: of a conjunction it sends what it can, and looks at the rest itself.
LOOKED_AT_BY_ITSELF = {
    "street IN ('长安街', '王府井大街')": None,
    "rings = 1 OR rings IN (2, 3)": None,
    "rings IN (1, 50, 99) AND depth > 10": "depth > 10",
}
CONDITIONS = LEFT_TO_THE_SERVER | LOOKED_AT_BY_ITSELF
Box = tuple[float, float, float, float]
Find = Callable[..., list[str]]


def find_by_ogrinfo(
    source: str, where: str, box: Box | None = None, page: int = 1000, headers: str = ""
) -> list[str]:
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("gdal-bin is not installed")
    spat = [] if box is None else ["-spat", *map(str, box)]
    options = ["-oo", f"PAGE_SIZE={page}"] if source.startswith("OAPIF:") else []
    said = subprocess.run(
        [program, "-ro", "-q", *options, source, "wells", "-where", where, *spat],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"GDAL_HTTP_HEADERS": headers},
    )
    assert "ERROR" not in said.stderr, said.stderr
    return sorted(re.findall(r"^  no \(String\) = (\S+)", said.stdout, re.M))


def find_by_pyogrio(source: str, where: str, box: Box | None = None, page: int = 1000) -> list[str]:
    options = {"PAGE_SIZE": page} if source.startswith("OAPIF:") else {}
    frame = pyogrio.read_dataframe(source, layer="wells", where=where, bbox=box, **options)
    return sorted(frame["no"])


@pytest.fixture(params=[find_by_ogrinfo, find_by_pyogrio], ids=["ogrinfo", "pyogrio"])
def find(request: pytest.FixtureRequest) -> Find:
    """Find the numbers of wells by either GDAL."""
    found: Find = request.param
    return found


@pytest.fixture(scope="module")
def file(wells_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The wells as a file: GDAL has to look at each by itself."""
    document = wells_server.json(f"{ITEMS}?limit=1000")
    for feature in document["features"]:
        feature.pop("time", None)
    path = tmp_path_factory.mktemp("local") / "wells.geojson"
    whole = {"type": "FeatureCollection", "name": "wells", "features": document["features"]}
    path.write_bytes(orjson.dumps(whole))
    return str(path)


def pages(server: Server) -> list[Asked]:
    """The requests for features, but for the first, which asks what fields there are."""
    return server.asked(ITEMS)[1:]


@pytest.mark.parametrize("where", CONDITIONS)
def test_conditions_go_to_the_server(
    wells_server: Server, file: str, find: Find, where: str
) -> None:
    wells_server.forget()
    found = find(f"OAPIF:{wells_server.base}", where)
    assert found == find(file, where)
    asked = pages(wells_server)
    assert asked
    for page in asked:
        assert page.status == 200
        assert page.parameters.get("filter") == CONDITIONS[where]
        assert page.parameters.get("filter-lang") == (CONDITIONS[where] and "cql-text")
        # A condition on a date is none on the time in the world: only next links pin that.
        assert ("datetime" in page.parameters) is ("token" in page.parameters)


def test_every_condition_finds_something_else(file: str) -> None:
    """Otherwise the comparison above would say little."""
    found = {where: tuple(find_by_pyogrio(file, where)) for where in CONDITIONS}
    nothing = {where for where, wells_found in found.items() if not wells_found}
    assert nothing == {"street IS NULL", r"no LIKE 'W0000\_'"}
    assert all(len(wells_found) < 100 for wells_found in found.values())


def test_a_box_goes_to_the_server_beside_a_condition(
    wells_server: Server, file: str, find: Find
) -> None:
    wells_server.forget()
    box = (118.2035, 39.5995, 118.2085, 39.6025)
    found = find(f"OAPIF:{wells_server.base}", "rings > 20", box)
    assert found == find(file, "rings > 20", box)
    frame = wells.read(wells_server.dsn, "wells")
    inside = frame[frame.geometry.within(shapely.box(*box)) & (frame["rings"] > 20)]
    assert found == sorted(inside["no"])
    assert len(found) == 10
    for page in pages(wells_server):
        assert [float(n) for n in page.parameters["bbox"].split(",")] == pytest.approx(box)
        assert page.parameters["filter"] == "rings > 20"


def test_pages_keep_the_condition(wells_server: Server, find: Find) -> None:
    """No more is read than is found."""
    wells_server.forget()
    found = find(f"OAPIF:{wells_server.base}", "street = '长安街'", page=10)
    assert len(found) == len(set(found)) == 34
    asked = pages(wells_server)
    assert len(asked) == 4
    assert {page.parameters["filter"] for page in asked} == {"street = '长安街'"}


def test_ids_go_to_the_server(wells_server: Server, find: Find) -> None:
    wells_server.forget()
    assert find(f"OAPIF:{wells_server.base}", "id = 'W00042'") == ["W00042"]
    assert [page.status for page in wells_server.asked(f"{ITEMS}/W00042")] == [200]


def test_fields_of_the_initiated_are_conditions_of_theirs(wells_server: Server) -> None:
    """The document of the interface is that of whoever asks, and so is what GDAL sends."""
    wells_server.forget()
    source = f"OAPIF:{wells_server.base}"
    headers = f"Authorization: Bearer {wells_server.key()}"
    assert len(find_by_ogrinfo(source, "keeper = 'Li Si'", headers=headers)) == 100
    assert pages(wells_server)[-1].parameters["filter"] == "keeper = 'Li Si'"
    with pytest.raises(subprocess.CalledProcessError):
        find_by_ogrinfo(source, "keeper = 'Li Si'")


def test_without_json_fg_there_is_no_time(wells_server: Server, tmp_path: Path) -> None:
    """GDAL takes a page for JSON-FG by its `time`: two fields more, and the rest is the same."""
    source = f"OAPIF:{wells_server.base}"
    script = "import pyogrio, sys; f = pyogrio.read_dataframe(sys.argv[1], layer='wells');"
    script += "f.to_wkb().to_parquet(sys.argv[2])"
    kept = tmp_path / "wells.parquet"
    subprocess.run(
        [sys.executable, "-c", script, source, str(kept)],
        check=True,
        timeout=60,
        env=os.environ | {"GDAL_SKIP": "JSONFG"},
    )
    plain = pd.read_parquet(kept)
    frame = pyogrio.read_dataframe(source, layer="wells")
    assert set(frame) - set(plain) == {"time_start", "time_end"}
    assert frame["time_start"].notna().all()
    pd.testing.assert_frame_equal(frame[list(plain)].to_wkb(), plain, check_dtype=False)
