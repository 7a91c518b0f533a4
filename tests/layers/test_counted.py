"""Numbers that are kept: the same as were they counted anew, whoever asks, whatever happens."""

from __future__ import annotations

import random
from typing import Any

import pytest
import shapely
from publishing import layer, points, publish, schema_of
from territories import reader_of

from layers.readers import View
from layers.reading.cql2 import read_filter
from layers.store import Snapshot, Store
from layers.territories import Territory

PLACES = 12


def frame_of(chance: random.Random) -> Any:
    """Points in a row, of which some are nowhere."""
    frame = points(no=[str(n) for n in range(PLACES)], use=chance.choices("ab", k=PLACES))
    nowhere = [chance.random() < 0.2 for _ in range(PLACES)]
    frame.geometry = [None if gone else p for gone, p in zip(nowhere, frame.geometry, strict=True)]
    return frame[[chance.random() < 0.8 for _ in range(PLACES)]]


def narrowed(snapshot: Snapshot, chance: random.Random) -> Snapshot:
    """The snapshot in a box, or with a filter; boxes around all of it are not seldom."""
    west = chance.choice([-5, -1, 0, 3])
    query: dict[str, Any] = {"placeless": chance.random() < 0.7}
    if chance.random() < 0.9:
        query["bbox"] = (west, 0, chance.choice([4, 11, 12, 30]), chance.choice([0.5, 1, 2]))
    if chance.random() < 0.2:
        query |= chance.choice(
            [{"filter": read_filter("use = 'a'")}, {"equal": {"use": "b"}}, {"ids": ("1", "2")}]
        )
    return snapshot.where(**query)


@pytest.mark.parametrize("seed", range(4))
def test_a_number_is_the_same_as_counted_anew(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    area = shapely.to_wkb(shapely.box(2, 0, 7, 2))
    kept = 0
    for _ in range(3):
        publish(store, "t", frame_of(chance), schema_of({"id": "use"}), consent=True)
        readers = (None, reader_of(View(territory=Territory(area=area))))
        for _ in range(40):
            reader = chance.choice(readers)
            seen = layer(store, "t") if reader is None else store.layer("t", reader)
            now = seen.present() if chance.random() < 0.7 else None
            revision = chance.choice([None, 1])
            snapshot = narrowed(seen.at(now, revision=revision, now=now), chance)
            kept += seen.counted(snapshot) is not None
            assert seen.count(snapshot) == snapshot.count(), snapshot.query
            assert seen.count(snapshot) == snapshot.count(), snapshot.query
    assert kept


def test_a_box_around_one_that_holds_all_holds_all(store: Store) -> None:
    publish(store, "t", points(no=["1", "2", "3"]), schema_of())
    seen = layer(store, "t")
    now = seen.at(seen.present(), now=seen.present())

    def boxed(*box: float, placeless: bool = True) -> Snapshot:
        return now.where(bbox=box, placeless=placeless)

    assert seen.counted(boxed(-2, 0, 4, 2)) is None
    assert seen.count(boxed(-1, 0, 3, 2)) == 3
    assert seen.counted(boxed(-2, 0, 4, 2)) == 3
    assert seen.counted(boxed(-2, 0, 1.5, 2)) is None
    assert seen.counted(boxed(-2, 0, 4, 2, placeless=False)) is None
    publish(store, "t", points(no=["1", "2", "3", "4"]))
    seen = layer(store, "t")
    now = seen.at(seen.present(), now=seen.present())
    assert seen.counted(boxed(-2, 0, 4, 2)) is None
    assert seen.count(boxed(-2, 0, 4, 2)) == 4
