"""Inputs: the values of a read that differ from one request to the next, by their names.

A select is put together anew for each request, which takes longer than most answers. What is the
same but for its inputs is kept, as text (`layers.reading.kept`): a parameter whose name begins with
an input's is filled in then.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

AT, REVISION, FID, FIDS = "in_at", "in_revision", "in_fid", "in_fids"
LIMIT, OFFSET, REACH = "in_limit", "in_offset", "in_reach"
BOX = ("in_west", "in_south", "in_east", "in_north")
KEY = "in_key"


def given(name: str, value: Any, kind: Any) -> sa.BindParameter[Any]:
    """Return a value as a parameter whose name in the statement begins with `name`."""
    return sa.bindparam(name, value, type_=kind, unique=True)
