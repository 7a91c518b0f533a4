"""GeoJSON features one after another, a line each: the format that begins at once and never ends.

Two names for the same lines. ``geojsonl`` is what people call newline-delimited GeoJSON and all
their tools read (GDAL, DuckDB, tippecanoe, a loop over lines). RFC 8142 calls something else
``application/geo+json-seq``: each feature has a record separator (U+001E) before it, over which a
loop that parses lines stumbles. So that type is ``geojsonseq``, true to its RFC.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from layers.reading.streams import Part
from services.formats.texts import as_json, joined, joined_lines, json_pieces
from services.negotiation import Format
from spatial.crs import CRS84, parse_crs

_SEPARATOR = "\x1e"
# To every parser this says "interval". GDAL (since 3.8) looks at the plain text of a file's first
# lines to tell what it is: where it finds JSON-FG's word there, it takes the first line for the
# whole file and reads one feature, without a warning.
_TIME = '},"time":{"\\u0069nterval":['


def write(snapshot: Snapshot, crs: CRS | None, *, separator: str = "") -> Iterator[bytes]:
    """Yield the lines of a snapshot's features.

    Parameters
    ----------
    crs : CRS, optional
        Longitude and latitude where absent, as GeoJSON has it.
    separator : str
        What stands before each feature.
    """
    target = parse_crs(CRS84) if crs is None else crs
    for part in snapshot.parts(Form.GEOJSON, target):
        yield lines(part, unique=snapshot.has_several, separator=separator)


def lines(part: Part, *, unique: bool, separator: str = "") -> bytes:
    """Return some features as lines.

    Parameters
    ----------
    unique : bool
        Whether ids are those of versions, because a feature may be there several times.
    """
    if not len(part):
        return b""
    ids = version_ids(part) if unique else part.ids
    pieces = json_pieces(f'{separator}{{"type":"Feature","id":', ids)
    pieces += [',"geometry":', pc.fill_null(part.geometry, "null"), ',"properties":{']
    pieces += [*_properties(part), _TIME, as_json(part.starts), ",", _ends(part.ends), "]}}\n"]
    return joined_lines(pieces)


def version_ids(part: Part) -> pa.Array:
    """Return the ids of versions: the feature's, and since when, to the microsecond.

    As `spatial.periods.format_version_instant` writes it.
    """
    since = pc.strftime(part.starts, "%Y%m%dT%H%M%SZ", locale="C")
    return joined([part.ids, ".", since])


def _properties(part: Part) -> list[pa.Array | str]:
    """The members of the properties; one that is not seen in a row is not there."""
    members: list[pa.Array | str] = []
    plain = [f.id for f in part.fields if f.id not in part.seen]
    for n, name in enumerate(plain):
        members += json_pieces(f"{',' if n else ''}{_key(name)}", part.values[name])
    for name, seen in part.seen.items():
        member = joined([f",{_key(name)}", as_json(part.values[name])])
        members.append(pc.if_else(pc.fill_null(seen, False), member, ""))
    if plain or not part.seen:
        return members
    return [pc.utf8_slice_codeunits(joined(members), 1)]


def _key(name: str) -> str:
    return f"{orjson.dumps(name).decode()}:"


def _ends(ends: pa.Array) -> pa.Array:
    return pc.if_else(ends.is_null(), '".."', as_json(ends))


GEOJSON_LINES = Format(
    "geojsonl",
    "application/x-ndjson",
    "GeoJSON, one feature a line",
    ".geojsonl",
    write,
    also=("application/ndjson", "application/jsonl"),
)
GEOJSON_SEQUENCE = Format(
    "geojsonseq",
    "application/geo+json-seq",
    "GeoJSON text sequence (RFC 8142)",
    ".geojsons",
    partial(write, separator=_SEPARATOR),
)
