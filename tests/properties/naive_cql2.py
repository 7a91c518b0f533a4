"""CQL2 as one would work it out by hand, row by row: None is unknown (three-valued logic)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import shapely

Row = Mapping[str, Any]
SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def holds(node: Any, row: Row, zone: ZoneInfo) -> bool | None:
    """Whether a filter holds of a row."""
    if isinstance(node, bool):
        return node
    if "property" in node:
        return row[node["property"]]
    op, args = node["op"], node["args"]
    if op in ("and", "or", "not"):
        return _connected(op, [holds(arg, row, zone) for arg in args])
    if op == "in":
        return _connected("or", [_compared("=", args[0], item, row, zone) for item in args[1]])
    if op == "between":
        bounds = ((">=", args[1]), ("<=", args[2]))
        return _connected("and", [_compared(s, args[0], b, row, zone) for s, b in bounds])
    if op in SIGNS:
        return _compared(op, *args, row, zone)
    if op == "isNull":
        return value(args[0], row) is None
    if op == "like":
        return _like(value(args[0], row), args[1])
    if op.startswith("t_"):
        return _timed(op, *args, row, zone)
    if op.startswith("a_"):
        return _sets(op, *args, row, zone) is True
    return _placed(op, *args, row)


def value(node: Any, row: Row) -> Any:
    """What an expression is worth; a number as a Decimal."""
    if isinstance(node, bool | str):
        return node
    if isinstance(node, int | float):
        return Decimal(repr(node))
    if "property" in node:
        found = row[node["property"]]
        if isinstance(found, float):
            return Decimal(f"{found:.15g}")
        return Decimal(found) if type(found) is int else found
    if "date" in node:
        return date.fromisoformat(node["date"])
    if "timestamp" in node:
        return datetime.fromisoformat(node["timestamp"])
    if "type" in node:
        return shapely.geometry.shape(node)
    return _calculated(node["op"], *(value(arg, row) for arg in node["args"]))


def _connected(op: str, values: list[bool | None]) -> bool | None:
    if op == "not":
        return None if values[0] is None else not values[0]
    decisive = op == "or"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _compared(sign: str, a: Any, b: Any, row: Row, zone: ZoneInfo) -> bool | None:
    left, right = value(a, row), value(b, row)
    if left is None or right is None:
        return None
    if type(left) is not type(right) and isinstance(left, date):
        left, right = _instant(left, zone), _instant(right, zone)
    if isinstance(left, str):
        # PostgreSQL compares bytes of UTF-8, which is the order of code points.
        left, right = left.encode(), right.encode()
    return SIGNS[sign](left, right)


def _instant(time: Any, zone: ZoneInfo) -> datetime:
    if isinstance(time, datetime):
        return time
    return datetime(time.year, time.month, time.day, tzinfo=zone)


def _calculated(op: str, a: Any, b: Any) -> Decimal | None:
    if a is None or b is None or (op in ("div", "%") and b == 0):
        return None
    if op == "div":
        return (a / b).to_integral_value("ROUND_DOWN")
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod}[op](a, b)


def _like(text: str | None, pattern: str) -> bool | None:
    if text is None:
        return None
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    said = {"%": ".*", "_": "."}
    regex = "".join(said.get(p) or re.escape(p[-1]) for p in pieces)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def _ends(node: Any, row: Row, zone: ZoneInfo) -> tuple[Any, Any]:
    if "interval" not in node:
        time = value(node, row)
        at = None if time is None else _instant(time, zone)
        return at, at
    ends: list[Any] = []
    for end, open_end in zip(node["interval"], (FIRST, LAST), strict=True):
        if end == "..":
            ends.append(open_end)
        elif isinstance(end, str):
            at = datetime.fromisoformat(end) if "T" in end else date.fromisoformat(end)
            ends.append(_instant(at, zone))
        else:
            ends.append(_ends(end, row, zone)[0])
    return ends[0], ends[1]


def _timed(op: str, a: Any, b: Any, row: Row, zone: ZoneInfo) -> bool | None:
    (s1, e1), (s2, e2) = _ends(a, row, zone), _ends(b, row, zone)

    def is_(sign: str, x: Any, y: Any) -> bool | None:
        return None if x is None or y is None else SIGNS[sign](x, y)

    every = {
        "t_after": [is_(">", s1, e2)],
        "t_before": [is_("<", e1, s2)],
        "t_equals": [is_("=", s1, s2), is_("=", e1, e2)],
        "t_intersects": [is_("<=", s1, e2), is_(">=", e1, s2)],
        "t_contains": [is_("<", s1, s2), is_(">", e1, e2)],
        "t_during": [is_(">", s1, s2), is_("<", e1, e2)],
        "t_finishedBy": [is_("<", s1, s2), is_("=", e1, e2)],
        "t_finishes": [is_(">", s1, s2), is_("=", e1, e2)],
        "t_meets": [is_("=", e1, s2)],
        "t_metBy": [is_("=", s1, e2)],
        "t_overlaps": [is_("<", s1, s2), is_(">", e1, s2), is_("<", e1, e2)],
        "t_overlappedBy": [is_(">", s1, s2), is_("<", s1, e2), is_(">", e1, e2)],
        "t_startedBy": [is_("=", s1, s2), is_(">", e1, e2)],
        "t_starts": [is_("=", s1, s2), is_("<", e1, e2)],
    }
    if op == "t_disjoint":
        return _connected("or", [*every["t_after"], *every["t_before"]])
    return _connected("and", every[op])


def _sets(op: str, a: list[Any], b: list[Any], row: Row, zone: ZoneInfo) -> bool | None:
    def has(many: list[Any], one: Any) -> bool | None:
        return _connected("or", [_compared("=", item, one, row, zone) for item in many])

    if op == "a_equals":
        ways = [_sets("a_contains", *way, row, zone) for way in ((a, b), (b, a))]
        return _connected("and", ways)
    if op == "a_containedBy":
        a, b = b, a
    return _connected("or" if op == "a_overlaps" else "and", [has(a, item) for item in b])


def _placed(op: str, a: Any, b: Any, row: Row) -> bool | None:
    one, other = value(a, row), value(b, row)
    if one is None or other is None:
        return None
    return bool(getattr(shapely, op[2:])(one, other))
