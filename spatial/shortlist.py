"""A system that would fit coordinates whose own nobody states; and several of them as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A system that would fit.

    Attributes
    ----------
    code : str
        As ``--crs`` takes it.
    bounds : tuple of float
        Where the data would land: west, south, east and north, in degrees.
    central_meridian : float or None
        Of a zone, in degrees east.
    swapped : bool
        Whether the coordinates fit with north before east only.
    reason : str
        What speaks for it, or what it leaves open.
    near : bool
        Whether it lands on or near the layer.
    """

    code: str
    name: str
    bounds: Bounds
    central_meridian: float | None
    swapped: bool
    reason: str
    near: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "crs": self.code,
            "name": self.name,
            "bounds": list(self.bounds),
            "central_meridian": self.central_meridian,
            "axes": "north, east" if self.swapped else "east, north",
            "near_the_layer": self.near,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        west, south, east, north = self.bounds
        axes = " with --axes north-east" if self.swapped else ""
        return (
            f"{self.code}{axes} ({self.name}): {west:.4f} {south:.4f} to {east:.4f} {north:.4f}; "
            f"{self.reason}"
        )


def told(candidates: Sequence[Candidate], most: int = 5) -> list[str]:
    """Return candidates as lines of text, zones that differ by their meridian in one.

    Parameters
    ----------
    most : int
        How many lines there may be; one more says how many candidates are left out.

    Examples
    --------
    >>> from spatial.candidates import find_candidates
    >>> for line in told(find_candidates((512_000, 3_344_000, 540_000, 3_360_000)), 1):
    ...     print(line[:75])
    EPSG:4536 to EPSG:4550 (CGCS2000 / 3-degree Gauss-Kruger, 81°E to 123°E): 0
    and 18 more
    """
    groups = [list(found) for _, found in groupby(candidates, _family)]
    lines = [line for group in groups for line in _group_lines(group)]
    shown = lines[:most]
    left = sum(count for count, _ in lines) - sum(count for count, _ in shown)
    return [text for _, text in shown] + ([f"and {left} more"] if left else [])


def _family(found: Candidate) -> tuple[str, bool, bool]:
    alone = found.near or found.central_meridian is None
    name = found.code if alone else re.sub(r"( CM| zone) .*", "", found.name)
    return name, found.swapped, found.near


def _group_lines(group: Sequence[Candidate]) -> list[tuple[int, str]]:
    first, last = group[0], group[-1]
    if len(group) < 3 or first.central_meridian is None:
        return [(1, str(found)) for found in group]
    west, south, east, north = first.bounds
    axes = " with --axes north-east" if first.swapped else ""
    meridian = first.central_meridian
    text = (
        f"{first.code} to {last.code}{axes} ({_family(first)[0]}, {meridian:g}°E to "
        f"{last.central_meridian:g}°E): {west - meridian:.4f} to {east - meridian:.4f} degrees "
        f"east of its meridian, {south:.4f} to {north:.4f} north; which meridian, the coordinates "
        "do not tell"
    )
    return [(len(group), text)]
