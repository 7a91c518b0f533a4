"""Making tiles once: who asks for a tile that is being made waits for it, in whichever process."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from layers.store import PublishedLayer, Snapshot
from tiles.changes import draw_changes
from tiles.grids import Place
from tiles.keeping.cache import TileCache
from tiles.keeping.kept import KeptTile, State, etag_of
from tiles.keeping.touches import is_near, is_touched, surely_untouched
from tiles.raster import PictureFormat, map_tile
from tiles.vector import Drawn, draw, draw_soon

# How long one waits for a tile that another process makes, and how often one looks for it.
_WAIT_S, _LOOK_S = 30.0, 0.01


@dataclass(frozen=True)
class TileQuestion:
    """A tile that is asked for.

    Attributes
    ----------
    snapshot : Snapshot
        At an instant, with whatever filter the tile has.
    names : tuple of str or None
        The attributes of its features; by the content rule where None.
    scope : str
        Fingerprint of what its reader sees.
    key : str or None
        All that the tile shows and who may see it; None where it is not to be kept.
    state : State
        Of the layer, which the snapshot is of.
    """

    layer: PublishedLayer
    snapshot: Snapshot
    where: Place
    names: tuple[str, ...] | None
    scope: str
    key: str | None
    state: State

    @property
    def packed_as(self) -> str | None:
        """As which tiles an archive has it (the values of ``f``); None where none can."""
        return None if self.snapshot.query.filter is not None else "mvt"

    def kept(self, drawn: Drawn) -> KeptTile:
        """Return what was drawn for it as a tile to keep."""
        etag = etag_of(drawn.body, self.scope)
        return KeptTile(drawn.body, etag, self.state, drawn.thinned)

    def draw(self) -> Drawn:
        """Draw the tile."""
        return draw(self.snapshot, self.where, self.names)

    async def draw_soon(self) -> Drawn | None:
        """Draw the tile without a thread; None where one must wait for the database."""
        return await draw_soon(self.snapshot, self.where, self.names)

    def touches(self, tile: KeptTile) -> bool:
        """Return whether a tile of another state may be another one in this."""
        return is_touched(self.layer, self.snapshot, self.where, self.names, tile)

    def surely_spares(self, tile: KeptTile) -> bool:
        """Return whether it is known without a question that nothing touched a tile since."""
        return surely_untouched(self.layer, self.snapshot, self.where, tile)


@dataclass(frozen=True)
class ChangeQuestion(TileQuestion):
    """A tile of what differs between two snapshots, of which `snapshot` is the later.

    Its key names both states, so that what is found by it is always true.
    """

    old: Snapshot

    @property
    def packed_as(self) -> None:
        """Return None: archives are of one state."""

    def draw(self) -> Drawn:
        """Draw the tile."""
        return draw_changes(self.layer, self.old, self.snapshot, self.where)

    async def draw_soon(self) -> Drawn | None:
        """Draw nothing: a thread has to wait for the database."""
        return None


@dataclass(frozen=True)
class PictureQuestion(TileQuestion):
    """A map tile of a raster layer."""

    picture: PictureFormat

    @property
    def packed_as(self) -> str | None:
        """As which tiles an archive has it."""
        return self.picture.value

    def draw(self) -> Drawn:
        """Draw the tile; it is empty where nothing is to be seen."""
        return Drawn(map_tile(self.snapshot, self.where, self.picture) or b"")

    async def draw_soon(self) -> Drawn | None:
        """Draw nothing: a thread has to wait for it."""
        return None

    def touches(self, tile: KeptTile) -> bool:
        """Return whether another scene may be seen in the tile."""
        return is_near(self.layer, self.snapshot, self.where, tile)


def key_of(*told: object) -> str:
    """Return a key made of all that a tile shows and who may see it.

    >>> key_of("parcels", 1) == key_of("parcels", 1), key_of("parcels", 1) == key_of("parcels", 2)
    (True, False)
    """
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


class Packed(Protocol):
    """Where tiles are that were made before anybody asked (`tiles.keeping.archives`)."""

    def has(self, asked: TileQuestion) -> bool:
        """Return whether one is there that answers a question; soon, as others wait."""

    def find(self, asked: TileQuestion) -> KeptTile | None:
        """Return the tile; None where there is none."""


@dataclass(eq=False)
class _Flight:
    """A tile that is being made, and how many wait for it."""

    task: asyncio.Task[KeptTile]
    waiting: int = 0


@dataclass(eq=False)
class TileMaker:
    """What answers for tiles: from the cache where one is true, else it is made, once.

    Parameters
    ----------
    cache : TileCache
    archives : Packed, optional
        Looked into before anything is drawn.
    """

    cache: TileCache = field(default_factory=TileCache)
    archives: Packed | None = None
    _flights: dict[tuple[str, State], _Flight] = field(default_factory=dict, repr=False)

    def at_hand(self, asked: TileQuestion) -> KeptTile | None:
        """Return a tile that needs no work; None where it does."""
        tile = None if asked.key is None else self.cache.near(asked.key)
        return tile if tile is not None and tile.state == asked.state else None

    async def answer(self, asked: TileQuestion) -> KeptTile:
        """Return the tile that is asked for.

        Raises
        ------
        LayersError, TilesError
            As drawing it does.
        """
        if asked.key is None:
            return asked.kept(await _drawn(asked))
        found = self.at_hand(asked)
        return found if found is not None else await self._join((asked.key, asked.state), asked)

    def make(self, asked: TileQuestion) -> KeptTile:
        """Return the same in this thread; two threads may make one tile twice."""
        key = asked.key
        tile = None if key is None else self.cache.find(key)
        if key is not None and tile is not None:
            if tile.state == asked.state:
                return tile
            if not asked.touches(tile):
                return self._moved(key, asked, tile)
        packed = self._packed(asked)
        if key is not None and packed is not None:
            return self._hold(key, packed)
        made = asked.kept(asked.draw())
        if key is not None:
            self.cache.keep(key, made)
        return made

    async def _join(self, name: tuple[str, State], asked: TileQuestion) -> KeptTile:
        flight = self._flights.get(name)
        if flight is None:
            # In a context of its own: that who asked first leaves is nothing to those who wait.
            task = asyncio.create_task(self._made(name[0], asked), context=contextvars.Context())
            flight = self._flights[name] = _Flight(task)
            task.add_done_callback(lambda _: self._flights.pop(name, None))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.waiting == 1:
                flight.task.cancel()
            raise
        finally:
            flight.waiting -= 1

    async def _made(self, key: str, asked: TileQuestion) -> KeptTile:
        tile = self.cache.find(key)
        if tile is not None:
            if tile.state == asked.state:
                return tile
            if asked.surely_spares(tile) or not await asyncio.to_thread(asked.touches, tile):
                return self._moved(key, asked, tile)
        if self.archives is not None and self.archives.has(asked):
            packed = await asyncio.to_thread(self._packed, asked)
            if packed is not None:
                return self._hold(key, packed)
        loop = asyncio.get_running_loop()
        ends = loop.time() + _WAIT_S
        while True:
            with self.cache.claim(key) as alone:
                if alone or loop.time() > ends:
                    # Another process may have made it between the look and the claim.
                    found = self.cache.shelved(key, asked.state)
                    return found or self._keep(key, asked.kept(await _drawn(asked)))
            await asyncio.sleep(_LOOK_S)
            found = self.cache.shelved(key, asked.state)
            if found is not None:
                return found

    def _moved(self, key: str, asked: TileQuestion, tile: KeptTile) -> KeptTile:
        moved = tile.of(asked.state)
        # Who asks of the past must not have the present look for what happened since.
        if _is_later(asked.state, tile.state):
            self.cache.note(key, moved)
        return moved

    def _packed(self, asked: TileQuestion) -> KeptTile | None:
        return None if self.archives is None else self.archives.find(asked)

    def _hold(self, key: str, packed: KeptTile) -> KeptTile:
        self.cache.hold(key, packed)
        return packed

    def _keep(self, key: str, made: KeptTile) -> KeptTile:
        self.cache.keep(key, made)
        return made


def _is_later(one: State, other: State) -> bool:
    return (one.revision, one.when) >= (other.revision, other.when)


async def _drawn(asked: TileQuestion) -> Drawn:
    found = await asked.draw_soon()
    return found if found is not None else await asyncio.to_thread(asked.draw)
