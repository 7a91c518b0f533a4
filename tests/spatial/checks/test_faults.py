"""Faults as a table: what a publisher downloads."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from spatial.checks.faults import COLUMNS, Faults, take_faults


def test_a_pair_without_a_second_row_says_so() -> None:
    places = shapely.points([(1, 2), (3, 4)])
    found = Faults(
        "gap", np.array([[4, 9], [5, -1]]), places, np.array([1.5, np.nan]), (0, 0), "m2"
    )
    frame = found.frame("EPSG:4549")
    assert tuple(frame.columns) == COLUMNS
    assert frame["row"].tolist() == [4, 5]
    assert frame["other_row"].isna().tolist() == [False, True]
    assert frame["allowed"].tolist() == ["0", "0"]
    assert frame.crs == "EPSG:4549"
    assert frame.geometry.iloc[1].equals(shapely.Point(3, 4))


def test_no_faults_are_a_table_too() -> None:
    frame = take_faults("range", [False, False], [1, 2], None).frame("EPSG:4490")
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 0


def test_tables_of_several_checks_are_one_layer(tmp_path: Path) -> None:
    one = take_faults("range", [True], [1.0], shapely.points([(0, 0)]), (2, 3), "m")
    two = Faults(
        "overlap", np.array([[0, 1]]), np.array([shapely.box(0, 0, 1, 1)]), np.array([1.0])
    )
    frame = pd.concat([one.frame("EPSG:4549"), two.frame("EPSG:4549")], ignore_index=True)
    frame.to_file(tmp_path / "faults.gpkg")
    back = gpd.read_file(tmp_path / "faults.gpkg")
    assert back["rule"].tolist() == ["range", "overlap"]
    assert back["allowed"].tolist() == ["2 to 3", ""]


def test_the_first_of_pairs() -> None:
    nothing = np.array([None, None], dtype=object)
    pairs = Faults("x", np.array([[4, 9], [5, -1]]), nothing, np.zeros(2))
    assert pairs.firsts.tolist() == [4, 5]
    assert take_faults("x", [False, True], [0, 0], None).firsts.tolist() == [1]
