"""GDAL's vector drivers: those that may open a file of somebody, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping

# They read the file that they are given, and those of its name beside it.
ALLOWED: Mapping[str, str] = {
    "AVCE00": "Arc/Info export",
    "DGN": "MicroStation V7",
    "DXF": "AutoCAD DXF",
    "ESRI Shapefile": "Shapefile",
    "ESRIJSON": "Esri JSON",
    "FlatGeobuf": "FlatGeobuf",
    "GML": "GML",
    "GPKG": "GeoPackage",
    "GPX": "GPX",
    "GeoJSON": "GeoJSON",
    "GeoJSONSeq": "GeoJSON text sequence",
    "GeoRSS": "GeoRSS",
    "JML": "OpenJUMP JML",
    "JSONFG": "JSON-FG",
    "KML": "KML",
    "LIBKML": "KML, KMZ",
    "MapInfo File": "MapInfo TAB, MIF",
    "OpenFileGDB": "File Geodatabase",
    "SQLite": "SpatiaLite",
    "TopoJSON": "TopoJSON",
}
_ASKS = "asks another server"
_OPENS = "opens what its content names"
_TABLE = "is a table: read by ourselves"
_TILES = "holds tiles, which are cut and simplified"
_RARE = "nobody asked for it yet"
REFUSED: Mapping[str, str] = {
    "ADBC": _OPENS,
    "AIVector": _RARE,
    "AVCBin": _RARE,
    "AmigoCloud": _ASKS,
    "CSV": _TABLE,
    "CSW": _ASKS,
    "Carto": _ASKS,
    "EDIGEO": _OPENS,
    "EEDA": _ASKS,
    "Elasticsearch": _ASKS,
    "GDALG": _OPENS,
    "GPSBabel": "starts a program",
    "GTFS": _RARE,
    "HTTP": _ASKS,
    "Idrisi": _RARE,
    "LVBAG": _RARE,
    "MBTiles": _TILES,
    "MEM": "reads addresses of memory",
    "MVT": _TILES,
    "MapML": _RARE,
    "MiraMonVector": _RARE,
    "NGW": _ASKS,
    "OAPIF": _ASKS,
    "ODS": _RARE,
    "OGCAPI": _ASKS,
    "OGR_GMT": _RARE,
    "OGR_PDS": _OPENS,
    "OGR_VRT": _OPENS,
    "OSM": "writes files of its own",
    "PCIDSK": _RARE,
    "PDF": _RARE,
    "PDS4": _OPENS,
    "PGDUMP": "only writes",
    "PLSCENES": _ASKS,
    "PMTiles": _TILES,
    "S57": _RARE,
    "SXF": _RARE,
    "Selafin": _RARE,
    "VDV": _RARE,
    "VFK": "writes files of its own",
    "VICAR": _RARE,
    "WAsP": _RARE,
    "WFS": _ASKS,
    "XLSX": _TABLE,
}

# What is one layer by its format, so that nobody has to ask for it by name.
SINGLE = frozenset((".json", ".geojson", ".topojson", ".shp", ".fgb", ".geojsonl", ".geojsons"))
# Of an archive's members, those that a layer can be read from by GDAL.
READ_BY_GDAL = SINGLE | frozenset(
    ".gpkg .gdb .sqlite .kml .gml .dxf .dgn .gpx .tab .mif .e00 .jml .dbf".split()
)
XML = frozenset((".kml", ".gml", ".gpx", ".xml", ".jml", ".rss", ".georss"))
