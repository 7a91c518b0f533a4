"""Where the rows of a table lie: by two columns of coordinates, or one of well-known text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from layers.batches import RING_CLOSED, first_line
from layers.errors import BadSource
from layers.sourcing.asked import Asked
from spatial.nesting import MOST, text_depth


def check_positions(name: str, columns: Sequence[str], asked: Asked) -> None:
    """Refuse columns that a table does not have.

    Raises
    ------
    BadSource
        With those that it has.
    """
    if asked.wkt is not None and asked.coordinates is not None:
        raise BadSource(f"{name}: state --coordinates or --wkt, not both")
    for wanted in (*(asked.coordinates or ()), *((asked.wkt,) if asked.wkt else ())):
        if wanted not in columns:
            raise BadSource(f"{name} has no column {wanted!r}; it has: {', '.join(columns)}")


def has_positions(asked: Asked) -> bool:
    """Return whether a table was said to have any."""
    return asked.coordinates is not None or asked.wkt is not None


class Positions(NamedTuple):
    """The shape of each row, None where it has none; and the rows whose rings were closed."""

    shapes: NDArray[np.object_] | None
    repaired: tuple[tuple[int, str], ...] = ()


def read_positions(
    name: str, columns: Mapping[str, pa.Array], asked: Asked, first_row: int
) -> Positions:
    """Return where the rows of a table lie; no shapes for a table without any.

    Raises
    ------
    BadSource
        Where a value is no number, or no well-known text: with the row.

    Examples
    --------
    >>> asked = Asked(coordinates=("x", "y"))
    >>> columns = {"x": pa.array(["1", None]), "y": pa.array(["2", None])}
    >>> read_positions("a.csv", columns, asked, 1).shapes.tolist()
    [<POINT (1 2)>, None]
    """
    if asked.wkt is not None:
        return _from_text(name, columns[asked.wkt], first_row, closes=asked.rings)
    if asked.coordinates is None:
        return Positions(None)
    x, y = (_numbers(name, columns[c], c, first_row) for c in asked.coordinates)
    points = np.full(len(x), None, dtype=object)
    known = ~(np.isnan(x) | np.isnan(y))
    points[known] = shapely.points(x[known], y[known])
    return Positions(points)


def _numbers(name: str, values: pa.Array, column: str, first_row: int) -> NDArray[np.float64]:
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
    try:
        found = values.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadSource(
            f"{name}: column {column!r}, from row {first_row}: {first_line(error)}; write plain "
            "numbers"
        ) from None
    numbers: NDArray[np.float64] = found.to_numpy(zero_copy_only=False).astype(float)
    return numbers


def _from_text(name: str, values: pa.Array, first_row: int, *, closes: bool) -> Positions:
    texts = values.cast(pa.string()).to_pylist()
    shapes = np.full(len(texts), None, dtype=object)
    closed = []
    for n, text in enumerate(texts):
        if text is None or not text.strip():
            continue
        if text_depth(text) > MOST:
            raise BadSource(f"{name}, row {first_row + n}: its parts are nested too deep")
        try:
            shapes[n] = shapely.from_wkt(text)
        except (shapely.errors.ShapelyError, NotImplementedError) as error:
            mended = _closed(text)
            if mended is None or not closes:
                remedy = "" if mended is None else "; say --repair rings, and rings are closed"
                raise BadSource(
                    f"{name}, row {first_row + n}: {text[:60]!r} is no well-known text "
                    f"({first_line(error)[:120]}){remedy}"
                ) from None
            shapes[n] = mended
            closed.append((first_row + n, RING_CLOSED))
    return Positions(shapes, tuple(closed))


def _closed(text: str) -> shapely.Geometry | None:
    """Return what can be read once its rings are closed; None for what else is wrong."""
    try:
        return shapely.from_wkt(text, on_invalid="fix")
    except NotImplementedError:
        return None
