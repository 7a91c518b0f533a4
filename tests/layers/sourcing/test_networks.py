"""Networks of EPANET and SWMM: counts of their sections, heights, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from publishing import START, layer, publish

from layers.errors import BadRequest, BadSource
from layers.schemas.inference import Choices
from layers.sources import open_source
from layers.sourcing.asked import Asked
from layers.store import Store
from spatial.crs import parse_crs
from tests.counting import section_lines

SMALL = """[TITLE]
[JUNC]
;ID Elev Demand Pattern
 J1  10   5   ;
 J2  20   5   1 ;
[PIPES]
 P1  J1  J2  100 200 130 0 Open ;
[OPTIONS]
 Units LPS
[COORDINATES]
 J1 0 0
 J2 100 0
[VERTICES]
 P1 25 0
[END]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.inp"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("ky4.inp", ["JUNCTIONS", "RESERVOIRS", "TANKS", "PIPES", "PUMPS"]),
        ("BWSN_Network_1.inp", ["JUNCTIONS", "RESERVOIRS", "TANKS", "PIPES", "PUMPS", "VALVES"]),
        ("917_H_Elements.inp", ["JUNCTIONS", "OUTFALLS", "STORAGE", "CONDUITS", "PUMPS"]),
    ],
)
def test_every_section_of_the_shared_networks(shared: Path, name: str, sections: list[str]) -> None:
    path = shared / "data" / "net" / name
    found: Counter[str] = Counter()
    for group in ("nodes", "links"):
        for batch in open_source(path, Asked(layer=group)).batches():
            found.update(batch.columns["kind"].to_pylist())
            assert not shapely.is_missing(batch.geometries).any()
    assert found == {section.lower(): section_lines(path, section) for section in sections}


def test_the_places_are_those_of_another_reader(shared: Path) -> None:
    """ky4's junctions and pipes were written as GeoJSON by others."""
    for group, file in (("junctions", "ky4_junctions"), ("pipes", "ky4_pipes")):
        source = open_source(shared / "data" / "net" / "ky4.inp", Asked(layer=group))
        theirs = gpd.read_file(shared / "data" / "net" / f"{file}.geojson")
        ours = {
            name: shape
            for batch in source.batches()
            for name, shape in zip(batch.columns["id"].to_pylist(), batch.geometries, strict=True)
        }
        assert set(ours) == set(theirs.iloc[:, 0])
        for name, shape in zip(theirs.iloc[:, 0], theirs.geometry, strict=True):
            away = np.abs(shapely.get_coordinates(ours[name]) - shapely.get_coordinates(shape))
            assert away.max() < 0.01


def test_a_network_is_published(store: Store, shared: Path) -> None:
    source = open_source(shared / "data" / "net" / "ky4.inp", Asked(layer="nodes"))
    choices = Choices(keys=("id",))
    with pytest.raises(BadRequest, match="--crs"):
        publish(store, "t", source, valid_from=START, choices=choices)
    crs = parse_crs("EPSG:3547")
    report = publish(store, "t", source, valid_from=START, choices=choices, crs=crs)
    assert report.created == 964
    read = layer(store, "t").at().read()
    # 611.3897 feet: the file is in GPM.
    assert read.loc["J-1"].geometry.z == pytest.approx(611.3897 * 0.3048)
    assert read.loc["J-1"]["elevation"] == 611.3897


def test_coordinates_of_two_systems_in_one_file(store: Store, shared: Path) -> None:
    """The vertices of this one are in feet, its nodes in degrees: nothing of that is published."""
    source = open_source(shared / "data" / "net" / "917_H_Elements.inp", Asked(layer="links"))
    with pytest.raises(BadRequest, match="no longitude and latitude"):
        publish(store, "t", source, valid_from=START, crs=parse_crs("EPSG:4326"))


def test_heights_go_evenly_along_a_pipe(tmp_path: Path) -> None:
    (batch,) = open_source(written(tmp_path, SMALL), Asked(layer="pipes")).batches()
    assert batch.geometries is not None
    assert batch.geometries[0].wkt == "LINESTRING Z (0 0 10, 25 0 12.5, 100 0 20)"
    assert batch.columns["diameter"].to_pylist() == [200.0]
    assert batch.columns["status"].to_pylist() == ["Open"]


def test_what_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    with pytest.raises(BadSource, match=r"nodes, links or one of: junctions \(2\), pipes \(1\)"):
        _ = open_source(path).types
    with pytest.raises(BadSource, match="no layer 'valves'"):
        _ = open_source(path, Asked(layer="valves")).types


@pytest.mark.parametrize(
    ("was", "becomes", "match"),
    [
        ("J1 0 0", "J1 zero 0", "'zero', which is no number"),
        (" J1  10 ", " J1  high ", r"\[JUNCTIONS\] elevation: 'high'"),
        ("P1  J1  J2  100", "P1  J1  J2  long", r"\[PIPES\] row 1, length: 'long'"),
        ("[COORDINATES]", "[NOTHING]", "COORDINATES"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, was: str, becomes: str, match: str) -> None:
    path = written(tmp_path, SMALL.replace(was, becomes))
    with pytest.raises(BadSource, match=match):
        list(open_source(path, Asked(layer="links")).batches())


def test_a_pipe_to_nowhere_has_no_place(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("J1  J2  100", "J1  J9  100"))
    (batch,) = open_source(path, Asked(layer="pipes")).batches()
    assert batch.geometries is not None
    assert batch.geometries.tolist() == [None]
