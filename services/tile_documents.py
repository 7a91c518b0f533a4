"""What describes tiles: lists of tilesets, a tileset's metadata, TileJSON; pure functions.

As OGC API - Tiles - Part 1 (OGC 20-057) and Two Dimensional Tile Matrix Set and Tile Set Metadata
(OGC 17-083r4) have them, and TileJSON 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from layers.model import FieldType, Title
from layers.store import PublishedLayer
from services.links import link
from services.negotiation import JSON
from services.schema_documents import TYPES
from tiles.content import stated
from tiles.grids import OFFERED, Box, Grid, grid, to_grid
from tiles.raster import PictureFormat
from tiles.vector import MEDIA_TYPE

_RELS = "http://www.opengis.net/def/rel/ogc/1.0/"
TILING = f"{_RELS}tiling-scheme"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
PICTURES = tuple(kind.media_type for kind in PictureFormat)
TILEJSON = "application/vnd.mapbox.tilejson+json"
TILEJSON_VERSION = "3.0.0"
# What a feature of a tile may carry beside its fields; what stands for several, their number.
_OWN = {
    "id": (Title("Id", "标识"), FieldType.TEXT),
    "valid_from": (Title("Valid from", "有效时间起"), FieldType.INSTANT),
    "valid_to": (Title("Valid to", "有效时间止"), FieldType.INSTANT),
    "count": (Title("How many it stands for", "合并要素数"), FieldType.INTEGER),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One layer in a tileset.

    Attributes
    ----------
    bounds : Box or None
        Where its features lie, in longitude and latitude; None where that is not known.
    wanted : frozenset of str or None
        The properties asked for; all where None.
    """

    layer: PublishedLayer
    bounds: Box | None
    wanted: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Tiled:
    """What tilesets are of, and where they stand.

    Attributes
    ----------
    here : str
        Address of the list of tilesets, without a query.
    base : str
        Address of the landing page, without its slash.
    said : str
        The query that a tile's address carries, with its question mark: what pins the snapshot.
    own : tuple of dict
        Links of the document to itself.
    pictures : tuple of str
        Media types of the tiles, where they are pictures; none of vector tiles.
    """

    title: Title
    description: Title
    here: str
    base: str
    parts: tuple[Part, ...]
    said: str = ""
    own: tuple[dict[str, str], ...] = ()
    pictures: tuple[str, ...] = ()

    @property
    def bounds(self) -> Box | None:
        """Where the features of all parts lie; None where that is not known of each."""
        found = [part.bounds for part in self.parts]
        if not found or None in found:
            return None
        west, south, east, north = zip(*(box for box in found if box is not None), strict=True)
        if any(w > e for w, e in zip(west, east, strict=True)):
            return -180.0, min(south), 180.0, max(north)
        return min(west), min(south), max(east), max(north)


def content_statement(layer: PublishedLayer) -> dict[str, Any]:
    """Return what a tileset says of the rule by which a layer's tiles are filled."""
    schema = layer.record.schema
    return {"shikong:content": stated(schema, layer.reader.fields(layer.record))}


def picture_formats(layer: PublishedLayer) -> tuple[str, ...]:
    """Return the media types in which a layer is drawn as pictures; none of vectors."""
    return PICTURES if layer.record.schema.raster else ()


def is_mercator(name: str) -> bool:
    """Return whether a matrix set is of the zooms, rows and columns that TileJSON means.

    >>> [name for name in OFFERED if is_mercator(name)]
    ['WebMercatorQuad', 'Tianditu_w']
    """
    tiling = grid(name)
    return not tiling.crs.is_geographic and tiling.shift == 0


def matrix_set_uri(base: str, name: str) -> str:
    """Return the name of a matrix set: the register's, else where its definition is had."""
    uri = grid(name).matrix_set.uri
    return f"{base}/tileMatrixSets/{name}" if uri is None else str(uri)


def list_tilesets(tiled: Tiled) -> dict[str, Any]:
    """Return the document that lists the tilesets, one for each matrix set."""
    return {"links": [*tiled.own], "tilesets": [_entry(tiled, name) for name in OFFERED]}


def describe_tileset(tiled: Tiled, name: str) -> dict[str, Any]:
    """Return a tileset's metadata."""
    tiling, bounds = grid(name), tiled.bounds
    document = _entry(tiled, name) | {"description": _told(tiled.description)}
    document["links"] = [*tiled.own, *_tile_links(tiled, name)]
    if bounds is not None:
        document["boundingBox"] = _bounding_box(bounds)
        document["centerPoint"] = _center(tiling, bounds, name)
    document["layers"] = [_layer(tiled, part, tiling) for part in tiled.parts]
    if len(tiled.parts) == 1 and not tiled.pictures:
        document |= content_statement(tiled.parts[0].layer)
    return document


def describe_tilejson(tiled: Tiled, name: str) -> dict[str, Any]:
    """Return a tileset as TileJSON 3.0; only of a set that `is_mercator`."""
    tiling, bounds = grid(name), tiled.bounds
    sources = [part.layer.record.schema.attribution for part in tiled.parts]
    document: dict[str, Any] = {
        "tilejson": TILEJSON_VERSION,
        "name": _told(tiled.title),
        "description": _told(tiled.description),
        "scheme": "xyz",
        "tiles": [_template(tiled, name, ("{z}", "{y}", "{x}"))],
        "minzoom": tiling.first,
        "maxzoom": tiling.last,
    }
    if not tiled.pictures:
        document["vector_layers"] = [_vector_layer(part, tiling) for part in tiled.parts]
    if any(sources):
        document["attribution"] = "; ".join(dict.fromkeys(s for s in sources if s))
    if bounds is not None:
        document["bounds"] = list(bounds)
        document["center"] = [*_middle(bounds), int(_center(tiling, bounds, name)["tileMatrix"])]
    if len(tiled.parts) == 1 and not tiled.pictures:
        document |= content_statement(tiled.parts[0].layer)
    return document


def describe_matrix_set(base: str, name: str) -> dict[str, Any]:
    """Return the definition of a matrix set."""
    found: dict[str, Any] = grid(name).matrix_set.model_dump(mode="json", exclude_none=True)
    return found | {"uri": matrix_set_uri(base, name)}


def _entry(tiled: Tiled, name: str) -> dict[str, Any]:
    tiling, bounds = grid(name), tiled.bounds
    limits = {} if bounds is None else {"tileMatrixSetLimits": _limits(tiling, bounds, name)}
    return limits | {
        "title": _told(tiled.title),
        "dataType": "map" if tiled.pictures else "vector",
        "crs": describe_matrix_set(tiled.base, name)["crs"],
        "tileMatrixSetId": name,
        "tileMatrixSetURI": matrix_set_uri(tiled.base, name),
        "tileMatrixSetDefinition": f"{tiled.base}/tileMatrixSets/{name}",
        "mediaTypes": list(tiled.pictures or (MEDIA_TYPE,)),
        "minZoom": tiling.first,
        "maxZoom": tiling.last,
        "links": [
            link(f"{tiled.here}/{name}{tiled.said}", "self", JSON, name),
            *_tile_links(tiled, name),
        ],
    }


def _tile_links(tiled: Tiled, name: str) -> Iterator[dict[str, Any]]:
    template = _template(tiled, name, ("{tileMatrix}", "{tileRow}", "{tileCol}"))
    if tiled.pictures:
        joint = "&" if tiled.said else "?"
        for kind in PictureFormat:
            item = link(f"{template}{joint}f={kind.value}", "item", kind.media_type, "Tiles · 瓦片")
            yield {**item, "templated": True}
    else:
        yield {**link(template, "item", MEDIA_TYPE, "Tiles · 瓦片"), "templated": True}
    yield link(f"{tiled.base}/tileMatrixSets/{name}", TILING, JSON, name)
    if is_mercator(name):
        said = f"{tiled.said}&" if tiled.said else "?"
        yield link(f"{tiled.here}/{name}{said}f=tilejson", "alternate", JSON, "TileJSON")
    for part in tiled.parts:
        yield _collection(tiled, part)


def _template(tiled: Tiled, name: str, numbers: tuple[str, str, str]) -> str:
    return f"{'/'.join((tiled.here, name, *numbers))}{tiled.said}"


def _collection(tiled: Tiled, part: Part) -> dict[str, str]:
    record = part.layer.record
    href = f"{tiled.base}/collections/{record.id}"
    return link(href, f"{_RELS}geodata", JSON, _told(record.schema.title))


def _bounding_box(bounds: Box) -> dict[str, Any]:
    return {"lowerLeft": list(bounds[:2]), "upperRight": list(bounds[2:]), "crs": CRS84}


def _limits(tiling: Grid, bounds: Box, name: str) -> list[dict[str, Any]]:
    """Of each matrix the rows and columns outside which there is nothing."""
    box, found = to_grid(name, bounds), []
    for zoom in range(tiling.first, tiling.last + 1):
        top, bottom, left, right = tiling.covering(zoom, box)
        if zoom == tiling.first:
            # Whole: it has four tiles at most, and a tile outside the limits must be none.
            top, left, bottom, right = 0, 0, tiling.rows - 1, tiling.columns - 1
        found.append(
            {
                "tileMatrix": str(zoom),
                "minTileRow": top,
                "maxTileRow": bottom,
                "minTileCol": left,
                "maxTileCol": right,
            }
        )
    return found


def _center(tiling: Grid, bounds: Box, name: str) -> dict[str, Any]:
    """The middle of everything, at the deepest matrix of which four tiles show all of it."""
    shown = tiling.first
    for limits in _limits(tiling, bounds, name):
        high = limits["maxTileRow"] - limits["minTileRow"]
        wide = limits["maxTileCol"] - limits["minTileCol"]
        if high > 1 or wide > 1:
            break
        shown = int(limits["tileMatrix"])
    matrix = tiling.matrix_set.matrix(shown)
    return {
        "coordinates": list(_middle(bounds)),
        "crs": CRS84,
        "tileMatrix": matrix.id,
        "scaleDenominator": matrix.scaleDenominator,
        "cellSize": matrix.cellSize,
    }


def _middle(bounds: Box) -> tuple[float, float]:
    west, south, east, north = bounds
    across = (west + east) / 2
    if west > east:
        across = across + 180 if across <= 0 else across - 180
    return across, (south + north) / 2


def _layer(tiled: Tiled, part: Part, tiling: Grid) -> dict[str, Any]:
    schema = part.layer.record.schema
    if tiled.pictures:
        ranged = {} if schema.value_range is None else {"valueRange": list(schema.value_range)}
        return {
            "id": part.layer.record.id,
            "title": _told(schema.title),
            "dataType": "map",
        } | ranged
    document: dict[str, Any] = {
        "id": part.layer.record.id,
        "title": _told(schema.title),
        "description": _told(schema.description),
        "dataType": "vector",
        "geometryDimension": _dimension(schema.geometry),
        "minTileMatrix": str(tiling.first),
        "maxTileMatrix": str(tiling.last),
        "minCellSize": tiling.matrix_set.matrix(tiling.last).cellSize,
        "maxCellSize": tiling.matrix_set.matrix(tiling.first).cellSize,
        "propertiesSchema": {"type": "object", "properties": dict(_properties(part))},
        "links": [_collection(tiled, part)],
    }
    if part.bounds is not None:
        document["boundingBox"] = _bounding_box(part.bounds)
    return document | content_statement(part.layer)


def _properties(part: Part) -> Iterator[tuple[str, Mapping[str, str]]]:
    for name, (title, kind) in _OWN.items():
        if part.wanted is None or name in part.wanted:
            yield name, {"title": _told(title), **TYPES[kind]}
    for f in part.layer.reader.fields(part.layer.record):
        if part.wanted is None or f.id in part.wanted:
            yield f.id, {"title": _told(f.title), **TYPES[f.type]}


def _vector_layer(part: Part, tiling: Grid) -> dict[str, Any]:
    return {
        "id": part.layer.record.id,
        "description": _told(part.layer.record.schema.title),
        "minzoom": tiling.first,
        "maxzoom": tiling.last,
        "fields": {name: described["title"] for name, described in _properties(part)},
    }


def _told(title: Title) -> str:
    return " · ".join(text for text in (title.zh, title.en) if text)


def _dimension(geometry: str) -> int:
    name = geometry.removesuffix("Z").removeprefix("Multi")
    return {"Point": 0, "LineString": 1, "Polygon": 2}[name]
