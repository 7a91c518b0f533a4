"""Kept statements: reads that differ only in their inputs are put together once.

To put a read together, and to find again what was made of it, takes longer than the database takes
for a page. So what most requests ask (now or an instant, a box, a page, one feature) is kept as the
text that goes to the driver, by all that it depends on: the schema, what is seen, and the form of
the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers import tables
from layers.model import Layer
from layers.readers import Known, Sight
from layers.reading import inputs
from layers.reading.boxes import split_box, storage_box
from layers.reading.features import Query
from layers.reading.moments import Moment
from spatial.periods import Interval

_MOST = 1000
HEAD = "_head"
_PARAMETER = re.compile(r"%\((\w+)\)s")


class Plain:
    """One row with names, looked at as SQLAlchemy's rows are."""

    __slots__ = ("_mapping",)

    def __init__(self, columns: Sequence[str], row: Sequence[Any]) -> None:
        self._mapping = dict(zip(columns, row, strict=False))

    def __getattr__(self, name: str) -> Any:
        """Return the value of a column."""
        try:
            return self._mapping[name]
        except KeyError:
            raise AttributeError(name) from None


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

    def named(self) -> Iterator[Plain]:
        """Yield the rows with names."""
        for row in self.rows:
            yield Plain(self.columns, row)


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement as the driver takes it, with places for its inputs.

    Attributes
    ----------
    text : str
        With ``$1``, ``$2`` for parameters: to find them by name takes the driver longer than to
        send them.
    parameters : tuple of (str or None, value)
        For each, the input that it is, or its value where it is none.
    """

    text: str
    parameters: tuple[tuple[str | None, Any], ...]
    columns: tuple[str, ...]

    def filled(self, values: Mapping[str, Any]) -> list[Any]:
        """Return all parameters, with the inputs of one request."""
        return [value if given is None else values[given] for given, value in self.parameters]


@dataclass(frozen=True, slots=True)
class Question:
    """A kept statement with the inputs of one request.

    Attributes
    ----------
    head : int
        The newest revision, as far as whoever asks knows.
    single : bool
        Whether it finds one feature by its id.
    """

    kept: Kept
    values: list[Any]
    head: int
    single: bool

    def answer(self, rows: Sequence[Sequence[Any]]) -> Rows | None:
        """Return the rows that were found; None where they can't be trusted.

        Where a commit came in between, what is known of the layer is of before it.
        """
        return Rows(self.kept.columns, rows) if rows and rows[0][-1] == self.head else None


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


def form_of(layer: Layer, sight: Sight, moment: Moment, query: Query) -> Any:
    """Return all that a features select depends on but its inputs; None where it is not kept.

    Parameters
    ----------
    layer : Layer
        With the schema that it had at the revision, and its newest revision as it is.
    """
    if isinstance(moment.when, Interval) or not _is_plain(query) or is_timed(sight):
        return None
    if sight.restricted(layer.schema) and query.restricted:
        return None
    boxed = query.bbox is not None
    if query.bbox is not None and len(split_box(query.bbox, query.bbox_crs)) > 1:
        return None
    return (
        layer.id,
        Known(layer.schema),
        sight.fingerprint,
        _time_of(layer, moment),
        boxed and query.placeless,
        boxed,
        None if query.ids is None else is_single(query.ids),
        query.limit is not None,
        query.offset > 0,
        None if query.after is None else tuple(value is None for value in query.after),
        query.sort,
        query.backwards,
        query.only,
        query.geometry,
        query.restricted,
        query.marked,
    )


def _time_of(layer: Layer, moment: Moment) -> str:
    """Which tables are read for which time."""
    if moment.when is None:
        return "always"
    assert isinstance(moment.when, datetime)  # noqa: S101 - else it is not kept
    recorded = layer.recorded_at
    newest = moment.revision == layer.head and recorded is not None
    return "now" if newest and recorded is not None and moment.when >= recorded else "then"


def values_of(layer: Layer, moment: Moment, query: Query) -> dict[str, Any]:
    """Return the inputs of a read whose form is kept."""
    found: dict[str, Any] = {inputs.AT: moment.when, inputs.REVISION: moment.revision}
    if query.limit is not None:
        found |= {inputs.LIMIT: query.limit, inputs.REACH: query.limit + query.offset}
    found[inputs.OFFSET] = query.offset
    if query.ids is not None and not isinstance(query.ids, sa.CompoundSelect):
        found[inputs.FIDS] = ids = list(query.ids)
        found[inputs.FID] = ids[0] if ids else ""
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
    others = (query.equal, query.where, query.filter, query.q, query.touched)
    return not isinstance(query.ids, sa.CompoundSelect) and not any(others)


def is_single(ids: Any) -> bool:
    """Return whether one feature is asked for, by its id."""
    return isinstance(ids, list | tuple) and len(ids) == 1


def is_timed(sight: Sight) -> bool:
    """Return whether what is seen depends on the time that is asked for."""
    bounds = [sight.time, *((t.territory.start, t.territory.end) for t in sight.tiers)]
    return any(bound is not None for pair in bounds for bound in pair)


def _compiled(select: sa.Select[Any], dialect: sa.Dialect) -> Kept:
    compiled = select.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    names = list(dict.fromkeys(_PARAMETER.findall(str(compiled))))
    numbers = {name: f"${n}" for n, name in enumerate(names, 1)}
    text = _PARAMETER.sub(lambda found: numbers[found[1]], str(compiled)).replace("%%", "%")
    parameters = []
    for name in names:
        given = name.rpartition("_")[0]
        if given.startswith("in_"):
            parameters.append((given, None))
            continue
        process = None
        if name in compiled.binds:
            kind = compiled.binds[name].type
            process = kind.dialect_impl(dialect).bind_processor(dialect)
        value = values[name]
        parameters.append((None, value if process is None else process(value)))
    columns = tuple(str(column.name) for column in select.selected_columns)
    return Kept(text, tuple(parameters), columns)
