"""What a feature says in a tile, of the columns of a snapshot's select."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from layers.reading.outputs import finite
from tiles.content import ID, VALID_FROM, VALID_TO


def value_of(columns: Any, name: str) -> Any:
    """Return what an attribute of a tile is in the select of a snapshot's features."""
    if name == ID:
        return columns._fid
    if name == VALID_FROM:
        return _text(columns._valid_from)
    if name == VALID_TO:
        return _text(finite(columns._valid_to))
    return columns[name]


def _text(instant: Any) -> sa.ColumnElement[str]:
    """An instant as RFC 3339 text, which a vector tile can hold."""
    utc = sa.func.timezone("UTC", instant)
    return sa.func.to_char(utc, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
