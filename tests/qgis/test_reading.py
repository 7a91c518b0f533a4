"""QGIS as a client: it reads, filters and pages, and has places and types right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from layers.access.grants import Role, Terms
from tests.interop import wells
from tests.interop.conftest import Server
from tests.qgis.conftest import Qgis

LAYERS = {"grids": 6, "parcels": 6, "incidents": 1, "pipe_nodes": 1, "pipe_segments": 2}
BOX = [118.1995, 39.5995, 118.2025, 39.6015]
IN_BOX = ["W00000", "W00001", "W00002", "W00020", "W00021", "W00022"]


def shapes(told: dict[str, Any]) -> Any:
    return shapely.from_wkb([f["geometry"] for f in told["features"]])


def numbers(told: dict[str, Any]) -> list[str]:
    return sorted(f["no"] for f in told["features"])


@pytest.mark.parametrize("layer", LAYERS)
def test_it_reads_a_layer_whole(qgis: Qgis, city_server: Server, layer: str) -> None:
    told = qgis.visit(city_server, layer)
    kept = wells.read(city_server.dsn, layer).to_crs("OGC:CRS84")
    ids = [f["id"] for f in told["features"]]
    assert sorted(ids) == sorted(kept.index)
    assert told["count"] in (len(kept), -1)
    assert told["shape"] % 3 == LAYERS[layer] % 3
    apart = shapely.distance(shapes(told), kept.loc[ids].geometry.to_numpy())
    assert not (apart > 1e-8).any()


def test_it_pages(qgis: Qgis, wells_server: Server) -> None:
    wells_server.forget()
    told = qgis.visit(wells_server, "wells", page=7)
    assert numbers(told) == [f"W{i:05}" for i in range(100)]
    pages = [a for a in wells_server.asked("/wells/items") if a.parameters.get("limit") == "7"]
    assert len(pages) == 15
    assert {a.status for a in pages} == {200}


def test_it_asks_for_a_rectangle(qgis: Qgis, wells_server: Server) -> None:
    wells_server.forget()
    told = qgis.visit(wells_server, "wells", box=BOX)
    assert numbers(told) == IN_BOX
    assert any("bbox" in a.parameters for a in wells_server.asked("/wells/items"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('"street" = \'长安街\' AND "rings" < 7', ["W00000", "W00003", "W00006"]),
        ('"no" LIKE \'W0009%\' AND "depth" > 26', ["W00097", "W00098", "W00099"]),
        ('"rings" IN (5, 50)', ["W00005", "W00050"]),
        ("\"street\" = 'O''Brien''s Lane' AND \"rings\" < 6", ["W00002", "W00005"]),
        ('"dug" < make_date(1990, 1, 3)', ["W00000", "W00001"]),
        ('"street" IS NULL', []),
        # Left to the server by no release here: they know the class by a name of the drafts.
        (
            "intersects_bbox($geometry, geom_from_wkt('LINESTRING(118.19 39.59,118.2011 39.6)'))",
            ["W00000", "W00001"],
        ),
    ],
)
def test_it_filters(qgis: Qgis, wells_server: Server, expression: str, expected: list[str]) -> None:
    """By an expression of its user, and by what a layer is narrowed to for good."""
    assert numbers(qgis.visit(wells_server, "wells", expression=expression)) == expected
    told = qgis.visit(wells_server, "wells", subset=expression)
    assert numbers(told) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ('"street" = \'长安街\' AND "rings" < 7', ("street", "rings")),
        ("\"no\" LIKE 'W0009%'", ("LIKE",)),
        ("\"dug\" < '1990-01-03'", ("DATE",)),
        ("\"measured\" >= '2024-05-01T09:00:00Z'", ("TIMESTAMP",)),
        ("\"street\" ILIKE 'o''brien%'", ("CASEI",)),
    ],
)
def test_filters_are_the_servers_to_find(
    editor: Qgis, wells_server: Server, expression: str, words: tuple[str, ...]
) -> None:
    wells_server.forget()
    told = editor.visit(wells_server, "wells", subset=expression)
    assert told["features"]
    asked = [a.parameters.get("filter", "") for a in wells_server.asked("/wells/items")]
    assert any(all(word in filter_ for word in words) for filter_ in asked), asked
    assert all(a.status == 200 for a in wells_server.asked("/wells/items"))


def test_field_types(qgis: Qgis, wells_server: Server) -> None:
    told = qgis.visit(wells_server, "wells")
    fields = told["fields"]
    assert fields["depth"] == "Real" or fields["depth"] == "double"
    assert fields["rings"].startswith("Integer") or "int" in fields["rings"]
    assert fields["dug"].lower() == "date"
    assert fields["measured"].lower() == "datetime"
    assert "keeper" not in fields
    first = next(f for f in told["features"] if f["no"] == "W00000")
    assert (first["depth"], first["rings"], first["street"]) == (2.0, 0, "长安街")
    assert first["dug"] == "1990-01-01"
    assert first["measured"] == "2024-05-01T08:00:00"
    assert first["dry"] in (True, 1)


def test_it_has_places_in_the_storage_system(qgis: Qgis, stored: tuple[Server, str]) -> None:
    """Releases before 3.28 read CRS84 whatever else is offered; later ones what is stored."""
    server, crs = stored
    told = qgis.visit(server, "wells")
    knows = qgis.number >= (3, 28)
    assert told["crs"] in ((crs,) if knows else ("EPSG:4326", "OGC:CRS84"))
    kept = wells.read(server.dsn, "wells").to_crs(crs if knows else "OGC:CRS84").set_index("no")
    there = kept.loc[[f["no"] for f in told["features"]]].geometry.to_numpy()
    assert len(there) == 100
    metric = knows and crs != "EPSG:4490"
    assert np.max(shapely.distance(shapes(told), there)) < (1e-3 if metric else 1e-8)


def test_a_rectangle_in_the_storage_system(qgis: Qgis, stored: tuple[Server, str]) -> None:
    server, crs = stored
    knows = qgis.number >= (3, 28)
    kept = wells.read(server.dsn, "wells").to_crs(crs if knows else "OGC:CRS84")
    west, south, east, north = kept[kept["no"].isin(IN_BOX)].total_bounds
    away = (east - west) / 100
    box = [float(n) for n in (west - away, south - away, east + away, north + away)]
    assert numbers(qgis.visit(server, "wells", box=box)) == IN_BOX


def test_a_key_shows_what_it_may_see(editor: Qgis, wells_server: Server) -> None:
    key = wells_server.key(Terms(Role.READER))
    told = editor.visit(wells_server, "wells", key=key)
    assert {f["keeper"] for f in told["features"]} == {"Li Si"}
