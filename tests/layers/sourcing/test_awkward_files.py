"""Each awkward file of the shared folder: published, with as many features as ogrinfo counts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from publishing import EVERYTHING, START, layer, publish

from layers.errors import LayersError
from layers.sources import open_source
from layers.sourcing.asked import Asked
from layers.store import Store
from spatial.crs import parse_crs
from tests.counting import ogrinfo

NAMES = (
    "S3A_antimeridian_stac.json antimeridian_issues-124.json bou2_4p.shp curvepolygon.gpkg "
    "issue627.geojson lake-man-epsg26943-noprj.shp line_zm.gpkg multicurve.gml multisurface.gpkg "
    "nz-waca-adjustments.gpkg shp-points-no-shx.tgz test_tin.shp test_tz.geojson "
    "us-ca-berkeley-excerpt.zip"
).split()
NETWORKS = (
    "ky4_disconnected_pipes.geojson ky4_junctions.geojson ky4_pipes.geojson ky4_tanks.geojson"
).split()


@dataclass(frozen=True)
class Case:
    """What a file is published with, and what is said without."""

    asked: Asked = field(default_factory=Asked)
    crs: str | None = None
    refused: str = ""
    repaired: str = ""


CURVES = Asked(curves=True)
CASES = {
    "bou2_4p.shp": Case(Asked(encoding="GBK"), crs="EPSG:4326", refused="GB18030 '黑龙江省'"),
    "curvepolygon.gpkg": Case(CURVES, refused="--repair curves", repaired="curve polygon"),
    "multicurve.gml": Case(
        CURVES, crs="EPSG:4326", refused="--repair curves", repaired="multicurve"
    ),
    "multisurface.gpkg": Case(CURVES, refused="--repair curves", repaired="multisurface"),
    "test_tin.shp": Case(CURVES, crs="EPSG:4490", refused="--repair curves", repaired="TIN"),
    "lake-man-epsg26943-noprj.shp": Case(crs="EPSG:26943", refused="no reference system"),
    "line_zm.gpkg": Case(repaired=r"measures \(M\)"),
}


@pytest.fixture(params=[*NAMES, *NETWORKS])
def awkward(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    """A copy of a file and of those beside it: nobody may write beside the originals."""
    name = str(request.param)
    folder = shared / "data" / ("net" if name in NETWORKS else "awkward")
    for part in folder.glob(f"{Path(name).stem}.*"):
        shutil.copy(part, tmp_path)
    return tmp_path / name


def test_every_file_is_known(shared: Path) -> None:
    found = {p.name for p in (shared / "data" / "awkward").iterdir()}
    assert {n for n in found if not n.endswith((".dbf", ".shx"))} == set(NAMES)
    found = {p.name for p in (shared / "data" / "net").iterdir()}
    assert {n for n in found if not n.endswith(".inp")} == set(NETWORKS)


def test_published_or_refused(store: Store, awkward: Path) -> None:
    case = CASES.get(awkward.name, Case())
    beside = {p: p.stat().st_mtime_ns for p in awkward.parent.iterdir()}
    if case.refused:
        with pytest.raises(LayersError, match=case.refused):
            publish(store, "t", open_source(awkward), valid_from=START)
        assert [one.id for one in store.layers(EVERYTHING)] == []
    source = open_source(awkward, case.asked)
    crs = parse_crs(case.crs) if case.crs else None
    report = publish(store, "t", source, valid_from=START, crs=crs)
    counted = ogrinfo(awkward)
    assert report.findings.rows_read == counted
    assert report.created == counted
    assert len(layer(store, "t").at().read()) == counted
    told = [cause for _, cause in report.findings.repaired.named]
    assert not case.repaired or any(re.search(case.repaired, cause) for cause in told)
    assert {p: p.stat().st_mtime_ns for p in awkward.parent.iterdir()} == beside
