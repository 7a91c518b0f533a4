"""The commands that make tiles before anybody asks: ``shikong tiles seed``, ``tiles archive``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from layers.errors import NoRoom, UnknownLayer
from layers.model import Visibility
from layers.readers import Known, Reader
from layers.reading.features import Query
from layers.store import PublishedLayer, Store
from services.commands import settings_of, writer
from services.errors import BadParameter
from services.opening import opened_store
from services.parameters import Pins
from services.progress import progress_bar
from services.settings import Settings
from services.tile_questions import picture_of, question_of, schema_form
from spatial.errors import SpatialError
from spatial.periods import Interval, parse_datetime
from tiles.grids import Place, grid, place
from tiles.keeping.archive_files import MATRIX_SET, Label, write_archive
from tiles.keeping.archives import ENDING
from tiles.keeping.cache import TileCache
from tiles.keeping.kept import State
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.keeping.seeding import DRAWN, EMPTY, THERE, Ask, Plan, Say, Stopped, seed
from tiles.keeping.shelf import Shelf
from tiles.raster import PictureFormat, check_raster

Options = argparse.Namespace
READERS = {"anonymous": Reader.anonymous(), "everything": Reader.everything()}
WHOM = {
    "anonymous": "for everybody · 面向所有人",
    "everything": "for readers of every internal field · 面向可见全部内部字段者",
}
VECTOR = "mvt"
FORMATS = (VECTOR, *(kind.value for kind in PictureFormat))
_MEMORY = 64 << 20
# From there on what was made first has had to leave for what came after.
_FULL = 0.9


def seed_tiles(options: Options) -> None:
    """Make every tile of a layer, and put it where the server looks."""
    settings = settings_of(options)
    if not settings.tile_disk_bytes:
        raise BadParameter("SHIKONG_TILE_DISK_MB is 0: nothing is kept on disk; give it some")
    name = options.matrix_set
    with opened_store(settings) as store:
        layer = _layer(store, options)
        pins = _pins(layer, options)
        cache = _cache(settings)
        ask = _ask(layer, pins, options, name)
        state = ask(place(name, options.zoom[1], 0, 0)).state
        print(f"{_of(layer, state, passing=pins.when is None)}, {WHOM[options.reader]}")
        with progress_bar(layer.record.id, "tiles") as say:
            plan = _plan(ask, name, options, say)
            try:
                counts = seed(plan, TileMaker(cache))
            except Stopped as stop:
                again = "stopped; run it again to go on · 已停止，可再次运行以继续"
                print(f"{again}: {_told(stop.counts)}")
                raise
        print(_told(counts))
        _warn_of_room(cache, settings)
        _check_kept(cache)


def archive_tiles(options: Options) -> None:
    """Write every tile of a snapshot to one PMTiles file."""
    out, settings = Path(options.out), settings_of(options)
    if out.suffix != ENDING or not out.parent.is_dir():
        raise BadParameter(f"{out}: name a file {ENDING} in a folder that exists")
    with opened_store(settings) as store:
        layer = _layer(store, options)
        kind = _kind(layer, options)
        first = question_of(layer, _pins(layer, options), place(MATRIX_SET, 0, 0, 0), Query(), None)
        state = first.question.state
        # Pinned, or the clock could pass a start or an end between two of its tiles.
        pins = Pins(state.when, state.revision, None)
        _note(store, layer)
        form = schema_form(Known(first.question.snapshot.schema))
        label = Label(options.reader, form, layer.extent().bounds, kind)
        cache = _cache(settings) if settings.tile_disk_bytes else TileCache(_MEMORY)
        with progress_bar(layer.record.id, "tiles") as say:
            ask = _ask(layer, pins, options, MATRIX_SET)
            plan = _plan(ask, MATRIX_SET, options, say)
            try:
                done = write_archive(out, plan, TileMaker(cache), label)
            except OSError as error:
                raise BadParameter(f"{out} can't be written ({error.strerror})") from None
        size = out.stat().st_size
        print(
            f"{_of(layer, state)}, {WHOM[options.reader]}: {done.tiles:,} tiles "
            f"({done.drawn:,} drawn), {size:,} bytes -> {out}"
        )
        if out.parent.resolve() != archives_folder(settings).resolve():
            print(
                f"served from {archives_folder(settings)}: move it there · 移入该目录即可由服务提供"
            )


def archives_folder(settings: Settings) -> Path:
    """Return where the server looks for archives."""
    return settings.data / "archives"


def _layer(store: Store, options: Options) -> PublishedLayer:
    try:
        return store.layer(options.layer, READERS[options.reader])
    except UnknownLayer:
        # Raises what it is to say where there is none at all.
        store.layer(options.layer, READERS["everything"])
        raise BadParameter(
            f"{options.layer} is not everybody's, so nobody would be answered with its tiles "
            "without a grant; --as everything makes those of who sees every internal field"
        ) from None


def _pins(layer: PublishedLayer, options: Options) -> Pins:
    """What a request with the same words pins."""
    schema = layer.record.schema
    text = options.at or schema.default_datetime
    try:
        when = None if text is None else parse_datetime(text, schema.zone)
    except SpatialError as error:
        raise BadParameter(f"--at: {error}") from None
    if isinstance(when, Interval):
        raise BadParameter(f"--at {text!r}: a tile shows one instant; give one, not an interval")
    if options.revision is not None and options.revision != layer.record.head and when is None:
        raise BadParameter(
            f"--revision {options.revision} is a past one, and now passes: say --at which instant"
        )
    return Pins(when, options.revision, None, by_default=options.at is None and text is not None)


def _kind(layer: PublishedLayer, options: Options) -> str:
    """What the tiles are: of a raster layer pictures, unless somebody wants its outlines."""
    raster = layer.record.schema.raster
    kind = options.format or (PictureFormat.PNG.value if raster else VECTOR)
    if kind != VECTOR:
        check_raster(layer.record)
        if options.properties is not None:
            raise BadParameter(
                f"--properties is of vector tiles; leave it out, or --format {VECTOR}"
            )
    return kind


def _ask(layer: PublishedLayer, pins: Pins, options: Options, name: str) -> Ask:
    kind = _kind(layer, options)

    def ask(where: Place) -> TileQuestion:
        if kind != VECTOR:
            return picture_of(layer, pins, where, PictureFormat(kind)).question
        return question_of(layer, pins, where, Query(), options.properties).question

    # What is no property is refused before anything is drawn.
    ask(place(name, grid(name).first, 0, 0))
    return ask


def _plan(ask: Ask, name: str, options: Options, say: Say) -> Plan:
    first, last = options.zoom
    return Plan(ask, name, first, last, options.workers, say)


def _of(layer: PublishedLayer, state: State, *, passing: bool = False) -> str:
    local = state.when.astimezone(layer.record.schema.zone).isoformat()
    known = f"{layer.record.id} r{state.revision}"
    return f"{known} of now, the same since {local}" if passing else f"{known} as of {local}"


def _cache(settings: Settings) -> TileCache:
    return TileCache(_MEMORY, Shelf(settings.data / "tiles", settings.tile_disk_bytes))


def _note(store: Store, layer: PublishedLayer) -> None:
    """Note that a layer which is not everybody's leaves in a file."""
    if layer.record.visibility is not Visibility.PUBLIC or layer.record.pending:
        who = writer()
        own = (who.caller, who.origin, layer.record.id, "tile-archive")
        store.watch.note_read(store.database, *own)


def _told(counts: Counter[str]) -> str:
    return (
        f"{counts[DRAWN]:,} drawn, {counts[THERE]:,} there already, {counts[EMPTY]:,} of them empty"
        f" · 新绘 {counts[DRAWN]:,}，已有 {counts[THERE]:,}，其中空瓦片 {counts[EMPTY]:,}"
    )


def _check_kept(cache: TileCache) -> None:
    """Refuse to end as if all was well where tiles were drawn in vain."""
    shelf = cache.shelf
    if shelf is not None and shelf.lost:
        raise NoRoom(
            f"{shelf.lost:,} tiles could not be kept in {shelf.folder} ({shelf.cause}); make room "
            "on the disk, and run it again"
        )


def _warn_of_room(cache: TileCache, settings: Settings) -> None:
    assert cache.shelf is not None  # noqa: S101 - made with one
    kept, most = cache.shelf.bytes_kept(), settings.tile_disk_bytes
    print(f"{kept >> 20:,} of {most >> 20:,} MB · 磁盘占用 {kept >> 20:,} / {most >> 20:,} MB")
    if kept > most * _FULL:
        print(
            "no more fits, and the least used leave: raise SHIKONG_TILE_DISK_MB, or use "
            "shikong tiles archive · 空间已满，请增大 SHIKONG_TILE_DISK_MB 或使用归档"
        )
