"""`shikong apply`: settings of layers, limits, rules and styles; half done, and done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from layers.readers import Reader
from layers.settings import SETTINGS, settings_of
from layers.store import open_store
from tests.cli.cities import SCHEMA, written

Run = Callable[..., tuple[int, str, str]]
SETTLED: dict[str, Any] = {
    "title": {"zh": "水井", "en": "Water wells"},
    "description": {"zh": "市政水井", "en": "Wells of the city"},
    "owner": {"zh": "水务局", "en": "Water board"},
    "update_cycle": "P1Y",
    "default_datetime": "2020-06-01",
    "backdating": True,
    "paused": True,
    "visibility": "public",
    "department": "water",
    "pending": True,
}
TILES = "WebMercatorQuad?f=tilejson"
STYLE = {
    "version": 8,
    "name": "按深度 · By depth",
    "sources": {
        "s": {"type": "vector", "url": "{base}/collections/wells/tiles/WebMercatorQuad?f=tilejson"}
    },
    "layers": [
        {
            "id": "a",
            "type": "circle",
            "source": "s",
            "source-layer": "wells",
            "filter": [">", ["get", "depth"], 5],
            "paint": {"circle-color": "#1f5fa8"},
        }
    ],
}
# Written for this test.
SLD = """<?xml version="1.0"?>
<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld">
<NamedLayer><Name>wells</Name><UserStyle><FeatureTypeStyle><Rule><PointSymbolizer><Graphic><Mark>
<WellKnownName>circle</WellKnownName><Fill><CssParameter name="fill">#aa3322</CssParameter></Fill>
</Mark><Size>8</Size></Graphic></PointSymbolizer></Rule></FeatureTypeStyle></UserStyle></NamedLayer>
</StyledLayerDescriptor>
"""
RULE = """
[[rules]]
id = "deep"
check = "range"
fields = { value = "depth" }
params = { least = 0 }
outcome = "row"
"""


class City:
    """A folder with a description, to be said anew and applied."""

    def __init__(self, run: Run, folder: Path, dsn: str) -> None:
        self.run, self.folder, self.dsn = run, folder, dsn
        self.path = folder / "city.yaml"
        (folder / "wells.toml").write_text(SCHEMA)
        (folder / "wells.csv").write_text("no,x,y,depth\n1,120.5,31,10\n2,120.6,31.5,20\n")

    def say(self, layers: dict[str, Any], **sources: str) -> None:
        """Write the description; JSON is YAML."""
        listed = [
            {"path": path, "layer": layer, "crs": "EPSG:4490", "valid_from": "2020-01-01"}
            | ({} if layer == "wells" else {"key": ["no"], "coordinates": ["x", "y"]})
            for layer, path in (sources or {"wells": "wells.csv"}).items()
        ]
        self.path.write_text(json.dumps({"layers": layers, "sources": listed}))

    def apply(self, *options: str) -> str:
        """Apply it, which is to succeed."""
        code, told, err = self.run("apply", self.path, *options)
        assert not code, err
        return told

    def twice(self) -> str:
        """Apply it, and again: the second writes nothing."""
        told = self.apply()
        once = written(self.dsn)
        assert "nothing to do" in self.apply()
        assert written(self.dsn) == once
        return told


@pytest.fixture
def city(run: Run, store_dsn: str, tmp_path: Path) -> City:
    return City(run, tmp_path, store_dsn)


def settings(dsn: str) -> dict[str, Any]:
    with closing(open_store(dsn)) as store:
        return settings_of(store.layer("wells", Reader.everything()).record)


def styles(dsn: str) -> dict[str, bool]:
    with closing(open_store(dsn)) as store:
        return {s.id: s.chosen for s in store.styles.read_all(Reader.everything(), "wells")}


@pytest.mark.parametrize("said", [{"schema": "wells.toml"}, {}])
def test_every_setting(city: City, said: dict[str, Any]) -> None:
    """Of a layer whose schema is named, and of one whose schema was inferred."""
    assert set(SETTLED) == set(SETTINGS)
    city.say({"wells": said | {"title": {"zh": "井", "en": "Wells"}}})
    if not said:
        source = json.loads(city.path.read_text())
        source["sources"][0] |= {"key": ["no"], "coordinates": ["x", "y"]}
        city.path.write_text(json.dumps(source))
    city.twice()
    document = json.loads(city.path.read_text())
    document["layers"]["wells"] = said | SETTLED
    city.path.write_text(json.dumps(document))
    before = written(city.dsn)
    told = city.apply("--dry-run")
    assert "~ wells: " in told
    assert "update_cycle: - -> P1Y" in told
    assert written(city.dsn) == before
    told = city.twice()
    assert settings(city.dsn) == SETTLED
    # Settings are no revision.
    after = written(city.dsn)
    for name in ("commit", "revision"):
        assert after[f"shikong.{name}"] == before[f"shikong.{name}"]
    document["layers"]["wells"] |= {
        "owner": None, "update_cycle": None, "default_datetime": None, "department": None,
        "paused": False, "pending": False, "backdating": False,
    }  # fmt: skip
    city.path.write_text(json.dumps(document))
    city.twice()
    nothing = {"owner": None, "update_cycle": None, "default_datetime": None, "department": None}
    flags = {"paused": False, "pending": False, "backdating": False}
    assert settings(city.dsn) == SETTLED | nothing | flags


def test_a_new_layer_has_its_settings(city: City) -> None:
    city.say({"wells": {"schema": "wells.toml", "indexes": ["depth"]} | SETTLED})
    city.twice()
    assert settings(city.dsn) == SETTLED
    assert "indexes           depth" in city.run("layer", "show", "wells")[1]


def test_limits_and_rules(city: City) -> None:
    schema = city.folder / "wells.toml"
    schema.write_text(SCHEMA + RULE)
    wells = city.folder / "wells.csv"
    wells.write_text("no,x,y,depth\n1,120.5,31,10\n2,120.6,31.5,-20\n")
    city.say({"wells": {"schema": "wells.toml", "limits": {"refused_share": 0.4}}})
    before = written(city.dsn)
    code, told, err = city.run("apply", city.path)
    assert code == 1
    assert "wells: refused" in told
    assert "sources[0]: " in err
    assert "nothing was written" in err
    # Numbers of what was rolled back are not given again; all else is as before.
    after = written(city.dsn)
    assert {k: v for k, v in after.items() if k != "counters"} == {
        k: v for k, v in before.items() if k != "counters"
    }
    city.say({"wells": {"schema": "wells.toml", "limits": {"refused_share": 0.5}}})
    assert "1 created" in city.twice()
    city.say({"wells": {"limits": {"refused_share": 0.1}}})
    assert "~ wells: another schema" in city.twice()
    wells.write_text("no,x,y,depth\n1,120.5,31,10\n2,120.6,31.5,-21\n")
    assert "refused_share" in city.run("apply", city.path)[2]
    schema.write_text(SCHEMA)
    city.say({"wells": {"schema": "wells.toml", "limits": {}}})
    told = city.twice()
    assert "another schema" in told
    assert "1 created" in told


def test_limits_of_what_is_inferred_would_come_too_late(city: City) -> None:
    city.say({"pumps": {"limits": {"refused_share": 0.5}}}, pumps="wells.csv")
    code, _, err = city.run("apply", city.path)
    assert code == 1
    assert "layers.pumps.limits: the first publish would not be asked" in err


def test_styles(city: City) -> None:
    (city.folder / "depth.json").write_text(json.dumps(STYLE))
    (city.folder / "red.sld").write_text(SLD)
    said = {"schema": "wells.toml", "style": "depth.json", "styles": ["red.sld"]}
    city.say({"wells": said})
    city.twice()
    assert styles(city.dsn) == {"wells.depth": True, "wells.red": False}
    (city.folder / "depth.json").write_text(json.dumps(STYLE).replace("#1f5fa8", "#ffffff"))
    told = city.twice()
    assert "style wells.depth" in told
    assert "wells.red" not in told
    city.say({"wells": {"schema": "wells.toml", "style": "red.sld"}})
    city.twice()
    assert styles(city.dsn) == {"wells.depth": False, "wells.red": True}
    (city.folder / "depth.json").write_text(json.dumps(STYLE).replace('"depth"]', '"deep"]'))
    city.say({"wells": {"schema": "wells.toml", "style": "depth.json"}})
    before = written(city.dsn)
    code, _, err = city.run("apply", city.path)
    assert code == 1
    assert "layers.wells: depth.json: /layers/0/filter/1/1: there is no field 'deep'" in err
    assert written(city.dsn) == before


def test_layer_set_style(city: City) -> None:
    city.say({"wells": {"schema": "wells.toml"}})
    city.apply()
    (city.folder / "depth.json").write_text(json.dumps(STYLE))
    assert city.run("layer", "set", "wells", "--style", city.folder / "depth.json")[0] == 0
    assert styles(city.dsn) == {"wells.depth": True}
    assert "style             wells.depth" in city.run("layer", "show", "wells")[1]
    assert city.run("layer", "set", "wells", "--style", "-")[0] == 0
    assert styles(city.dsn) == {"wells.depth": False}
    code, _, err = city.run("layer", "set", "wells", "--pause", "--style", city.path)
    assert (code, "city.yaml" in err) == (1, True), err
    assert not settings(city.dsn)["paused"]


def test_half_done_and_done_again(city: City) -> None:
    """Another message is another commit: the first stands where the second fails."""
    city.say({"wells": {"schema": "wells.toml"}}, wells="wells.csv", pumps="pumps.csv")
    document = json.loads(city.path.read_text())
    document["sources"][1]["message"] = "pumps"
    city.path.write_text(json.dumps(document))
    (city.folder / "pumps.csv").write_text("no,x,y\nA,120.5,31\nA,120.6,31\n")
    code, told, err = city.run("apply", city.path)
    assert code == 1
    assert "sources[1]: " in err
    assert "[1] to [1] of 2 are written and stand" in err
    assert "wells: revision 1: 2 created" in told
    assert "pumps" not in city.run("layers")[1]
    (city.folder / "pumps.csv").write_text("no,x,y\nA,120.5,31\n")
    told = city.twice()
    assert "wells.csv" not in told
    assert "pumps: revision 1: 1 created" in told


def test_what_says_the_same_is_one_commit(city: City) -> None:
    (city.folder / "pumps.csv").write_text("no,x,y\nA,120.5,31\nA,120.6,31\n")
    city.say({"wells": {"schema": "wells.toml"}}, wells="wells.csv", pumps="pumps.csv")
    code, _, err = city.run("apply", city.path)
    assert code == 1
    assert "sources[1]: " in err
    assert "nothing was written" in err
    assert "wells" not in city.run("layers")[1]
    (city.folder / "pumps.csv").write_text("no,x,y\nA,120.5,31\n")
    city.twice()
    with psycopg.connect(city.dsn) as connection:
        found = connection.execute("SELECT commit_id FROM shikong.revision").fetchall()
        ((message,),) = connection.execute("SELECT message FROM shikong.commit").fetchall()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert message == "as in city.yaml"
