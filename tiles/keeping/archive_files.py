"""A snapshot's tiles as one PMTiles file, which says of which state it is and who may see it.

The same snapshot gives the same bytes: tiles stand in the order of their numbers, and nothing in
the file says when it was written.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from layers.model import Field, FieldType
from layers.reading.boxes import Box
from spatial.drawing.sphere import SQUARE_END
from spatial.periods import format_instant
from tiles.content import OWN, stated
from tiles.errors import NothingToPack
from tiles.keeping.kept import FORMAT, KeptTile
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.keeping.seeding import DRAWN, THERE, Made, Plan, descend
from tiles.vector import open_fields

MATRIX_SET = "WebMercatorQuad"
MEDIA_TYPE = "application/vnd.pmtiles"
# What this project says in a file's metadata, beside what PMTiles has words for.
OURS = "shikong"
# Tiles by what they are, and how each is packed: pictures are small as they are.
PACKINGS = {
    "mvt": (TileType.MVT, Compression.GZIP),
    "png": (TileType.PNG, Compression.NONE),
    "webp": (TileType.WEBP, Compression.NONE),
}
_LEVEL = 6
_WORLD: Box = (-180.0, -SQUARE_END, 180.0, SQUARE_END)
_TYPES = {
    FieldType.INTEGER: "Number",
    FieldType.NUMBER: "Number",
    FieldType.BOOLEAN: "Boolean",
}


@dataclass(frozen=True)
class Label:
    """What an archive says of itself, beyond what its tiles' question says.

    Attributes
    ----------
    reader : str
        Who sees just this: ``anonymous``, ``everything``.
    form : str
        Of the content: differs wherever a schema makes other tiles of the same features.
    bounds : tuple of four floats, optional
        West, south, east and north of the layer, in degrees.
    kind : str
        Of its tiles: ``mvt``, ``png`` or ``webp``.
    """

    reader: str
    form: str
    bounds: Box | None = None
    kind: str = "mvt"


@dataclass
class Packed:
    """What is written so far.

    Attributes
    ----------
    tiles, drawn : int
        Tiles in the file, and those of them that were not kept anywhere.
    """

    tiles: int = 0
    drawn: int = 0
    thinned: dict[str, float] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256, repr=False)


def write_archive(out: Path, plan: Plan, maker: TileMaker, label: Label) -> Packed:
    """Write every tile of a plan to a file, which is there when it is whole.

    Parameters
    ----------
    out : Path
        In a folder that exists; an older file of the name is replaced.
    plan : Plan
        Its questions are all of one state, pinned.
    maker : TileMaker
        Tiles that it keeps in this state are taken from there; none are kept.

    Raises
    ------
    NothingToPack
        Where no tile has anything.
    """
    with TemporaryDirectory(dir=out.parent, prefix=".archive-") as folder:
        whole, tiles = Path(folder) / out.name, Path(folder) / "tiles"
        with whole.open("wb") as file, tiles.open("w+b") as beside:
            done = _write(file, beside, plan, maker, label)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(out)
    return done


def _write(
    file: IO[bytes], beside: BufferedRandom, plan: Plan, maker: TileMaker, label: Label
) -> Packed:
    writer, done = Writer(file), Packed()
    # On the disk that the archive is for: that of temporary files may be small.
    writer.tile_f.close()
    writer.tile_f = beside
    for made in descend(plan, lambda asked: _made(maker, asked), _number):
        if made.tile.body:
            _add(writer, done, made, packing=PACKINGS[label.kind][1])
    if not done.tiles:
        raise NothingToPack(
            f"nothing of the layer lies in zooms {plan.first} to {plan.last} at that instant; "
            "give another --at or --zoom"
        )
    question = plan.ask(made.where)
    writer.finalize(_header(plan, label), metadata(question, plan, label, done))
    return done


def _add(writer: Any, done: Packed, made: Made, *, packing: Compression) -> None:
    number, data = _number(made.where.zoom, made.where.row, made.where.column), made.tile.body
    if packing is Compression.GZIP:
        data = gzip.compress(data, _LEVEL, mtime=0)
    writer.write_tile(number, data)
    done.tiles += 1
    done.drawn += made.how == DRAWN
    done.digest.update(number.to_bytes(8, "big") + len(data).to_bytes(8, "big") + data)
    if made.tile.thinned is not None:
        done.thinned[str(number)] = made.tile.thinned


def _made(maker: TileMaker, asked: TileQuestion) -> tuple[str, KeptTile]:
    found = None if asked.key is None else maker.cache.find(asked.key)
    if found is not None and found.state == asked.state:
        return THERE, found
    return DRAWN, asked.kept(asked.draw())


def _number(zoom: int, row: int, column: int) -> int:
    return zxy_to_tileid(zoom, column, row)


def _header(plan: Plan, label: Label) -> dict[str, Any]:
    west, south, east, north = label.bounds or _WORLD
    if west > east:
        # Across 180 degrees: a file's bounds can't say that.
        west, east = _WORLD[0], _WORLD[2]
    south, north = max(south, _WORLD[1]), min(north, _WORLD[3])
    box = {"min_lon": west, "min_lat": south, "max_lon": east, "max_lat": north}
    middle = {"center_lon": (west + east) / 2, "center_lat": (south + north) / 2}
    found = {f"{name}_e7": round(value * 1e7) for name, value in (box | middle).items()}
    tile_type, compression = PACKINGS[label.kind]
    return {
        "tile_type": tile_type,
        "tile_compression": compression,
        "center_zoom": (plan.first + plan.last) // 2,
        **found,
    }


def metadata(asked: TileQuestion, plan: Plan, label: Label, done: Packed) -> dict[str, Any]:
    """Return what a file says of itself: in the words of PMTiles, and in ours."""
    record = asked.layer.record.as_of(asked.state.revision)
    schema, fields = record.schema, open_fields(asked.snapshot)
    title = {"zh": schema.title.zh, "en": schema.title.en}
    found: dict[str, Any] = {
        "name": f"{title['zh']} · {title['en']}",
        "description": f"{record.id}, revision {asked.state.revision}, as of "
        f"{format_instant(asked.state.when)}",
        "attribution": schema.attribution,
        "type": "overlay",
        "format": "pbf" if label.kind == "mvt" else label.kind,
    }
    if label.kind == "mvt":
        found["vector_layers"] = [
            {
                "id": record.id,
                "description": f"{title['zh']} · {title['en']}",
                "minzoom": plan.first,
                "maxzoom": plan.last,
                "fields": _fields(fields, asked.names),
            }
        ]
    return found | {OURS: _own(asked, plan, label, done)}


def _own(asked: TileQuestion, plan: Plan, label: Label, done: Packed) -> dict[str, Any]:
    """What a file says of itself for which PMTiles has no words."""
    schema, fields = asked.snapshot.schema, open_fields(asked.snapshot)
    return {
        "format": FORMAT,
        "layer": asked.layer.record.id,
        "title": {"zh": schema.title.zh, "en": schema.title.en},
        "revision": asked.state.revision,
        "recorded": format_instant(asked.state.recorded),
        "instant": format_instant(asked.state.when),
        "reader": label.reader,
        "scope": asked.scope,
        "form": label.form,
        "matrixSet": plan.matrix_set,
        "zooms": [plan.first, plan.last],
        "properties": None if asked.names is None else list(asked.names),
        "content": stated(schema, fields) if label.kind == "mvt" else None,
        "thinned": done.thinned,
        "tiles": done.tiles,
        "digest": done.digest.hexdigest(),
    }


def _fields(fields: tuple[Field, ...], names: tuple[str, ...] | None) -> Mapping[str, str]:
    kinds = dict.fromkeys(OWN, "String") | {f.id: _TYPES.get(f.type, "String") for f in fields}
    if names is None:
        return kinds | {"count": "Number"}
    return {name: kinds[name] for name in names}
