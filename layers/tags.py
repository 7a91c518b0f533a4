"""Names for commits: "cadastral year-end 2024"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from layers.errors import BadRequest, Forbidden, TagTaken, UnknownCommit
from layers.model import Layer, Tag
from layers.tables import commit, revision, tag
from layers.writers import Verb, Writer

_LONGEST = 200
_TAGS = sa.select(
    tag.c.name, tag.c.commit_id, commit.c.recorded_at, tag.c.author, tag.c.note
).join_from(tag, commit, commit.c.id == tag.c.commit_id)


def check_may_tag(
    connection: Connection, commit_id: int, seen: Sequence[Layer], writer: Writer
) -> None:
    """Refuse a writer who does not publish each layer that a commit is seen to have touched.

    Parameters
    ----------
    seen : sequence of Layer
        Those that the writer sees: of others they are not told, and nothing is asked.

    Raises
    ------
    UnknownCommit
        Where they see none that it touched.
    Forbidden
    """
    query = sa.select(revision.c.layer_id).where(revision.c.commit_id == commit_id)
    ids = set(connection.scalars(query))
    touched = [record for record in seen if record.id in ids]
    if not touched:
        raise _unknown(commit_id)
    for record in touched:
        if not writer.may(record.id, record.department, Verb.PUBLISH):
            said = f"{writer.name} does not publish {record.id}, which commit {commit_id} touched"
            raise Forbidden(f"{said}; apply for it, or ask an administrator")


def write_tag(
    connection: Connection,
    name: str,
    commit_id: int,
    writer: Writer,
    note: str,
    now: datetime,
    known: Sequence[str] | None = None,
) -> bool:
    """Name a commit, and return whether it had not that name already.

    Parameters
    ----------
    known : sequence of str, optional
        Layers of whose commits the writer may know the names; of all where absent.

    Raises
    ------
    TagTaken
        Where the name is another commit's: what a tag says must never change.
    UnknownCommit
        Where there is no such commit.
    BadRequest
        Where the name is empty, a number, or longer than 200 characters.
    """
    name = _checked(name)
    recorded_at(connection, commit_id)
    row = {
        "name": name,
        "commit_id": commit_id,
        "tagged_at": now,
        "author": writer.name,
        "note": note,
    }
    # Of two who give one name at once, the second is told as if they had come later.
    written = insert(tag).values(row).on_conflict_do_nothing().returning(tag.c.commit_id)
    if connection.scalar(written) is not None:
        return True
    taken = connection.scalar(sa.select(tag.c.commit_id).where(tag.c.name == name))
    if taken == commit_id:
        return False
    told = known is None or any(found.name == name for found in read_tags(connection, known))
    of = f"commit {taken}" if told else "another commit"
    raise TagTaken(f"tag {name!r} names {of}, and stays so; choose another name")


def read_tag(connection: Connection, name: str) -> Tag:
    """Return a tag that is there."""
    return Tag(*connection.execute(_TAGS.where(tag.c.name == _checked(name))).one())


def _checked(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _LONGEST or name.isdigit() or not name.isprintable():
        raise BadRequest(f"{name[:20]!r} can't be a tag; a name of 1 to 200 signs, and no number")
    return name


def read_tags(connection: Connection, layer_ids: Sequence[str]) -> list[Tag]:
    """Return the tags of commits that touched some layers, in the order of the commits."""
    touched = sa.select(revision.c.commit_id).where(revision.c.layer_id.in_(layer_ids))
    query = _TAGS.where(tag.c.commit_id.in_(touched)).order_by(tag.c.commit_id, tag.c.name)
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
        raise _unknown(commit_id)
    return found


def _unknown(commit_id: int) -> UnknownCommit:
    """One text for commits that are not there and for those that are hidden."""
    return UnknownCommit(f"there is no commit {commit_id}; shikong log lists them")
