"""Numbers of features that were counted: of a pinned moment they can't change, so they are kept.

Who turns pages and asks for the number on each has it counted once. Where a box was found to hold
all that there is, so does every box around it: a map that shows a whole city asks nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from layers.reading.boxes import Box, storage_box
from layers.reading.snapshots import Snapshot

_MOST = 10_000


@dataclass(frozen=True)
class Counted:
    """What was counted so far, the last ten thousand of it."""

    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _boxes: dict[Hashable, Box] = field(default_factory=dict)

    def find(self, snapshot: Snapshot, total: int | None) -> int | None:
        """Return the number of a snapshot's features, None where they must be counted.

        Parameters
        ----------
        total : int or None
            Of its moment, with nothing narrowed, where that is known.
        """
        key = _key(snapshot)
        if key is None:
            return None
        known = self._numbers.get(key)
        if known is None and total is not None and _is_boxed_alone(snapshot):
            holding, box = self._boxes.get(_moment(snapshot)), _box(snapshot)
            if holding is not None and box is not None and _holds(box, holding):
                return total
        return known

    def keep(self, snapshot: Snapshot, number: int, total: int | None) -> None:
        """Keep what was counted, where it can't change."""
        key = _key(snapshot)
        if key is None:
            return
        if len(self._numbers) >= _MOST:
            self._numbers.clear()
            self._boxes.clear()
        self._numbers[key] = number
        if number == total and _is_boxed_alone(snapshot):
            box = _box(snapshot)
            if box is not None:
                self._boxes[_moment(snapshot)] = box


def _key(snapshot: Snapshot) -> Hashable:
    """All that a number depends on; None where it can change, or is seldom asked."""
    q, layer = snapshot.query, snapshot.layer
    if q.where or q.touched or layer.reader.may_see_restricted(layer.record):
        # Restricted fields can be erased from all history.
        return None
    if q.ids is not None and not isinstance(q.ids, tuple):
        return None
    return (
        _moment(snapshot),
        *(q.bbox, q.bbox_crs.srs, q.placeless),
        *(tuple(q.equal.items()), q.filter, q.filter_crs.srs, q.ids, q.q),
    )


def _moment(snapshot: Snapshot) -> Hashable:
    layer, moment = snapshot.layer, snapshot.moment
    # At an instant it makes no difference what was the present when it was asked.
    when = moment.when if isinstance(moment.when, datetime) else moment
    return (layer.record.id, moment.revision, when, layer.sight.fingerprint)


def _is_boxed_alone(snapshot: Snapshot) -> bool:
    q = snapshot.query
    # Without features that have no place, a box around all is not all that there is.
    return q.bbox is not None and q.placeless and not any((q.equal, q.filter, q.ids, q.q))


def _box(snapshot: Snapshot) -> Box | None:
    q = snapshot.query
    return None if q.bbox is None else storage_box(snapshot.layer.record, q.bbox, q.bbox_crs)


def _holds(outer: Box, inner: Box) -> bool:
    west, south, east, north = inner
    return outer[0] <= west and outer[1] <= south and outer[2] >= east and outer[3] >= north
