"""`--repair` of the command line: each row is told what was done to it, in every form of report."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely

from layers.readers import Reader
from layers.store import open_store
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
FIRST = ("--layer", "t", "--valid-from", "2020-01-01", "--key", "no", "--json")
RINGS = {
    "square": [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]],
    "open": [[0, 0], [2, 0], [2, 2], [0, 2]],
    "twice": [[0, 0], [1, 0], [1, 0], [1, 1], [0, 0]],
    "tie": [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]],
    "fiji": [[177, -19], [-178, -19], [-178, -16], [177, -16], [177, -19]],
}


@pytest.fixture
def store(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> Any:
    with make_database.passing(empty_template) as dsn:
        monkeypatch.setenv("DATABASE_URL", dsn)
        yield dsn


def geojson(folder: Path, *names: str) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"no": name},
            "geometry": {"type": "Polygon", "coordinates": [RINGS[name]]},
        }
        for name in names
    ]
    path = folder / "rings.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def repaired(said: str) -> dict[int, str]:
    found = json.loads(said)["repaired"]
    assert found["count"] == len(found["rows"])
    return {row["row"]: row["cause"] for row in found["rows"]}


def test_several_at_once(run: Run, store: str, tmp_path: Path) -> None:
    path, faults = geojson(tmp_path, *RINGS), tmp_path / "faults.gpkg"
    chosen = ("--repair", "rings", "points", "--repair", "antimeridian", "--faults", faults)
    code, said, err = run("publish", path, *FIRST, *chosen)
    assert not code, err
    told = {
        2: "ring closed",
        3: "1 repeated point dropped",
        4: "Self-intersection[1 1]",
        5: "split at 180 degrees",
    }
    assert repaired(said) == told
    layer = pyogrio.read_dataframe(faults)
    assert dict(zip(layer["row"], layer["message"], strict=True)) == told
    with closing(open_store(store)) as opened:
        shapes = opened.layer("t", Reader.everything()).at().read().geometry
    assert shapely.is_valid(shapes).all()
    assert {no: shape.area for no, shape in shapes.items()} == pytest.approx(
        {"square": 1, "open": 4, "twice": 0.5, "tie": 2, "fiji": 15}
    )


@pytest.mark.parametrize("chosen", [(), ("--repair", "valid"), ("--repair", "points")])
def test_valid_is_chosen_but_by_none(
    run: Run, store: str, tmp_path: Path, chosen: tuple[str, ...]
) -> None:
    path = geojson(tmp_path, "square", "tie")
    code, said, err = run("preview", path, *FIRST, *chosen)
    assert (code, repaired(said)) == (0, {2: "Self-intersection[1 1]"}), err
    code, said, err = run("preview", path, *FIRST, "--repair", "none")
    assert code == 1
    assert "row 2: Self-intersection[1 1]; mend it, or leave --repair none out" in err


def test_what_was_not_chosen_is_refused_with_the_remedy(
    run: Run, store: str, tmp_path: Path
) -> None:
    code, _, err = run("preview", geojson(tmp_path, "square", "open"), *FIRST)
    assert code == 1
    assert "row 2" in err
    assert "--repair rings" in err
    code, _, err = run("preview", geojson(tmp_path, "square"), *FIRST, "--repair", "none", "points")
    assert code == 1
    assert "--repair none points: say none alone" in err


def test_a_described_city_chooses_as_well(run: Run, store: str, tmp_path: Path) -> None:
    geojson(tmp_path, "square", "open", "tie", "fiji")
    file = tmp_path / "city.yaml"

    def described(repair: str) -> tuple[int, str, str]:
        file.write_text(
            "sources:\n- path: rings.geojson\n  layer: t\n  key: [no]\n"
            f"  valid_from: 2020-01-01\n  repair: {repair}\n"
        )
        return run("apply", file)

    code, _, err = described("[none, points]")
    assert (code, "sources[0].repair" in err, "say none alone" in err) == (1, True, True)
    code, _, err = described("[ring]")
    assert (code, "one of valid, rings, curves, points, antimeridian, none" in err) == (1, True)
    code, said, err = described("[rings, antimeridian]")
    assert not code, err
    assert "3 rows repaired (row 2: ring closed" in said
