"""The formats that features go out in, one module each, and which of them are offered where.

A page holds a bounded number of features, of which the next page is linked. A stream has all that
there is, made while it is read, in bounded memory.
"""

from __future__ import annotations

from services.formats.arrow import ARROW
from services.formats.comma_separated import CSV, CSV_EXCEL
from services.formats.flatgeobuf import FLATGEOBUF
from services.formats.geojson_sequence import GEOJSON_LINES, GEOJSON_SEQUENCE
from services.formats.geoparquet import GEOPARQUET
from services.formats.json_fg import JSON_FG
from services.negotiation import GEOJSON_PAGE, HTML_PAGE, Format

__all__ = ["ITEM", "ITEMS", "STREAMS", "Format"]

STREAMS = (
    GEOJSON_LINES,
    GEOJSON_SEQUENCE,
    CSV,
    CSV_EXCEL,
    FLATGEOBUF,
    GEOPARQUET,
    ARROW,
)
# The first is the default.
ITEM = (GEOJSON_PAGE, HTML_PAGE, JSON_FG)
ITEMS = (*ITEM, *STREAMS)
