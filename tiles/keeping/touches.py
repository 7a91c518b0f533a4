"""Whether anything has touched a tile between two states of its layer.

A tile is touched where the features that may differ between the states are not drawn alike in
both. So only these are drawn, in the state of then and in that of now, and compared to the last
byte: what is drawn of a version depends on nothing else (`tiles.vector`), and counts are equal
where those of what changed are. Tiles that no changed feature comes near are told apart by boxes,
without a question to the database.
"""

from __future__ import annotations

from dataclasses import replace

from layers.reading.boxes import storage_bounds
from layers.reading.features import Moment
from layers.reading.replaced import Replaced
from layers.store import PublishedLayer, Snapshot
from tiles.content import Content
from tiles.grids import Place
from tiles.keeping.kept import KeptTile, State
from tiles.lattices import margin_of
from tiles.vector import check, draw_as

# Of more features in one tile, it counts as touched: to compare takes as long as to draw anew.
_MOST_COMPARED = 5000


def is_touched(
    layer: PublishedLayer,
    snapshot: Snapshot,
    where: Place,
    names: tuple[str, ...] | None,
    kept: KeptTile,
) -> bool:
    """Return whether a kept tile may be another one in a snapshot's state.

    Parameters
    ----------
    layer : PublishedLayer
        As it is now.
    snapshot : Snapshot
        With whatever filter the tile has.
    names : tuple of str, optional
        The attributes of its features; by the content rule where absent.
    """
    if not remains(layer, kept.state):
        return True
    old = _moment_of(kept.state, snapshot.moment)
    if layer.record.as_of(old.revision).schema is not snapshot.schema:
        return True
    return _differs(layer, snapshot, where, names, kept, layer.replaced(old, snapshot.moment))


def is_near(layer: PublishedLayer, snapshot: Snapshot, where: Place, kept: KeptTile) -> bool:
    """Return whether something that changed since a tile was true lies in it.

    Of what is drawn otherwise than by `tiles.vector`, no part can be compared alone.
    """
    if not remains(layer, kept.state):
        return True
    found = layer.replaced(_moment_of(kept.state, snapshot.moment), snapshot.moment)
    return found.everything or bool(_near(layer, where, found))


def surely_untouched(
    layer: PublishedLayer, snapshot: Snapshot, where: Place, kept: KeptTile
) -> bool:
    """Return whether it is known, without asking the database, that nothing touched a tile."""
    if layer.known_recorded(kept.state.revision) != kept.state.recorded:
        return False
    old = _moment_of(kept.state, snapshot.moment)
    if layer.record.as_of(old.revision).schema is not snapshot.schema:
        return False
    found = layer.known_replaced(old, snapshot.moment)
    return found is not None and not found.everything and not _near(layer, where, found)


def remains(layer: PublishedLayer, state: State) -> bool:
    """Return whether a state is one that the layer was in: no store was set back meanwhile."""
    if not 1 <= state.revision <= layer.record.head:
        return False
    return layer.recorded(state.revision) == state.recorded


def _differs(
    layer: PublishedLayer,
    snapshot: Snapshot,
    where: Place,
    names: tuple[str, ...] | None,
    kept: KeptTile,
    found: Replaced,
) -> bool:
    if found.everything:
        return True
    ids = _near(layer, where, found)
    if not ids:
        return False
    # How far a tile is thinned depends on all that is in it.
    if len(ids) > _MOST_COMPARED or kept.thinned is not None:
        return True
    content = check(snapshot, where, names)
    old = replace(snapshot, moment=_moment_of(kept.state, snapshot.moment))
    then, now = (_drawn(s, where, content, ids) for s in (old, snapshot))
    return then != now


def _drawn(snapshot: Snapshot, where: Place, content: Content, ids: list[str]) -> bytes:
    return draw_as(snapshot.where(ids=ids), where, content).body


def _near(layer: PublishedLayer, where: Place, found: Replaced) -> list[str]:
    box = storage_bounds(layer.record, margin_of(where), where.crs)
    return found.within(box)


def _moment_of(state: State, like: Moment) -> Moment:
    return Moment(state.revision, state.when, like.now)
