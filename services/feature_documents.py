"""Rows as GeoJSON features."""

from __future__ import annotations

from datetime import date, datetime
from operator import itemgetter
from typing import Any

import orjson
import sqlalchemy as sa

from layers.reading.kept import Rows
from layers.reading.sights import Shown
from layers.store import Snapshot
from spatial.periods import format_instant, format_version_instant


def feature_document(snapshot: Snapshot, row: sa.Row[Any], unique: bool) -> dict[str, Any]:
    """Return a row as a GeoJSON feature; the geometry's text goes in as it is.

    Parameters
    ----------
    unique : bool
        Whether the id is that of the version, because the feature may stand there several times.
    """
    end = row._valid_to
    geometry = None if row._geom is None else orjson.Fragment(row._geom)
    return {
        "type": "Feature",
        "id": version_id(row) if unique else row._fid,
        "geometry": geometry,
        "properties": {n: _value(v) for n, v in snapshot.chosen.properties(row).items()},
        "time": {"interval": [format_instant(row._valid_from), _end(end)]},
    }


def feature_documents(rows: Rows, what: Shown) -> list[dict[str, Any]]:
    """Return the same of each row, for orjson, which knows how to write instants (``OPT_UTC_Z``).

    Parameters
    ----------
    rows : Rows
        At most one version of each feature.
    what : Shown
        The fields wanted.
    """
    names, fragment = what.names, orjson.Fragment
    values = _getter([rows.at(name) for name in names])
    own = itemgetter(*(rows.at(n) for n in ("_fid", "_geom", "_valid_from", "_valid_to")))
    found: list[dict[str, Any]] = [
        {
            "type": "Feature",
            "id": fid,
            "geometry": None if geom is None else fragment(geom),
            "properties": dict(zip(names, values(row), strict=True)),
            "time": {"interval": (start, end or "..")},
        }
        for row in rows.rows
        for fid, geom, start, end in (own(row),)
    ]
    for name, flag in what.masks.items():
        seen = rows.at(flag)
        for document, row in zip(found, rows.rows, strict=True):
            if not row[seen]:
                del document["properties"][name]
    return found


def version_id(row: sa.Row[Any]) -> str:
    """Return the id of one version of a feature."""
    return f"{row._fid}.{format_version_instant(row._valid_from)}"


def _getter(places: list[int]) -> Any:
    if not places:
        return lambda row: ()
    if places == [*range(places[0], places[0] + len(places))]:
        return itemgetter(slice(places[0], places[0] + len(places)))
    return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return value.isoformat() if isinstance(value, date) else value


def _end(end: datetime | None) -> str:
    return ".." if end is None else format_instant(end)
