"""A filter that was read: bounded, checked, and written in one way whatever it came in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from layers.errors import BadQuery
from layers.reading.cql2.drafts import parse_draft
from layers.reading.cql2.text import parse_text

TEXT = "cql2-text"
JSON = "cql2-json"
DRAFT = "cql-text"
LANGUAGES = (TEXT, JSON, DRAFT)
LONGEST = 65_536
DEEPEST = 32
# What is computed of what is computed: each step is several functions in SQL, and SQLAlchemy walks
# them with Python's own stack.
MOST_STEPS = 8
MOST_NODES = 2_000
MOST_ITEMS = 1_000
MOST_VERTICES = 10_000
LONGEST_TEXT = 4_000

_CONNECTED = ("and", "or", "not")
_COMPARED = ("=", "<>", "<", "<=", ">", ">=", "between", "in", "like", "isNull")
_CALCULATED = ("+", "-", "*", "/", "%", "div", "^")
_FOLDED = ("casei", "accenti")
SPATIAL = tuple(
    "s_intersects s_disjoint s_equals s_touches s_crosses s_within s_contains s_overlaps".split()
)
TEMPORAL = tuple(
    "t_after t_before t_disjoint t_equals t_intersects t_contains t_during t_finishedBy t_finishes "
    "t_meets t_metBy t_overlappedBy t_overlaps t_startedBy t_starts".split()
)
ARRAYS = ("a_equals", "a_contains", "a_containedBy", "a_overlaps")
_COUNTS: Mapping[str, int] = {
    "not": 1,
    "isNull": 1,
    "between": 3,
    **dict.fromkeys((*_COMPARED[:6], "in", "like", *_CALCULATED, *SPATIAL, *TEMPORAL, *ARRAYS), 2),
    **dict.fromkeys(_FOLDED, 1),
}
_OPERATORS = {
    op.lower(): op
    for op in (*_CONNECTED, *_COMPARED, *_CALCULATED, *_FOLDED, *SPATIAL, *TEMPORAL, *ARRAYS)
}
_CONDITIONS = frozenset((*_CONNECTED, *_COMPARED, *SPATIAL, *TEMPORAL, *ARRAYS))
# How far lists are nested in the coordinates of each type of geometry.
_LEVELS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that can be asked of any layer that has its properties.

    Attributes
    ----------
    text : str
        CQL2 JSON, in the one way of writing that this has.
    names : frozenset of str
        The properties that it names.
    loose : bool
        Whether a text, or 0 or 1, stands for what a property beside it is: see `drafts.fit`.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    loose: bool = False

    @property
    def tree(self) -> Any:
        """What the text says."""
        return orjson.loads(self.text)

    def parts(self) -> tuple[Filter, ...]:
        """Return the filters that must all hold: itself where it is no conjunction."""
        tree = self.tree
        if not isinstance(tree, dict) or tree.get("op") != "and":
            return (self,)
        filters = (_filter(arg, self.loose) for arg in tree["args"])
        return tuple(part for found in filters for part in found.parts())


def read_filter(text: str, language: str = TEXT) -> Filter:
    """Read a filter.

    Parameters
    ----------
    text : str
        At most 65,536 characters, 32 operators deep, of 2,000 parts; 10,000 vertices.
    language : str
        ``cql2-text``, ``cql2-json``, or ``cql-text`` as GDAL writes it.

    Raises
    ------
    BadQuery
        Where it is no filter, or too much of one: what it was and where.

    Examples
    --------
    >>> read_filter("use = '0701' AND NOT area_m2 < 100").text
    '{"args":[{"args":[{"property":"use"},"0701"],"op":"="},{"args":[{"args":[{"property":"area_m2"},100],"op":"<"}],"op":"not"}],"op":"and"}'
    >>> sorted(read_filter('{"op": "isNull", "args": [{"property": "use"}]}', "cql2-json").names)
    ['use']
    """
    if language not in LANGUAGES:
        raise BadQuery(f"filter-lang={language!r}; there are {', '.join(LANGUAGES)}")
    if len(text) > LONGEST:
        raise BadQuery(f"filter: it has {len(text)} characters; at most {LONGEST} are read")
    if not text.strip():
        raise BadQuery("filter: it is empty; leave it out, or state a condition")
    if language == TEXT:
        return _filter(parse_text(text))
    if language == DRAFT:
        return _filter(parse_draft(text), loose=True)
    try:
        tree = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeError) as error:
        raise BadQuery(f"filter: it is no JSON: {error}") from None
    return _filter(tree)


def _filter(tree: Any, loose: bool = False) -> Filter:
    reading = _Reading()
    known = reading.node(tree, 1)
    text = orjson.dumps(known, option=orjson.OPT_SORT_KEYS).decode()
    return Filter(text, frozenset(reading.names), loose)


class _Reading:
    """One walk over a tree: counts its parts, refuses what no filter has."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.nodes = 0
        self.vertices = 0
        self.steps = 0

    def node(self, node: Any, depth: int) -> Any:
        self._count(depth)
        if isinstance(node, bool):
            return node
        if isinstance(node, str):
            return _checked(node, "a text")
        if isinstance(node, int | float):
            return _number(node)
        if isinstance(node, list):
            return self._list(node, depth)
        if not isinstance(node, dict):
            raise BadQuery("filter: null can't stand there; ask for it by IS NULL (isNull)")
        return self._object(node, depth)

    def _count(self, depth: int) -> None:
        self.nodes += 1
        if depth > DEEPEST:
            raise BadQuery(f"filter: it is nested more than {DEEPEST} deep; ask something simpler")
        if self.nodes > MOST_NODES:
            raise BadQuery(f"filter: it has more than {MOST_NODES} parts; ask less")

    def _list(self, node: list[Any], depth: int) -> list[Any]:
        if len(node) > MOST_ITEMS:
            raise BadQuery(f"filter: a list of {len(node)} items; at most {MOST_ITEMS} are read")
        return [self.node(item, depth + 1) for item in node]

    def _object(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        if "op" in node:
            return self._operation(node, depth)
        if "property" in node:
            return self._property(_only(node, "property"))
        if "date" in node:
            return {"date": _checked(_only(node, "date"), "date")}
        if "timestamp" in node:
            return {"timestamp": _checked(_only(node, "timestamp"), "timestamp")}
        if "interval" in node:
            ends = _only(node, "interval")
            if not isinstance(ends, list) or len(ends) != 2:
                raise BadQuery(
                    "filter: an interval has two ends, as in INTERVAL('2020-01-01','..')"
                )
            return {"interval": [self.node(end, depth + 1) for end in ends]}
        if "bbox" in node:
            return {"bbox": _bounds(_only(node, "bbox"))}
        if "type" in node:
            return self._geometry(node, depth)
        keys = ", ".join(map(repr, list(node)[:3]))
        raise BadQuery(f"filter: an object with {keys[:80]} is nothing that CQL2 JSON has")

    def _operation(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        op, args = node["op"], node.get("args")
        if not isinstance(op, str) or not isinstance(args, list) or len(node) != 2:
            raise BadQuery(
                f"filter: {str(op)[:40]!r}: write an operator as op, with a list of args"
            )
        op = _OPERATORS.get(op.lower(), _checked(op, "op"))
        count = _COUNTS.get(op)
        if count is not None and len(args) != count:
            raise BadQuery(f"filter: {op} takes {count} arguments; there are {len(args)}")
        if op in ("and", "or") and not 2 <= len(args) <= MOST_ITEMS:
            raise BadQuery(f"filter: {op} takes 2 to {MOST_ITEMS} arguments; there are {len(args)}")
        if op == "in" and (not isinstance(args[1], list) or not args[1]):
            raise BadQuery("filter: in takes a value and a list of at least one")
        step = 0 if op in _CONDITIONS or op in ("+", "-") else 1
        self.steps += step
        if self.steps > MOST_STEPS:
            raise BadQuery(
                f"filter: {op}: values are computed in more than {MOST_STEPS} steps, each within "
                "another; ask something simpler"
            )
        known = {"op": op, "args": [self.node(arg, depth + 1) for arg in args]}
        self.steps -= step
        return known

    def _property(self, name: Any) -> dict[str, Any]:
        self.names.add(_checked(name, "property"))
        return {"property": name}

    def _geometry(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        kind = node["type"]
        if kind == "GeometryCollection":
            parts = node.get("geometries")
            if not isinstance(parts, list) or depth > DEEPEST:
                raise BadQuery("filter: a GeometryCollection has a list of geometries")
            for part in parts:
                if not isinstance(part, dict) or part.get("type") not in _LEVELS:
                    raise BadQuery("filter: a GeometryCollection has simple geometries only")
            return {"type": kind, "geometries": [self._geometry(p, depth + 1) for p in parts]}
        if not isinstance(kind, str) or kind not in _LEVELS or "coordinates" not in node:
            raise BadQuery(f"filter: type {str(kind)[:40]!r} is no geometry that CQL2 has")
        return {"type": kind, "coordinates": self._places(node["coordinates"], kind, _LEVELS[kind])}

    def _places(self, node: Any, kind: str, level: int) -> list[Any]:
        if not isinstance(node, list):
            raise BadQuery(f"filter: the coordinates of a {kind} are lists of numbers")
        if level > 0:
            return [self._places(part, kind, level - 1) for part in node]
        self.vertices += 1
        if self.vertices > MOST_VERTICES:
            raise BadQuery(f"filter: its geometries have more than {MOST_VERTICES} vertices")
        if not node and kind == "Point":
            return node
        if not 2 <= len(node) <= 4:
            raise BadQuery(f"filter: a position of a {kind} has two numbers or three")
        return [*_numbers(node, f"a position of a {kind}")][:2]


def _only(node: dict[str, Any], key: str) -> Any:
    if len(node) != 1:
        raise BadQuery(f"filter: an object with {key!r} has nothing beside it in CQL2 JSON")
    return node[key]


def _checked(text: Any, what: str) -> str:
    if not isinstance(text, str):
        raise BadQuery(f"filter: {what} is a text, not {str(text)[:40]!r}")
    if "\x00" in text:
        raise BadQuery(f"filter: {what} with a NUL character, which no text can have here")
    if len(text) > LONGEST_TEXT:
        raise BadQuery(f"filter: {what} of {len(text)} characters; at most {LONGEST_TEXT} are read")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadQuery(f"filter: {what} with half of a character (a lone surrogate)") from None
    return str(text)


def _number(number: float) -> float:
    if not math.isfinite(number) or abs(number) > 1e300:
        raise BadQuery(f"filter: the number {number} is too large; up to 1e300 is read")
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        return float(number)
    whole = isinstance(number, float) and number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


def _numbers(items: list[Any], what: str) -> Iterator[float]:
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise BadQuery(f"filter: {what} is made of numbers, not {str(item)[:40]!r}")
        if not math.isfinite(item) or abs(item) > 1e12:
            raise BadQuery(f"filter: {what} with the number {item}, which is nowhere")
        yield float(item)


def _bounds(bounds: Any) -> list[float]:
    if not isinstance(bounds, list) or len(bounds) not in (4, 6):
        raise BadQuery("filter: a BBOX has four numbers, or six: west, south, east, north")
    numbers = [*_numbers(bounds, "a BBOX")]
    return numbers if len(numbers) == 4 else [numbers[i] for i in (0, 1, 3, 4)]
