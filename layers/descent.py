"""Which features came from which, in splits and merges: told, taken back, and asked both ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.database import statement
from layers.model import OPEN_REVISION, Layer, Link
from layers.tables import lineage

Told = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class Links:
    """What a commit says of descent: links (ancestor, descendant, instant), and links taken back.

    Examples
    --------
    >>> bool(Links())
    False
    """

    told: tuple[Told, ...] = ()
    taken_back: tuple[Told, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.told or self.taken_back)


NO_LINKS = Links()


def write(connection: Connection, record: Layer, links: Links, revision: int) -> None:
    """Write what a revision says of descent."""
    for ancestor, descendant, at in links.taken_back:
        connection.execute(
            sa.update(lineage)
            .values(rev_to=revision)
            .where(lineage.c.layer_id == record.id, lineage.c.rev_to == OPEN_REVISION)
            .where(lineage.c.ancestor == ancestor, lineage.c.descendant == descendant)
            .where(lineage.c.at == at)
        )
    rows = [
        {"layer_id": record.id, "ancestor": a, "descendant": d, "at": at, "rev_from": revision}
        for a, d, at in links.told
    ]
    if rows:
        connection.execute(sa.insert(lineage), rows)


def unknown(connection: Connection, record: Layer, told: Iterable[Told]) -> tuple[Told, ...]:
    """Return those of some links that are not believed yet, each once, in order."""
    told = sorted(set(told))
    if not told:
        return ()
    c = lineage.c
    known = connection.execute(
        sa.select(c.ancestor, c.descendant, c.at).where(
            c.layer_id == record.id,
            c.rev_to == OPEN_REVISION,
            c.ancestor.in_({ancestor for ancestor, _, _ in told}),
        )
    )
    believed = {tuple(row) for row in known}
    return tuple(link for link in told if link not in believed)


def changed_at(connection: Connection, record: Layer, revision: int) -> Links:
    """Return what a revision told of descent, and what it took back."""
    c = lineage.c

    def links(where: sa.ColumnElement[bool]) -> tuple[Told, ...]:
        query = sa.select(c.ancestor, c.descendant, c.at).where(c.layer_id == record.id, where)
        rows = connection.execute(query.order_by(c.ancestor, c.descendant, c.at))
        return tuple((row.ancestor, row.descendant, row.at) for row in rows)

    return Links(links(c.rev_from == revision), links(c.rev_to == revision))


def read_lineage(
    connection: Connection, record: Layer, feature_id: str, revision: int, until: datetime | None
) -> tuple[list[Link], list[Link]]:
    """Return the links to all ancestors of a feature and to all its descendants.

    Parameters
    ----------
    revision : int
        As known then.
    until : datetime, optional
        Only what had happened by then.

    Returns
    -------
    tuple of two lists of Link
        Upwards and downwards, each in the order of the instants.
    """
    bounds = {
        "layer_id": record.id,
        "feature": feature_id,
        "revision": revision,
        "until": until,
    }
    up, down = (
        [Link(*row) for row in connection.execute(statement(name), bounds)]
        for name in ("ancestors", "descendants")
    )
    return up, down
