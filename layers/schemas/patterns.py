"""Patterns that the values of a text field must fit, as RE2 reads them: linear in the value."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from layers.errors import BadSchema


def check_pattern(pattern: object) -> str:
    """Return a pattern that can be used.

    Raises
    ------
    BadSchema
        Where it is no regular expression of RE2.

    Examples
    --------
    >>> check_pattern("[A-Z][0-9]{3}")
    '[A-Z][0-9]{3}'
    """
    try:
        if isinstance(pattern, str):
            pc.match_substring_regex(pa.array([""]), pattern)
            return pattern
    except pa.ArrowInvalid:
        pass
    raise BadSchema(
        f"pattern = {pattern!r} is no regular expression; write one of RE2, such as "
        "'[A-Z]{2}[0-9]+', without look-around and back references"
    )


def find_misfits(values: pa.Array, pattern: str) -> list[int]:
    """Return the places of the texts that do not fit a pattern from end to end; NULL fits.

    Examples
    --------
    >>> find_misfits(pa.array(["A001", None, "A0011", "b001"]), "[A-Z][0-9]{3}")
    [2, 3]
    """
    fits = pc.match_substring_regex(values, rf"\A(?:{pattern})\z")
    found: list[int] = pc.indices_nonzero(pc.invert(fits)).to_pylist()
    return found
