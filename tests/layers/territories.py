"""Short ways to make readers and writers of a territory, for the tests of what they may."""

from __future__ import annotations

import shapely

from layers.readers import INTERNAL, Reader, View
from layers.store import Snapshot
from layers.territories import Territory
from layers.writers import Permit, Verb, Writer

WRITES = frozenset({Verb.EDIT, Verb.PUBLISH})


def reader_of(*views: View) -> Reader:
    """A reader with some views."""
    return Reader("key:test", views)


def view(*fields: str, division: str | None = None, **territory: object) -> View:
    """A view of public, internal and these fields, of a division or another territory."""
    place = Territory(division=division, **territory)  # type: ignore[arg-type]
    return View(territory=place, fields=frozenset({INTERNAL, *fields}))


def writer_of(*permits: Permit) -> Writer:
    """A writer with some permits."""
    return Writer("county", permits)


def permit(
    *fields: str, division: str | None = None, restricted: bool = False, **territory: object
) -> Permit:
    """A permit to edit and publish, of these fields only where there are any."""
    place = Territory(division=division, **territory)  # type: ignore[arg-type]
    return Permit(WRITES, territory=place, fields=frozenset(fields) or None, restricted=restricted)


def area(west: float, south: float, east: float, north: float) -> bytes:
    """A box as an area."""
    return bytes(shapely.to_wkb(shapely.box(west, south, east, north)))


def seen(snapshot: Snapshot) -> dict[str, dict[str, object]]:
    """What of each feature is seen, by its id; of a snapshot at an instant."""
    shown = snapshot.shown
    return {row._fid: shown.properties(row) for row in snapshot.rows()}
