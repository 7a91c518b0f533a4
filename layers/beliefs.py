"""What a layer believes now about every time, and the part of it that a scope names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from layers.model import OPEN_REVISION, Layer
from layers.reading.sights import columns_for, lies_in
from layers.sameness import content_hash
from layers.tables import Family, column_type
from layers.territories import Territory

# Of a row, until which revision it was believed.
_CLOSED = "_until"


def believed(family: Family, names: Iterable[str]) -> sa.Select[Any]:
    """Select what is believed now about every time: the live rows, and the past of the world."""
    names = tuple(names)
    return _of_both(family, lambda c: [c[n].label(n) for n in names])


def believed_contents(family: Family) -> sa.Select[Any]:
    """Select what is believed now: id, period, hash in the fields in force, if any has a value.

    Restricted versions are there only for their values: of those that have none left but in fields
    that were retired, ``_says`` is false.
    """

    def columns(c: Any) -> list[Any]:
        says: Any = sa.true()
        if family.former and not family.spatial:
            says = sa.or_(sa.false(), *(c[f.id].is_not(None) for f in family.fields))
        content = content_hash(family, c).label("_hash")
        return [c._fid, c._valid_from, c._valid_to, content, says.label("_says")]

    return _of_both(family, columns)


def _of_both(family: Family, columns: Callable[[Any], list[Any]]) -> sa.Select[Any]:
    """The rows of both tables that are believed.

    What closes a row of the past is asked around the union, not within: into a part with a
    condition of its own PostgreSQL pushes no join, and reads all of it for one feature.
    """
    live, history = family.live.c, family.history.c
    open_ = sa.literal_column(str(OPEN_REVISION), sa.Integer).label(_CLOSED)
    both = sa.union_all(
        sa.select(*columns(live), open_),
        sa.select(*columns(history), history._rev_to.label(_CLOSED)),
    ).subquery("both")
    shown = [column for column in both.c if column.name != _CLOSED]
    return sa.select(*shown).where(both.c[_CLOSED] == OPEN_REVISION)


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a layer of which a source is the truth; nothing outside is touched.

    Attributes
    ----------
    equal : mapping of str to str
        Field to the value that rows have.
    territories : tuple of Territory
        In one of which rows lie; anywhere where empty. Those of whoever publishes.
    """

    equal: Mapping[str, str] = field(default_factory=dict)
    territories: tuple[Territory, ...] = ()

    def __bool__(self) -> bool:
        """Whether it is less than the whole layer."""
        return bool(self.equal or self.territories)

    def names(self, record: Layer) -> tuple[str, ...]:
        """Return the columns that `condition` looks at."""
        return tuple(dict.fromkeys((*self.equal, *columns_for(record, self.territories))))

    def condition(self, columns: Any, record: Layer) -> sa.ColumnElement[bool]:
        """Return the condition that a row lies in the scope."""
        conditions = []
        for name, value in self.equal.items():
            f = record.schema.find(name)
            assert f is not None  # noqa: S101 - the scope was checked
            conditions.append(columns[name].is_not_distinct_from(sa.cast(value, column_type(f))))
        if self.territories:
            inside = lies_in(record, columns, self.territories)
            conditions.append(sa.func.coalesce(inside, sa.false()))
        return sa.and_(sa.true(), *conditions)
