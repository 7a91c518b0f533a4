"""The order of features by a field: the expression that sorts, and the index that has it ready.

An index serves an order only where both are the same expression, to the letter: so there is one
place for it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from layers.model import Field, FieldType, Schema

# An index can't hold a text of more than some 2,700 bytes, and would refuse the row: texts are
# put in order by their beginning. 255 characters have at most 1,020 bytes.
LONGEST = 255


def sort_key(f: Field, column: Any) -> sa.ColumnElement[Any]:
    """Return the expression by which features are put in order by a field.

    Text is compared by code point, whatever the database's own order is, and by its first 255
    characters: what is the same until there is in the order of its id.

    Parameters
    ----------
    column : column
        Of the field, or an expression that has its value where the reader sees it.

    Examples
    --------
    >>> from layers.model import Title
    >>> name = Field("name", FieldType.TEXT, Title("Name", "名称"))
    >>> print(sort_key(name, sa.column("name")))
    left(name, 255) COLLATE "C"
    """
    if f.type is not FieldType.TEXT:
        key: sa.ColumnElement[Any] = column
        return key
    return beginning(column)


def beginning(column: Any) -> sa.ColumnElement[Any]:
    """Return the beginning of a text, which is what the index of a sortable text has.

    Beside a text that is shorter than `LONGEST` it compares as the whole of it does.
    """
    # No bound parameter: the planner must see the number that the index was made with.
    return sa.func.left(column, sa.literal_column(str(LONGEST)), type_=sa.Text).collate("C")


def index_sortables(live: sa.Table, schema: Schema, prefix: str) -> None:
    """Give a live table the indexes of its schema's sortable fields.

    Parameters
    ----------
    prefix : str
        Of the indexes' names. The rest is a digest of the column's name: a name of its own that
        fits into PostgreSQL's 63 bytes, whatever the field is called.
    """
    for f in schema.sortables:
        column = live.c[f.id]
        digest = hashlib.sha256(column.name.encode()).hexdigest()[:8]
        sa.Index(f"{prefix}{digest}", sort_key(f, column), live.c._fid, live.c._valid_from)
