"""Names for commits: "cadastral year-end 2024"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.errors import BadRequest, TagTaken, UnknownCommit
from layers.model import Tag
from layers.tables import commit, revision, tag
from layers.writers import Writer

_LONGEST = 200


def write_tag(
    connection: Connection, name: str, commit_id: int, writer: Writer, note: str, now: datetime
) -> None:
    """Name a commit; saying the same again is well.

    Raises
    ------
    TagTaken
        Where the name is another commit's: what a tag says must never change.
    UnknownCommit
        Where there is no such commit.
    BadRequest
        Where the name is empty, a number, or longer than 200 characters.
    """
    name = name.strip()
    if not 0 < len(name) <= _LONGEST or name.isdigit() or not name.isprintable():
        raise BadRequest(f"{name[:20]!r} can't be a tag; a name of 1 to 200 signs, and no number")
    recorded_at(connection, commit_id)
    taken = connection.scalar(sa.select(tag.c.commit_id).where(tag.c.name == name))
    if taken is not None:
        if taken == commit_id:
            return
        raise TagTaken(f"tag {name!r} names commit {taken}, and stays so; choose another name")
    row = {
        "name": name,
        "commit_id": commit_id,
        "tagged_at": now,
        "author": writer.name,
        "note": note,
    }
    connection.execute(sa.insert(tag).values(row))


def read_tags(connection: Connection, layer_ids: Sequence[str]) -> list[Tag]:
    """Return the tags of commits that touched some layers, in the order of the commits."""
    touched = sa.select(revision.c.commit_id).where(revision.c.layer_id.in_(layer_ids))
    query = (
        sa.select(tag.c.name, tag.c.commit_id, commit.c.recorded_at, tag.c.author, tag.c.note)
        .join_from(tag, commit, commit.c.id == tag.c.commit_id)
        .where(tag.c.commit_id.in_(touched))
        .order_by(tag.c.commit_id, tag.c.name)
    )
    return [Tag(*row) for row in connection.execute(query)]


def find_commit(connection: Connection, text: str) -> int:
    """Return the commit of a number or a tag.

    Raises
    ------
    UnknownCommit
        Where there is none.
    """
    if text.isascii() and text.isdigit() and len(text) < 19:
        recorded_at(connection, int(text))
        return int(text)
    found: int | None = connection.scalar(sa.select(tag.c.commit_id).where(tag.c.name == text))
    if found is None:
        raise UnknownCommit(f"there is no commit or tag {text!r}; shikong tags lists the tags")
    return found


def recorded_at(connection: Connection, commit_id: int) -> datetime:
    """Return when a commit was recorded.

    Raises
    ------
    UnknownCommit
        Where there is none of that number.
    """
    query = sa.select(commit.c.recorded_at).where(commit.c.id == commit_id)
    found: datetime | None = connection.scalar(query)
    if found is None:
        raise UnknownCommit(f"there is no commit {commit_id}; shikong log lists them")
    return found
