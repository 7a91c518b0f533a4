"""What is shown of a report: its counts, and over HTTP what staff read of one that is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from layers.model import Layer, Schema
from layers.readers import Reader
from layers.report import Report
from layers.rows.validity import rule_of

_MOST_ROWS = 100


def report_document(
    kept: Mapping[str, Any], schema: Schema, seen: Collection[str]
) -> dict[str, Any] | None:
    """Return what is shown of a kept report; None where there is none of a source's rows.

    Ids and causes stay out: they could hold what only some of the readers may know. Where a field
    is hidden, so are the rules that look at it, and the names of a source's own columns: they are
    often those of what was left out for a reason.

    Parameters
    ----------
    kept : mapping
        As a revision has it.
    schema : Schema
        Of the layer, whole.
    seen : collection of str
        Ids of the fields that exist for the reader.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> fields = [{"id": "no", "role": "key"}, {"id": "depth", "type": "number"}]
    >>> rule = {"id": "deep", "check": "range", "fields": {"value": "depth"}, "params": {"most": 9}}
    >>> stated = {"title": "Wells", "geometry": "Point", "fields": fields, "rules": [rule]}
    >>> rows = [{"row": 7, "cause": "range: 12 m"}]
    >>> broken = {"rule": "deep", "fault": "range", "outcome": "say", "count": 1, "rows": rows}
    >>> told = {"rows_read": 9, "source": "a.csv", "rules_broken": [broken]}
    >>> shown = report_document(told, parse_schema(stated), ("no", "depth"))
    >>> shown["rows_read"], shown["rules_broken"][0]["rows"]
    (9, [7])
    >>> report_document(told, parse_schema(stated), ("no",))["rules_broken"]
    []
    """
    if not kept.get("rows_read"):
        return None
    hidden = {f.id for f in schema.fields} - set(seen)
    # A rule that the schema has no more could have been of any field.
    known = {r.id for r in schema.rules if not hidden & set(r.fields.values())}
    known |= {rule_of(f) for f in schema.fields if f.id not in hidden}

    def is_open(rule: str) -> bool:
        return not hidden or rule in known

    # Reports of earlier releases lack what was not counted then. What others wrote on a source's
    # columns is as telling as the columns are.
    return {
        "source": kept.get("source", ""),
        "rows_read": kept["rows_read"],
        "rows_refused": kept.get("rows_refused", 0),
        **{name: _count(kept, name) for name in ("repaired", "without_geometry", "without_key")},
        "repeated_keys": _count(kept, "repeated_keys"),
        "rules_broken": [_broken(r) for r in kept.get("rules_broken", ()) if is_open(r["rule"])],
        "rules_unasked": [r for r in kept.get("rules_unasked", ()) if is_open(r)],
        "reference_system": kept.get("reference_system"),
        "mapping": None if hidden else kept.get("mapping"),
        "suggested": [] if hidden else list(kept.get("suggested", ())),
        "columns_left_out": [] if hidden else list(kept.get("columns_left_out", ())),
        "fields_lacking": [f for f in kept.get("fields_lacking", ()) if f not in hidden],
    }


def shown_to(reader: Reader, record: Layer, kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a reader is shown of a report, kept or just made; see `report_document`.

    A field that is seen in some territories alone is hidden: rows are not told apart here.
    """
    sight, schema = reader.sight(record), record.schema
    seen = {f.id for f in (*sight.fields(schema), *sight.restricted(schema)) if not sight.where(f)}
    # When something held is no secret of a field's: every version says it.
    seen |= {f.id for f in schema.fields if f.is_period}
    document = report_document(kept, schema, seen)
    if document is not None and not sight.internals:
        # It has the name of who stated it.
        document["mapping"] = None
    return document


def _count(kept: Mapping[str, Any], name: str) -> int:
    return int(kept.get(name, {}).get("count", 0))


def _broken(one: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: one[name] for name in ("rule", "fault", "outcome", "count")}
    # Of another layer's features the row is 0.
    return shown | {"rows": [r["row"] for r in one["rows"] if r["row"]][:_MOST_ROWS]}


def counted(report: Report) -> list[tuple[str, str, int]]:
    """Return the counts of a report, each with its name in English and Chinese."""
    found = report.findings
    return [
        ("rows read", "读入行", found.rows_read),
        ("rows left out", "剔除行", found.rows_refused),
        ("repaired", "修复", found.repaired.count),
        ("without geometry", "无几何", found.without_geometry.count),
        ("without key", "无标识", found.without_key.count),
        ("keys repeated", "标识重复", len(found.repeated)),
        ("created", "新增", report.created),
        ("changed", "变更", report.changed),
        ("retired", "终止", report.retired),
        ("unchanged", "未变", report.unchanged),
    ]
