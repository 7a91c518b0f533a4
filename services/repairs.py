"""What a publisher may have repaired, by `--repair`."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import Final

from services.errors import BadParameter
from spatial.repairs import Remedy

VALID: Final = "valid"
CURVES: Final = "curves"
RINGS: Final = "rings"
NONE: Final = "none"
REPAIRS: Final = (VALID, RINGS, CURVES, Remedy.POINTS.value, Remedy.ANTIMERIDIAN.value, NONE)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--repair` to a command that publishes."""
    parser.add_argument(
        "--repair",
        nargs="+",
        action="extend",
        choices=REPAIRS,
        default=[],
        help="make valid (as without a word, unless none), close rings, arcs as straight lines, "
        "drop repeated points, split at 180 degrees · 修复",
    )


def remedies_of(chosen: Collection[str]) -> frozenset[Remedy]:
    """Return what may be done to shapes that were read.

    Raises
    ------
    BadParameter
        Where none is said beside others.

    Examples
    --------
    >>> sorted(remedies_of(["points", "curves"])), sorted(remedies_of(["none"]))
    ([<Remedy.POINTS: 'points'>, <Remedy.VALID: 'valid'>], [])
    """
    check_repairs(chosen)
    if NONE in chosen:
        return frozenset()
    return frozenset(Remedy(name) for name in {VALID, *chosen} if name in set(Remedy))


def check_repairs(chosen: Collection[str]) -> None:
    """Refuse none beside others.

    Raises
    ------
    BadParameter
        With what was said.
    """
    others = [name for name in chosen if name != NONE]
    if NONE in chosen and others:
        raise BadParameter(f"--repair none {' '.join(others)}: say none alone, or leave it out")
