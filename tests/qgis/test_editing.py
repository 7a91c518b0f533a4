"""A QGIS of today edits a layer: what its user saves is in the store, one commit for each thing."""

from __future__ import annotations

import pytest
import shapely

from layers.access.grants import Role, Terms
from tests.interop import wells
from tests.interop.conftest import Server
from tests.qgis.conftest import Qgis

ADD = {"do": "add", "properties": {"no": "W9", "street": "长安街", "rings": 9}}
CHANGE = {"do": "change", "id": "W00001", "properties": {"street": "O'Brien's Lane", "rings": None}}


@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:4490", "EPSG:4548"])
def test_what_is_saved_is_kept(editor: Qgis, own_server: Server, crs: str) -> None:
    wells.publish(own_server.dsn, count=4, crs=crs)
    frame = wells.frame(30, crs)
    new, moved = frame.geometry.iloc[20], frame.geometry.iloc[25]
    told = editor.visit(
        own_server,
        "wells",
        key=own_server.key(Terms(Role.EDITOR)),
        id_field="no",
        edits=[
            ADD | {"geometry": new.wkt},
            CHANGE,
            {"do": "move", "id": "W00002", "geometry": moved.wkt},
            {"do": "delete", "id": "W00003"},
        ],
    )
    refused = [a for a in own_server.asked() if a.status >= 400]
    assert told["saved"], (told["errors"], refused)
    kept = wells.read(own_server.dsn, "wells").set_index("no")
    assert sorted(kept.index) == ["W00000", "W00001", "W00002", "W9"]
    assert kept.crs == frame.crs
    near = 1e-3 if crs == "EPSG:4548" else 1e-8
    assert shapely.distance(kept.loc["W9"].geometry, new) < near
    assert shapely.distance(kept.loc["W00002"].geometry, moved) < near
    assert kept.loc["W9", "street"] == "长安街"
    assert kept.loc["W00001", "street"] == "O'Brien's Lane"
    assert kept["rings"].isna().to_dict()["W00001"]
    assert kept.loc["W00002", "street"] == "O'Brien's Lane"
    assert wells.record(own_server.dsn, "wells").head == 5


def test_who_may_only_read_is_offered_no_editing(editor: Qgis, own_server: Server) -> None:
    wells.publish(own_server.dsn, count=4)
    told = editor.visit(own_server, "wells", key=own_server.key(Terms(Role.READER)))
    assert "Add Features" not in told["can"]
    may = editor.visit(own_server, "wells", key=own_server.key(Terms(Role.EDITOR)))
    for ability in (
        "Add Features",
        "Delete Features",
        "Change Attribute Values",
        "Change Geometries",
    ):
        assert ability in may["can"]
