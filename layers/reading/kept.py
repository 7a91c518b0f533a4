"""Kept statements: reads that differ only in their inputs are put together once.

To put a read together, and to find again what was made of it, takes longer than the database takes
for a page. So what most requests ask (now or an instant, a box, a page, one feature) is kept as the
text that goes to the driver, by all that it depends on: the schema, what is seen, and the form of
the query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers import tables
from layers.model import Layer
from layers.readers import Known, Sight
from layers.reading import inputs
from layers.reading.boxes import storage_box
from layers.reading.features import Query
from layers.reading.moments import Moment

_MOST = 1000
HEAD = "_head"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a read as the driver gives them, and the names of their columns."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, name: str) -> int:
        """Return the place of a column."""
        return self.columns.index(name)


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement as the driver takes it, with places for its inputs."""

    text: str
    constants: Mapping[str, Any]
    places: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]

    def parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, with the inputs of one request."""
        return {**self.constants, **{name: values[given] for name, given in self.places}}


@dataclass(frozen=True)
class Statements:
    """What was put together so far, the last thousand of it."""

    _kept: dict[Any, Kept] = field(default_factory=dict)

    def find(self, form: Any) -> Kept | None:
        """Return the statement of a form, None where there is none yet."""
        return self._kept.get(form)

    def keep(self, form: Any, select: sa.Select[Any], dialect: sa.Dialect) -> Kept:
        """Compile a select, and keep it."""
        kept = _compiled(select, dialect)
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[form] = kept
        return kept


def form_of(
    layer: Layer, sight: Sight, moment: Moment, query: Query, crs: CRS, place: CRS | None
) -> Any:
    """Return all that a statement depends on but its inputs; None where it is not kept.

    Parameters
    ----------
    layer : Layer
        With the schema that it had at the revision, and its newest revision as it is.
    """
    if not _is_plain(query) or not isinstance(moment.when, datetime) or _is_timed(sight):
        return None
    if sight.restricted(layer.schema) and query.restricted:
        return None
    box = None
    if query.bbox is not None:
        box = storage_box(layer, query.bbox, query.bbox_crs)
        if box is None:
            return None
    recorded = layer.recorded_at
    present = moment.revision == layer.head and recorded is not None and moment.when >= recorded
    return (
        layer.id,
        Known(layer.schema),
        sight,
        present,
        box is not None and query.placeless,
        box is not None,
        query.ids is not None,
        query.limit is not None,
        query.offset > 0,
        None if query.after is None else tuple(value is None for value in query.after),
        query.sort,
        query.backwards,
        query.only,
        query.geometry,
        query.restricted,
        crs.srs,
        None if place is None else place.srs,
    )


def values_of(layer: Layer, moment: Moment, query: Query) -> dict[str, Any]:
    """Return the inputs of a read whose form is kept."""
    found: dict[str, Any] = {inputs.AT: moment.when, inputs.REVISION: moment.revision}
    if query.limit is not None:
        found |= {inputs.LIMIT: query.limit, inputs.REACH: query.limit + query.offset}
    found[inputs.OFFSET] = query.offset
    if query.ids is not None:
        [found[inputs.FID]] = query.ids  # type: ignore[misc]
    if query.bbox is not None:
        box = storage_box(layer, query.bbox, query.bbox_crs)
        assert box is not None  # noqa: S101 - else there is no form
        found |= zip(inputs.BOX, box, strict=True)
    if query.after is not None:
        found |= {f"{inputs.KEY}{n}": value for n, value in enumerate(query.after)}
    return found


def with_head(select: sa.Select[Any], layer: Layer) -> sa.Select[Any]:
    """Return a select that says, in each row, which revision is the newest as it is read."""
    head = sa.select(tables.layer.c.head).where(tables.layer.c.id == layer.id)
    return select.add_columns(head.scalar_subquery().label(HEAD))


def _is_plain(query: Query) -> bool:
    others = (query.equal, query.where, query.filter, query.q, query.touched, query.marked)
    one = query.ids is None or (isinstance(query.ids, list | tuple) and len(query.ids) == 1)
    return one and not any(others)


def _is_timed(sight: Sight) -> bool:
    """Whether what is seen depends on the time that is asked for."""
    bounds = [sight.time, *((t.territory.start, t.territory.end) for t in sight.tiers)]
    return any(bound is not None for pair in bounds for bound in pair)


def _compiled(select: sa.Select[Any], dialect: sa.Dialect) -> Kept:
    compiled = select.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    places = []
    constants = {}
    for name, value in compiled.construct_params().items():
        given = name.rpartition("_")[0]
        if given.startswith("in_"):
            places.append((name, given))
            continue
        process = None
        if name in compiled.binds:
            kind = compiled.binds[name].type
            process = kind.dialect_impl(dialect).bind_processor(dialect)
        constants[name] = value if process is None else process(value)
    columns = tuple(str(column.name) for column in select.selected_columns)
    return Kept(str(compiled), constants, tuple(places), columns)
