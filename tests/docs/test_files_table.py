"""Each hard file of the shared folder at the command line, and the table of them on the page."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from layers.readers import Reader
from layers.store import Store, open_store
from services.cli import main
from tests.counting import gdalinfo, gdalwarp, ogrinfo, section_lines
from tests.databases import Databases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "publishing.md"
FOLDERS = ("awkward", "net", "raster")
# These go with their .shp.
COMPANIONS = (".dbf", ".shx")
NODES = ("JUNCTIONS", "RESERVOIRS", "TANKS", "OUTFALLS", "STORAGE", "DIVIDERS")
LINKS = ("PIPES", "PUMPS", "VALVES", "CONDUITS", "ORIFICES", "WEIRS", "OUTLETS")
# What means something in Markdown.
SIGN = r"\\\1"
HEAD = "| file | in it | how |\n|---|---|---|\n"


@dataclass(frozen=True)
class Case:
    """A file, what is said of it, what is told of it, and whether it is refused all the same."""

    file: str
    options: str = ""
    note: str = ""
    refused: bool = False

    @property
    def group(self) -> str:
        """Of a network, which half of it is published."""
        found = re.search(r"--source-layer (nodes|links)", self.options)
        return found[1] if found else ""


CASES = (
    Case("awkward/S3A_antimeridian_stac.json"),
    Case("awkward/antimeridian_issues-124.json"),
    Case("awkward/bou2_4p.shp", "--encoding GBK --crs EPSG:4326"),
    Case("awkward/curvepolygon.gpkg", "--repair curves"),
    Case("awkward/issue627.geojson"),
    Case("awkward/lake-man-epsg26943-noprj.shp", "--crs EPSG:26943"),
    Case("awkward/line_zm.gpkg", note="measures are left out · 不保留 M 值"),
    Case("awkward/multicurve.gml", "--repair curves --crs EPSG:4326"),
    Case("awkward/multisurface.gpkg", "--repair curves"),
    Case("awkward/nz-waca-adjustments.gpkg"),
    Case("awkward/shp-points-no-shx.tgz", note="its index is made anew, elsewhere · 另建索引"),
    Case("awkward/test_tin.shp", "--repair curves --crs EPSG:4490"),
    Case("awkward/test_tz.geojson"),
    Case("awkward/us-ca-berkeley-excerpt.zip", note="a system with heights: stored without them"),
    Case("net/917_H_Elements.inp", "--source-layer nodes --crs EPSG:4326"),
    Case("net/917_H_Elements.inp", "--source-layer links --crs EPSG:4326", refused=True),
    Case("net/BWSN_Network_1.inp", "--source-layer nodes", refused=True),
    Case("net/BWSN_Network_1.inp", "--source-layer links", refused=True),
    Case("net/ky4.inp", "--source-layer nodes --crs EPSG:3547"),
    Case("net/ky4.inp", "--source-layer links --crs EPSG:3547"),
    Case("net/ky4_disconnected_pipes.geojson"),
    Case("net/ky4_junctions.geojson"),
    Case("net/ky4_pipes.geojson"),
    Case("net/ky4_tanks.geojson"),
    Case("raster/cog_dateline.tif"),
    Case("raster/cogeo.tif"),
    Case("raster/corrupt.tif", refused=True),
    Case("raster/ky4_elevation.tif"),
    Case("raster/pix4d_alpha_nodata.tif"),
    Case(
        "raster/rotated.tif", "--crs EPSG:32650", note="turned: set upright, with an alpha · 转正"
    ),
)


@dataclass(frozen=True)
class Made:
    """What became of a file: counts, in words, of what the store has; or why it has nothing."""

    code: int
    stored: str = ""
    refusal: str = ""

    def row(self, case: Case) -> str:
        """The file's row of the table."""
        how = [f"`{case.options}`"] if case.options else []
        how += [case.note] if case.note else []
        if self.refusal:
            how.append(f"refused · 拒绝：{re.sub(r'([|<*_`])', SIGN, self.refusal)}")
        return f"| {Path(case.file).name} | {self.stored} | {'; '.join(how)} |"


@pytest.fixture(scope="module")
def made(shared: Path, empty_template: str, make_database: Databases) -> Iterator[dict[Case, Made]]:
    """What became of every file, each published to a layer of its own."""
    with make_database.passing(empty_template) as dsn, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", dsn)
        yield {case: publish(shared, case, dsn, f"l{n}") for n, case in enumerate(CASES)}


def publish(shared: Path, case: Case, dsn: str, layer_id: str) -> Made:
    path = shared / "data" / case.file
    said, warned = io.StringIO(), io.StringIO()
    command = ["publish", str(path), "--layer", layer_id, "--valid-from", "2020-01-01"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(warned):
        code = main([*command, *case.options.split()])
    with closing(open_store(dsn)) as store:
        there = layer_id in {one.id for one in store.layers(Reader.everything())}
        if code == 0:
            return Made(code, stored=stored(store, case, layer_id))
    assert not there
    first, *more = warned.getvalue().strip().removeprefix("shikong: ").splitlines()
    return Made(code, refusal=f"{first} ({len(more)} lines follow)" if more else first)


def stored(store: Store, case: Case, layer_id: str) -> str:
    """What the store has of a file."""
    rows = store.layer(layer_id, Reader.everything()).at().read()
    if case.file.endswith(".tif"):
        ((_, scene),) = rows.iterrows()
        return f"{scene['width']} x {scene['height']}, {scene['bands']} bands"
    return f"{len(rows)} {case.group}".strip()


def counted(path: Path, case: Case) -> str:
    """What others find in a file."""
    if path.suffix == ".tif":
        # A turned one is set upright, with a band that says where something is.
        width, height, bands = gdalinfo(path) if not case.note else gdalwarp(path)
        return f"{width} x {height}, {bands} bands"
    if case.group:
        sections = NODES if case.group == "nodes" else LINKS
        return f"{sum(section_lines(path, name) for name in sections)} {case.group}"
    return str(ogrinfo(path))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.file} {c.group}".strip())
def test_all_of_it_or_nothing(shared: Path, made: dict[Case, Made], case: Case) -> None:
    done = made[case]
    assert done.code == int(case.refused), done.refusal
    if case.refused:
        assert re.search(rf"{Path(case.file).name}|row \d+", done.refusal)
        assert re.search(r"; (give|state|take|publish)\b", done.refusal), "what is to be done?"
    else:
        assert done.stored == counted(shared / "data" / case.file, case)


def test_no_file_is_left_out(shared: Path) -> None:
    found = {p for folder in FOLDERS for p in (shared / "data" / folder).iterdir()}
    files = {f"{p.parent.name}/{p.name}" for p in found if p.suffix not in COMPANIONS}
    assert files == {case.file for case in CASES}
    for part in found:
        if part.suffix in COMPANIONS:
            assert part.with_suffix(".shp") in found
    halves = {(case.file, case.group) for case in CASES if case.file.endswith(".inp")}
    assert len(halves) == 2 * len({file for file, _ in halves})


def test_the_table_on_the_page_is_what_was_made(made: dict[Case, Made]) -> None:
    table = HEAD + "".join(f"{made[case].row(case)}\n" for case in CASES)
    assert table in PAGE.read_text("utf-8"), f"the table in docs/publishing.md should be:\n{table}"
