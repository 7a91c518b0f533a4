"""The example of docs/apply.md: the file that it shows, applied as it stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyogrio

from layers.readers import Reader
from layers.store import open_store
from tests.cli.cities import written

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "deploy" / "demo"


def test_the_page_shows_the_file() -> None:
    page = (ROOT / "docs" / "apply.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert found[1] == (DEMO / "cambridge.yaml").read_text(encoding="utf-8")


def rows(name: str) -> int:
    """How many features a file of the demo has, as GDAL counts them."""
    told = pyogrio.read_info(f"/vsigzip/{DEMO / 'data' / name}", force_feature_count=True)
    return int(told["features"])


def test_the_example(run: Run, store_dsn: str, tmp_path: Path) -> None:
    city = tmp_path / "demo" / "cambridge.yaml"
    shutil.copytree(DEMO, city.parent)
    code, told, err = run("apply", city)
    assert not code, err
    assert told.startswith("cambridge.yaml: 3 to do")
    everything = Reader.everything()
    with closing(open_store(store_dsn)) as store:
        layers = {record.id: record for record in store.layers(everything)}
        heads = {layer_id: record.head for layer_id, record in layers.items()}
        assert heads == {"grids": 2, "parcels": 3, "pipe_nodes": 2, "pipe_segments": 1}
        commits = [r.commit.id for i in layers for r in store.log(everything, layer_id=i)]
        assert len(set(commits)) == 3
        assert layers["parcels"].department == "assessing"
        counts = {i: store.layer(i, everything).at("2014-06-10").count() for i in layers}
        assert counts["pipe_segments"] == rows("ky4_pipes.geojson.gz")
        nodes = [rows(f"ky4_{name}.geojson.gz") for name in ("junctions", "tanks")]
        assert counts["pipe_nodes"] == sum(nodes)
        sold = store.layer("parcels", everything).at("2014-06-10").read()
        (deed,) = sold.loc[sold["ml"] == "169-100", "title_deed"]
        assert "1315" in deed
    once = written(store_dsn)
    code, told, err = run("apply", city)
    assert told == "cambridge.yaml: nothing to do · 计划\n"
    assert written(store_dsn) == once
    sale = city.parent / "data" / "sale.csv"
    sale.write_text(sale.read_text(encoding="utf-8").replace("1315", "1316"), encoding="utf-8")
    code, told, err = run("apply", city)
    assert not code, err
    assert told.count("publish data/") == 1
    assert "parcels: revision 4: 0 created, 1 changed, 0 retired" in told
