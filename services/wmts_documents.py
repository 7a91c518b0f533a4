"""WMTS 1.0.0 (OGC 07-057r7) as XML: what the service has, and what went wrong; pure functions."""

from __future__ import annotations

# Only written here, never read.
import xml.etree.ElementTree as ET  # nosec B405
from collections.abc import Iterable

from layers.store import PublishedLayer
from services.tile_documents import picture_formats
from spatial.periods import format_instant
from tiles.grids import OFFERED, grid, to_grid
from tiles.styling.markup import writable
from tiles.vector import MEDIA_TYPE

XML = "application/xml"
VERSION = "1.0.0"
STYLE = "default"
CURRENT = "current"
# How each media type is called in an address.
FORMATS = {MEDIA_TYPE: "mvt", "image/png": "png", "image/webp": "webp"}
_SPACES = {
    "xmlns": "http://www.opengis.net/wmts/1.0",
    "xmlns:ows": "http://www.opengis.net/ows/1.1",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
}
# Of the well-known ones WorldCRS84Quad begins one level deeper than GoogleCRS84Quad does.
_SCALE_SETS = {"WebMercatorQuad": "urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible"}
# As OWSLib and GDAL call the style.
_TEMPLATE = "{Style}/{Time}/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}"


def formats_of(layer: PublishedLayer) -> tuple[str, ...]:
    """Return the media types in which tiles of a layer are had."""
    return picture_formats(layer) or (MEDIA_TYPE,)


def describe_service(base: str, layers: Iterable[PublishedLayer]) -> bytes:
    """Return the capabilities: every layer in every matrix set.

    Parameters
    ----------
    base : str
        Address of the landing page, without its slash.
    """
    root = ET.Element("Capabilities", _SPACES | {"version": VERSION})
    about = _add(root, "ows:ServiceIdentification")
    _add(about, "ows:Title", "时空 Shikong")
    _add(
        about, "ows:Abstract", "任一时刻的瓦片 · Tiles of any instant: Time is an RFC 3339 instant"
    )
    _add(about, "ows:ServiceType", "OGC WMTS")
    _add(about, "ows:ServiceTypeVersion", VERSION)
    provider = _add(root, "ows:ServiceProvider")
    _add(provider, "ows:ProviderName", "时空 Shikong")
    _add(provider, "ows:ServiceContact")
    operations = _add(root, "ows:OperationsMetadata")
    for name in ("GetCapabilities", "GetTile"):
        _add_operation(operations, name, f"{base}/wmts?")
    contents = _add(root, "Contents")
    for layer in layers:
        _add_layer(contents, base, layer)
    for name in OFFERED:
        _add_matrix_set(contents, name)
    _add(
        root, "ServiceMetadataURL", **{"xlink:href": f"{base}/wmts/{VERSION}/WMTSCapabilities.xml"}
    )
    return _written(root)


def report(code: str, locator: str | None, text: str) -> bytes:
    """Return what went wrong, as OWS 1.1 has it.

    >>> b'exceptionCode="TileOutOfRange"' in report("TileOutOfRange", "TileRow", "row 9 < 4")
    True
    """
    root = ET.Element(
        "ows:ExceptionReport", {"xmlns:ows": _SPACES["xmlns:ows"], "version": VERSION}
    )
    located = {} if locator is None else {"locator": locator}
    fault = _add(root, "ows:Exception", exceptionCode=code, **located)
    _add(fault, "ows:ExceptionText", text)
    return _written(root)


def _add_operation(operations: ET.Element, name: str, address: str) -> None:
    asked = _add(_add(_add(operations, "ows:Operation", name=name), "ows:DCP"), "ows:HTTP")
    got = _add(asked, "ows:Get", **{"xlink:href": address})
    allowed = _add(_add(got, "ows:Constraint", name="GetEncoding"), "ows:AllowedValues")
    _add(allowed, "ows:Value", "KVP")


def _add_layer(contents: ET.Element, base: str, layer: PublishedLayer) -> None:
    record, schema = layer.record, layer.record.schema
    found = _add(contents, "Layer")
    _add(found, "ows:Title", f"{schema.title.zh} · {schema.title.en}")
    told = f"{schema.description.zh} {schema.description.en}".strip()
    if told:
        _add(found, "ows:Abstract", told)
    bounds = layer.extent().bounds
    if bounds is not None:
        box = _add(found, "ows:WGS84BoundingBox")
        _add(box, "ows:LowerCorner", f"{bounds[0]!r} {bounds[1]!r}")
        _add(box, "ows:UpperCorner", f"{bounds[2]!r} {bounds[3]!r}")
    _add(found, "ows:Identifier", record.id)
    # Across 180 degrees there is none.
    if bounds is not None and bounds[0] <= bounds[2]:
        _add_mercator_box(found, bounds)
    style = _add(found, "Style", isDefault="true")
    _add(style, "ows:Identifier", STYLE)
    for media_type in formats_of(layer):
        _add(found, "Format", media_type)
    _add_time(found, layer)
    for name in OFFERED:
        _add(_add(found, "TileMatrixSetLink"), "TileMatrixSet", name)
    for media_type in formats_of(layer):
        there = f"{base}/wmts/{VERSION}/{record.id}/{_TEMPLATE}?f={FORMATS[media_type]}"
        _add(found, "ResourceURL", format=media_type, resourceType="tile", template=there)


def _add_mercator_box(found: ET.Element, bounds: tuple[float, float, float, float]) -> None:
    """QGIS (3.40) takes degrees for metres where no box is in the system of the tiles."""
    west, south, east, north = to_grid("WebMercatorQuad", bounds)
    box = _add(found, "ows:BoundingBox", crs="urn:ogc:def:crs:EPSG::3857")
    _add(box, "ows:LowerCorner", f"{west!r} {south!r}")
    _add(box, "ows:UpperCorner", f"{east!r} {north!r}")


def _add_time(found: ET.Element, layer: PublishedLayer) -> None:
    """The instant that is shown; what is asked without one is of now."""
    dimension = _add(found, "Dimension")
    _add(dimension, "ows:Identifier", "Time")
    _add(dimension, "ows:UOM", "ISO8601")
    _add(dimension, "Default", CURRENT)
    _add(dimension, "Current", "true")
    _add(dimension, "Value", CURRENT)
    extent = layer.extent()
    if extent.start is not None:
        end = ".." if extent.end is None else format_instant(extent.end)
        _add(dimension, "Value", f"{format_instant(extent.start)}/{end}")


def _add_matrix_set(contents: ET.Element, name: str) -> None:
    tiling = grid(name)
    found = _add(contents, "TileMatrixSet")
    _add(found, "ows:Title", tiling.matrix_set.title or name)
    _add(found, "ows:Identifier", name)
    _add(found, "ows:SupportedCRS", _urn(tiling.crs.to_authority()))
    if name in _SCALE_SETS:
        _add(found, "WellKnownScaleSet", _SCALE_SETS[name])
    for zoom in range(tiling.first, tiling.last + 1):
        matrix = tiling.matrix_set.matrix(zoom)
        one = _add(found, "TileMatrix")
        _add(one, "ows:Identifier", str(matrix.id))
        _add(one, "ScaleDenominator", repr(matrix.scaleDenominator))
        # In the order of the authority, as the definition has it.
        _add(one, "TopLeftCorner", " ".join(map(repr, matrix.pointOfOrigin)))
        _add(one, "TileWidth", str(matrix.tileWidth))
        _add(one, "TileHeight", str(matrix.tileHeight))
        _add(one, "MatrixWidth", str(matrix.matrixWidth))
        _add(one, "MatrixHeight", str(matrix.matrixHeight))


def _urn(authority: tuple[str, str] | None) -> str:
    if authority == ("OGC", "CRS84"):
        return "urn:ogc:def:crs:OGC:1.3:CRS84"
    return f"urn:ogc:def:crs:EPSG::{authority[1] if authority else 0}"


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, tag, attributes)
    made.text = None if text is None else writable(text, "\N{REPLACEMENT CHARACTER}")
    return made


def _written(root: ET.Element) -> bytes:
    written: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return written
