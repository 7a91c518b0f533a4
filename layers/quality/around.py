"""What rules look at in other layers: nodes that pipes end in, boundaries that must be covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers import catalog
from layers.beliefs import believed
from layers.model import Rule, Schema
from layers.quality.rows import values_of
from layers.tables import FOREVER, tables_of
from spatial.crs import transform

# Params that name fields of the other layer.
_FIELDS = ("number", "ground", "feature", "of_node")


@dataclass(frozen=True)
class Beside:
    """What another layer believes to go on, in the system of the layer that is asked about.

    Attributes
    ----------
    ids : ndarray of object, shape (m,)
    shapes : ndarray of Geometry, shape (m,)
    values : mapping of str to ndarray, shape (m,)
        As those of `layers.quality.rows.Staged`.
    """

    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    values: Mapping[str, NDArray[Any]]

    def whole(self) -> shapely.Geometry:
        """Return what all shapes cover together."""
        return shapely.union_all(self.shapes)


def read_beside(
    connection: Connection, rules: Sequence[Rule], layer_id: str, schema: Schema
) -> Beside | str:
    """Read what rules look at in another layer, or tell why that can't be.

    Parameters
    ----------
    rules : sequence of Rule
        That look at it.
    layer_id : str
        The other layer.
    schema : Schema
        Of the layer whose rules they are.
    """
    record = catalog.find_layer(connection, layer_id)
    # One without a revision is of the same commit, and written by now.
    if record is None:
        return f"there is no layer {layer_id} yet"
    wanted = {str(rule.params[name]) for rule in rules for name in _FIELDS if name in rule.params}
    names = sorted(wanted)
    for name in names:
        if record.schema.find(name) not in record.schema.stored:
            return f"{layer_id} has no open field {name}"
    family = tables_of(record).open
    was = believed(family, ("_fid", "_valid_to", "_geom", *names)).subquery("was")
    shape: Any = sa.func.ST_AsBinary(was.c._geom, type_=sa.LargeBinary)
    query = sa.select(was.c._fid, shape, *(was.c[n] for n in names))
    query = query.where(was.c._valid_to == FOREVER).order_by(was.c._fid)
    rows = connection.execute(query).all()
    ids, wkb, *columns = zip(*rows, strict=True) if rows else [()] * (2 + len(names))
    shapes = transform(shapely.from_wkb(list(wkb)), record.schema.crs, schema.crs)
    values = {
        name: values_of(record.schema.find(name), column)
        for name, column in zip(names, columns, strict=True)
    }
    return Beside(values_of(None, ids), np.asarray(shapes, dtype=object), values)
