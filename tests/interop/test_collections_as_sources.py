"""Our own server as a source, asked over OGC API Features as any other server is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import shapely

from layers.sourcing.asked import Asked
from services.remote_sources import opened_remote
from services.settings import Settings
from tests.interop import wells
from tests.interop.conftest import Server


def test_every_parcel_arrives_as_it_is(asked_city: Server, tmp_path: Path) -> None:
    settings = Settings(tmp_path, source_hosts=frozenset({urlsplit(asked_city.base).netloc}))
    with opened_remote(asked_city.base, Asked(layer="parcels"), None, settings) as source:
        batches = list(source.batches())
    kept = wells.read(asked_city.dsn, "parcels")
    assert sum(map(len, batches)) == len(kept)
    theirs = {
        no: shape
        for batch in batches
        if batch.geometries is not None
        for no, shape in zip(batch.columns["ml"].to_pylist(), batch.geometries, strict=True)
        if shape is not None and no is not None
    }
    named = kept[kept["ml"].notna()]
    ours = dict(zip(named["ml"], named.geometry, strict=True))
    assert set(theirs) == {no for no, shape in ours.items() if shape is not None}
    away = [shapely.hausdorff_distance(theirs[no], ours[no]) for no in list(theirs)[::50]]
    assert max(away) < 1e-7
    assert len(asked_city.asked("/items")) > 1
