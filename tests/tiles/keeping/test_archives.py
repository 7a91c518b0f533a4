"""Archives: what is in them is what would be drawn, and they answer nobody who may not see it."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import logging
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from pmtiles.reader import MmapSource, all_tiles
from pmtiles.reader import Reader as PmtilesReader
from pmtiles.writer import Writer

from layers.readers import Known, Reader
from layers.reading.features import Query
from layers.store import PublishedLayer, Store
from services.parameters import Pins
from services.tile_questions import question_of, schema_form
from tiles.errors import NothingToPack
from tiles.grids import Place, place
from tiles.keeping import making
from tiles.keeping.archive_files import MATRIX_SET, Label, write_archive
from tiles.keeping.archive_reading import open_archive
from tiles.keeping.archives import Archives
from tiles.keeping.cache import TileCache
from tiles.keeping.making import ChangeQuestion, TileMaker, TileQuestion
from tiles.keeping.seeding import Plan
from tiles.vector import draw, tile

THEN = datetime(2014, 6, 1, 4, tzinfo=UTC)
PINS = Pins(THEN, 4, None)
LAST = 14


def asking(
    layer: PublishedLayer, pins: Pins = PINS, properties: str | None = None
) -> Callable[[Place], TileQuestion]:
    return lambda where: question_of(layer, pins, where, Query(), properties).question


def pack(
    out: Path,
    layer: PublishedLayer,
    last: int = LAST,
    workers: int = 2,
    pins: Pins = PINS,
    properties: str | None = None,
) -> Path:
    ask = asking(layer, pins, properties)
    form = schema_form(Known(ask(place(MATRIX_SET, 0, 0, 0)).snapshot.schema))
    label = Label(layer.reader.name, form, layer.extent().bounds)
    write_archive(out, Plan(ask, MATRIX_SET, 0, last, workers), TileMaker(), label)
    return out


@pytest.fixture(scope="module")
def parcels(demo_store: Store) -> PublishedLayer:
    return demo_store.layer("parcels", Reader.anonymous())


@pytest.fixture(scope="module")
def packed(parcels: PublishedLayer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parcels of an instant as one file, in a folder of its own."""
    return pack(tmp_path_factory.mktemp("archives") / "parcels.pmtiles", parcels)


@pytest.fixture
def archives(packed: Path) -> Archives:
    return Archives(packed.parent, schema_form)


def address(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int(y * 2**zoom), int((lon + 180) / 360 * 2**zoom)


def middle(zoom: int) -> Place:
    return place(MATRIX_SET, zoom, *address(-71.1106, 42.3735, zoom))


def around(zoom: int) -> list[Place]:
    """The tiles of the city at a zoom, and one more on each side."""
    top, left = address(-71.14, 42.42, zoom)
    bottom, right = address(-71.07, 42.37, zoom)
    n = 2**zoom
    return [
        place(MATRIX_SET, zoom, r, c)
        for r in range(max(0, top - 1), min(n, bottom + 2))
        for c in range(max(0, left - 1), min(n, right + 2))
    ]


def unpacked(file: Path) -> dict[tuple[int, int, int], bytes]:
    with file.open("rb") as opened:
        return {at: gzip.decompress(data) for at, data in all_tiles(MmapSource(opened))}


def test_every_tile_is_what_would_be_drawn(packed: Path, parcels: PublishedLayer) -> None:
    """Read by the format's own reader: no tile too few, none too many, each to the byte."""
    found, snapshot = unpacked(packed), parcels.at(THEN, revision=4)
    looked = 0
    for zoom in range(LAST + 1):
        for where in around(zoom):
            drawn = tile(snapshot, where)
            assert found.get((zoom, where.column, where.row), b"") == drawn, where
            looked += bool(drawn)
    assert looked == len(found)
    assert {z for z, _, _ in found} == set(range(LAST + 1))


def test_a_file_says_what_it_is(packed: Path, parcels: PublishedLayer) -> None:
    with packed.open("rb") as opened:
        reader = PmtilesReader(MmapSource(opened))
        header, told = reader.header(), reader.metadata()
    assert (header["min_zoom"], header["max_zoom"], header["clustered"]) == (0, LAST, True)
    box = [header[f"{n}_e7"] / 1e7 for n in ("min_lon", "min_lat", "max_lon", "max_lat")]  # type: ignore[literal-required]
    assert box == pytest.approx(parcels.extent().bounds, abs=1e-6)
    schema = parcels.record.schema
    assert told["name"] == f"{schema.title.zh} · {schema.title.en}"
    assert told["attribution"] == schema.attribution != ""
    [layer] = told["vector_layers"]
    assert layer["id"] == "parcels"
    assert {"id", "ml", "title_deed", "count"} <= set(layer["fields"])
    assert "right_holder" not in layer["fields"]
    ours = told["shikong"]
    assert (ours["revision"], ours["instant"], ours["reader"]) == (
        4, "2014-06-01T04:00:00Z", "anonymous",
    )  # fmt: skip
    assert datetime.fromisoformat(ours["recorded"]) == parcels.recorded(4)
    assert "24" in ours["content"]["rule"]


def test_gdal_reads_it(packed: Path, parcels: PublishedLayer) -> None:
    frame = pyogrio.read_dataframe(packed, layer="parcels", ZOOM_LEVEL=LAST)
    here = set(frame["id"].dropna())
    there = set(parcels.at(THEN, revision=4).read().index)
    assert len(here) > 0.5 * len(there)
    assert here <= there


def test_the_same_snapshot_gives_the_same_bytes(
    packed: Path, parcels: PublishedLayer, tmp_path: Path
) -> None:
    again = pack(tmp_path / "again.pmtiles", parcels, workers=1)
    assert again.read_bytes() == packed.read_bytes()


def test_a_failure_leaves_no_file(
    parcels: PublishedLayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "parcels.pmtiles"
    old.write_bytes(b"what was there")

    def broken(snapshot: Any, where: Place, names: Any) -> Any:
        if where.zoom == 12:
            raise RuntimeError("the database went away")
        return draw(snapshot, where, names)

    monkeypatch.setattr(making, "draw", broken)
    with pytest.raises(RuntimeError, match="went away"):
        pack(old, parcels)
    assert old.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [old]


def test_of_nothing_there_is_no_archive(parcels: PublishedLayer, tmp_path: Path) -> None:
    before = Pins(datetime(1990, 1, 1, tzinfo=UTC), 4, None)
    with pytest.raises(NothingToPack, match="--at"):
        pack(tmp_path / "none.pmtiles", parcels, pins=before)
    assert list(tmp_path.iterdir()) == []


# --- answering from them -------------------------------------------------------------------------


def count_draws(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Every tile that is drawn from now on."""
    drawn: list[Place] = []

    def watched(snapshot: Any, where: Place, names: Any = None) -> Any:
        drawn.append(where)
        return draw(snapshot, where, names)

    async def never(snapshot: Any, where: Place, names: Any = None) -> None:
        return None

    monkeypatch.setattr(making, "draw", watched)
    monkeypatch.setattr(making, "draw_soon", never)
    return drawn


def test_nothing_is_drawn_that_an_archive_has(
    archives: Archives, parcels: PublishedLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = count_draws(monkeypatch)
    ask, maker = asking(parcels), TileMaker(TileCache(), archives)
    for zoom in (0, 5, 11, LAST):
        for where in around(zoom):
            fresh = asked_fresh(ask(where))
            assert maker.make(ask(where)) == fresh
            assert asyncio.run(TileMaker(TileCache(), archives).answer(ask(where))) == fresh
    assert drawn == []
    maker.make(ask(middle(LAST + 1)))
    assert drawn == [middle(LAST + 1)]


def asked_fresh(asked: TileQuestion) -> Any:
    return asked.kept(draw(asked.snapshot, asked.where, asked.names))


def test_a_present_that_is_the_archives_state_is_answered(
    parcels: PublishedLayer, tmp_path: Path
) -> None:
    ask = asking(parcels, Pins(None, None, None))
    state = ask(middle(0)).state
    pack(tmp_path / "now.pmtiles", parcels, 12, pins=Pins(state.when, state.revision, None))
    found = Archives(tmp_path, schema_form).find(ask(middle(12)))
    assert found == asked_fresh(ask(middle(12)))
    assert found is not None
    assert found.body


def test_other_questions_are_not_answered(
    archives: Archives, demo_store: Store, parcels: PublishedLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, ask = middle(13), asking(parcels)
    assert archives.has(ask(where))
    everything = demo_store.layer("parcels", Reader.everything())
    state = ask(where).state
    others = {
        "another reader": asking(everything)(where),
        "another instant": asking(parcels, Pins(datetime(2013, 6, 1, tzinfo=UTC), 4, None))(where),
        "another revision": asking(parcels, Pins(THEN, 3, None))(where),
        "other attributes": asking(parcels, properties="ml")(where),
        "a deeper zoom": ask(middle(LAST + 1)),
        "another layer": asking(demo_store.layer("grids"), Pins(THEN, 1, None))(where),
        "nobody may keep it": dataclasses.replace(ask(where), key=None),
        "a store set back": dataclasses.replace(
            ask(where), state=dataclasses.replace(state, recorded=THEN)
        ),
    }
    for why, asked in others.items():
        assert not archives.has(asked), why
        assert archives.find(asked) is None, why
    own = {f.name: getattr(ask(where), f.name) for f in dataclasses.fields(ask(where))}
    changes = ChangeQuestion(**own, old=parcels.at(THEN, revision=3))
    assert archives.find(changes) is None
    filtered = question_of(parcels, PINS, where, Query(filter=_filter(parcels)), None).question
    assert archives.find(filtered) is None
    other_form = Archives(archives.folder, lambda known: "another form")
    assert other_form.find(ask(where)) is None


def _filter(layer: PublishedLayer) -> Any:
    from layers.reading.cql2 import TEXT, read_filter

    return read_filter("ml = '169-100'", TEXT)


def test_everythings_archive_is_not_the_anonymous(
    demo_store: Store, parcels: PublishedLayer, tmp_path: Path
) -> None:
    everything = demo_store.layer("parcels", Reader.everything())
    pack(tmp_path / "all.pmtiles", everything, 8)
    archives = Archives(tmp_path, schema_form)
    assert archives.find(asking(everything)(middle(8))) is not None
    assert archives.find(asking(parcels)(middle(8))) is None
    assert archives.of("parcels", parcels.sight.fingerprint) == []
    assert len(archives.of("parcels", everything.sight.fingerprint)) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign", "header", "directory", "text"])
def test_a_damaged_archive_is_passed_over(
    packed: Path,
    parcels: PublishedLayer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    whole = packed.read_bytes()
    broken = {
        "empty": b"",
        "cut": whole[:-100],
        "foreign": _foreign(tmp_path),
        "header": whole[:16] + b"\xff" * 60 + whole[76:],
        "directory": whole[:130] + b"\0" * 40 + whole[170:],
        "text": b"no archive at all, but longer than the header of one" * 10,
    }[damage]
    (tmp_path / "b.pmtiles").write_bytes(broken)
    archives = Archives(tmp_path, schema_form)
    asked = asking(parcels)(middle(13))
    with caplog.at_level(logging.WARNING, "shikong"):
        for _ in range(3):
            assert archives.find(asked) is None
    assert len(caplog.records) == 1
    assert "b.pmtiles" in caplog.text
    # One that is whole beside it answers.
    (tmp_path / "c.pmtiles").write_bytes(whole)
    archives._looked = -math.inf
    assert archives.find(asked) is not None


def test_what_can_not_be_opened_hides_no_other(
    packed: Path, parcels: PublishedLayer, tmp_path: Path
) -> None:
    """A name that leads nowhere, a folder, and a pipe that nobody ever writes to."""
    for name in ("a", "z"):
        (tmp_path / f"{name}1.pmtiles").symlink_to(tmp_path / "gone")
        (tmp_path / f"{name}2.pmtiles").mkdir()
        os.mkfifo(tmp_path / f"{name}3.pmtiles")
    (tmp_path / "m.pmtiles").write_bytes(packed.read_bytes())
    assert Archives(tmp_path, schema_form).find(asking(parcels)(middle(13))) is not None


def test_a_header_that_names_the_whole_of_a_large_file_is_not_followed(
    packed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "b.pmtiles"
    whole, large = packed.read_bytes(), 1 << 30
    # The length of the root directory, as the format has it; the file is as long, and empty.
    file.write_bytes(whole[:16] + large.to_bytes(8, "little") + whole[24:])
    os.truncate(file, 2 << 30)
    with pytest.raises(ValueError, match="1073741824 bytes is longer than any of ours"):
        open_archive(file)


def test_a_file_that_took_the_name_of_another_is_not_taken_for_it(
    packed: Path, parcels: PublishedLayer, tmp_path: Path
) -> None:
    """Its tag would stand for the other's bytes, for ever in caches."""
    file = tmp_path / "b.pmtiles"
    file.write_bytes(packed.read_bytes())
    archive = open_archive(file)
    assert archive.stat().st_size == len(packed.read_bytes())
    (tmp_path / "c").write_bytes(packed.read_bytes())
    (tmp_path / "c").replace(file)
    with pytest.raises(FileNotFoundError, match="another file by now"):
        archive.stat()


@pytest.mark.parametrize("name", ["tiles", "matrixSet", "name"])
def test_an_archive_that_can_not_be_listed_is_none(
    packed: Path, parcels: PublishedLayer, tmp_path: Path, name: str
) -> None:
    """Whoever asked for the list would be told of an internal error."""
    with packed.open("rb") as opened:
        reader = PmtilesReader(MmapSource(opened))
        header, told = reader.header(), reader.metadata()
        (told if name == "name" else told["shikong"]).pop(name)
        with (tmp_path / "b.pmtiles").open("wb") as file:
            writer = Writer(file)
            writer.write_tile(0, b"x")
            writer.finalize(header, told)
    assert Archives(tmp_path, schema_form).of("parcels", parcels.sight.fingerprint) == []


def _foreign(folder: Path) -> bytes:
    """An archive that GDAL wrote."""
    import geopandas as gpd
    import shapely

    file = folder / "foreign.pmtiles"
    frame = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.Point(-71.1, 42.4)], crs=4326)
    pyogrio.write_dataframe(frame, file, driver="PMTiles", MAXZOOM=2)
    content = file.read_bytes()
    file.unlink()
    return content


def test_damage_among_the_tiles_is_passed_over(
    packed: Path, parcels: PublishedLayer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = bytearray(packed.read_bytes())
    whole[len(whole) // 3 :] = b"\0" * (len(whole) - len(whole) // 3)
    (tmp_path / "b.pmtiles").write_bytes(whole)
    archives = Archives(tmp_path, schema_form)
    maker, asked = TileMaker(TileCache(), archives), asking(parcels)(middle(LAST))
    assert archives.has(asked)
    assert maker.make(asked) == asked_fresh(asked)
    assert not archives.has(asked)
    assert len(caplog.records) == 1


def test_archives_come_and_go_while_the_server_runs(
    packed: Path, parcels: PublishedLayer, tmp_path: Path
) -> None:
    clock = [0.0]
    archives = Archives(tmp_path / "archives", schema_form, lambda: clock[0])
    asked = asking(parcels)(middle(12))
    assert archives.find(asked) is None
    (tmp_path / "archives").mkdir()
    file = tmp_path / "archives" / "a.pmtiles"
    file.write_bytes(packed.read_bytes())
    assert archives.find(asked) is None, "looked again within a second"
    clock[0] += 1.0
    assert archives.find(asked) == asked_fresh(asked)
    # Cut short under a reader's hands: no answer from it, and no end of the process.
    with file.open("r+b") as opened:
        opened.truncate(1000)
    assert archives.find(asked) is None
    clock[0] += 1.0
    file.unlink()
    clock[0] += 1.0
    assert archives.find(asked) is None
