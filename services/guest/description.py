"""What the process assign-cases-to-grids says of itself, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layers.model import Title
from services.guest.inputs import Inputs, input_schema
from services.negotiation import JSON

PROCESS = "assign-cases-to-grids"
OUTPUT = "assignment"

_TEXTS: Mapping[str, tuple[Title, Title]] = {
    "cases": (
        Title("Cases", "案件图层"),
        Title("An event layer of points", "点状事件图层的标识"),
    ),
    "grids": (
        Title("Grids", "网格图层"),
        Title(
            "A state layer of polygons; several grid types may lie one over the other",
            "面状图层的标识，可含多套网格",
        ),
    ),
    "datetime": (
        Title("Which cases", "案件时间"),
        Title(
            "An instant or date takes every case reported by then, an interval a/b (.. for open) "
            "those reported within it; every case so far where absent. Dates are of the cases "
            "layer's time zone",
            "时刻或日期：截至该时刻上报的全部案件；区间 a/b：区间内上报的案件；缺省为至今全部",
        ),
    ),
    "cases_revision": (
        Title("Revision of the cases", "案件图层版本号"),
        Title("What was known of the cases; the newest where absent", "缺省为最新版本"),
    ),
    "grids_revision": (
        Title("Revision of the grids", "网格图层版本号"),
        Title("What was known of the grids; the newest where absent", "缺省为最新版本"),
    ),
    "recorded": (
        Title("What was known by then", "入库时间"),
        Title(
            "Instead of revisions: the newest of both layers that were recorded by this instant",
            "代替版本号：截至该时刻两个图层已入库的最新版本",
        ),
    ),
    "bbox": (
        Title("Area", "空间范围"),
        Title(
            "Only cases within west, south, east, north in degrees (CRS84); grids outside count",
            "仅统计范围内的案件：西、南、东、北（度）",
        ),
    ),
    "tolerance_m": (
        Title("Tolerance in metres", "容差（米）"),
        Title(
            "A case outside all grids goes to the nearest within so many metres, else it stays "
            "unassigned",
            "不在任何网格内的案件归入容差范围内最近的网格，否则为未归格",
        ),
    ),
    "grid_types": (
        Title("Grid types", "网格类型"),
        Title("Only these; all where absent", "仅这些类型，缺省为全部"),
    ),
    "list_cases": (
        Title("List every case", "列出每件案件"),
        Title("Counts by grid alone where false", "为 false 时只给出按网格的计数"),
    ),
}


def _described(name: str) -> dict[str, Any]:
    title, description = _TEXTS[name]
    return {
        "title": {"en": title.en, "zh": title.zh},
        "description": {"en": description.en, "zh": description.zh},
        "schema": input_schema(name),
        "minOccurs": 0,
        "maxOccurs": 1,
    }


def _table(**columns: str) -> dict[str, Any]:
    properties = {
        name: {"type": kind.removesuffix("?"), "nullable": kind.endswith("?")}
        for name, kind in columns.items()
    }
    return {"type": "array", "items": {"type": "object", "properties": properties}}


_GRID = {"grid_type": "string", "grid_code": "string?", "grid": "string?", "status": "string"}
_OUTPUT = {
    "type": "object",
    "contentMediaType": JSON,
    "required": ["cases", "systems", "totals", "summary", "cases_revision", "grids_revision"],
    "properties": {
        "cases": {"type": "integer", "description": "How many cases there are"},
        "systems": {"type": "array", "items": {"type": "string"}},
        "totals": {"type": "object", "additionalProperties": {"type": "integer"}},
        "cases_layer": {"type": "string"},
        "cases_revision": {"type": "integer"},
        "grids_layer": {"type": "string"},
        "grids_revision": {"type": "integer"},
        "datetime": {"type": "string"},
        "grids_datetime": {"type": "string"},
        "tolerance_m": {"type": "number"},
        "notes": {"type": "array", "items": {"type": "string"}},
        "summary": _table(**_GRID, count="integer"),
        "assignments": _table(
            case="string",
            reported_at="string?",
            **_GRID,
            distance_m="number?",
            candidates="integer",
            reason="string?",
        ),
    },
}
METADATA: dict[str, Any] = {
    "version": "1.0.0",
    "id": PROCESS,
    "title": {"en": "Assign cases to grids", "zh": "案件归格"},
    "description": {
        "en": "Gives each case, in each grid type, the grid that was valid when the case was "
        "reported. On a shared edge it is the lowest code, and flagged; outside all grids the "
        "nearest within the tolerance, else unassigned. Totals always equal the input, and the "
        "answer names the revisions it was made from: the same pins give the same answer.",
        "zh": "按案件上报时刻有效的网格归格，每套网格各归一格。位于公共边上的归编码最小者并作标记；"
        "不在任何网格内的归容差内最近者，否则为未归格。合计恒等于输入案件数；"
        "结果注明所用版本，版本相同则结果相同。",
    },
    "keywords": ["cases", "grids", "bitemporal", "案件", "网格", "归格"],
    "inputs": {name: _described(name) for name in Inputs.model_fields},
    "outputs": {
        OUTPUT: {
            "title": {"en": "Cases and their grids", "zh": "案件与网格"},
            "description": {
                "en": "Counts by grid and status, and each case's grid of each type with its "
                "status: inside, boundary, several, nearest or unassigned",
                "zh": "按网格与状态的计数，以及每件案件在每套网格中的归属与状态",
            },
            "schema": _OUTPUT,
        }
    },
    "example": {
        "inputs": {
            "cases": "incidents",
            "grids": "grids",
            "datetime": "2024-07-01/2024-10-01",
            "tolerance_m": 50,
        }
    },
}
