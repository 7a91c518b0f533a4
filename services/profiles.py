"""Profiles: how several versions of one feature stand in one answer (OGC, Versioned Features)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request

PREFIX = "http://www.opengis.net/def/profile/OGC/0/"
Rows = Sequence[sa.Row[Any]]
Write = Callable[[sa.Row[Any], bool], dict[str, Any]]


class Profile(StrEnum):
    """One of the ways."""

    UNIQUE_IDS = "versions-as-features-unique-ids"
    SAME_IDS = "versions-as-features"
    TIME_SLICES = "features-with-time-slices"

    @property
    def flat(self) -> Profile:
        """The same where versions need not stand together."""
        return Profile.UNIQUE_IDS if self is Profile.TIME_SLICES else self

    @property
    def link(self) -> str:
        """What a Link header says of it."""
        return f'<{PREFIX}{self}>; rel="profile"'


def read_profile(request: Request) -> Profile:
    """Read ``profile``: names or addresses, the first that is known; what is unknown is no error.

    The answer says which it is, as OGC API Features, Part 5, has it.
    """
    asked = request.query_params.get("profile", "").split(",")
    names = (name.strip().removeprefix(PREFIX) for name in asked)
    return next((Profile(n) for n in names if n in set(Profile)), Profile.UNIQUE_IDS)


def rows_of_page(profile: Profile, rows: Rows, limit: int) -> tuple[Profile, Rows]:
    """Return the rows of a page, and the profile that they can have.

    A feature with time slices has all its versions on one page. Where the first feature alone has
    more of them than a page has rows, they are features of their own.

    Parameters
    ----------
    rows : sequence of Row
        In the order of their ids; one more than the limit where there are more.
    """
    if profile is not Profile.TIME_SLICES or len(rows) <= limit:
        return profile, rows[:limit]
    begins = (n for n in range(limit, 0, -1) if rows[n]._fid != rows[n - 1]._fid)
    whole = next(begins, 0)
    return (profile, rows[:whole]) if whole else (Profile.UNIQUE_IDS, rows[:limit])


def as_profile(profile: Profile, rows: Rows, write: Write) -> tuple[Profile, list[dict[str, Any]]]:
    """Return versions as features, and the profile in which they are.

    Features with time slices can't say that a geometry changed: where one of these did, the
    versions are features with ids of their own.

    Parameters
    ----------
    rows : sequence of Row
        Versions of one feature stand together.
    write : callable
        Returns the document of a row, with the version's id where the second argument says so.
    """
    if profile is Profile.TIME_SLICES:
        groups = [list(group) for _, group in itertools.groupby(rows, key=lambda r: r._fid)]
        if all(row._geom == group[0]._geom for group in groups for row in group):
            return profile, [_sliced([write(row, False) for row in group]) for group in groups]
        profile = Profile.UNIQUE_IDS
    return profile, [write(row, profile is Profile.UNIQUE_IDS) for row in rows]


def _sliced(versions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    versions = sorted(versions, key=lambda v: str(v["time"]["interval"][0]))
    slices = {"/".join(v["time"]["interval"]): v["properties"] for v in versions}
    interval = [versions[0]["time"]["interval"][0], versions[-1]["time"]["interval"][1]]
    return versions[0] | {"time": {"interval": interval}, "properties": slices}
