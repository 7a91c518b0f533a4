"""The report of a publish as one page that needs nothing else, with a map of what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, radians
from typing import Any

import shapely
from jinja2 import Environment, PackageLoader, StrictUndefined

from layers.report import Report
from services.reports import counted
from spatial.crs import parse_crs

WIDTH, HEIGHT = 800.0, 500.0
# What is drawn beyond so many corners is drawn as boxes.
_MOST_CORNERS = 60_000
_MARGIN = 10.0
_MOST_ROWS = 500
_KINDS = (("created", "新增"), ("changed", "变更"), ("retired", "终止"))


def preview_page(report: Report) -> str:
    """Return the page of a report: all text is escaped, and nothing is fetched by it."""
    loader = PackageLoader("services", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    found = report.findings
    return pages.get_template("preview.html").render(
        report=report,
        found=found,
        counts=counted(report),
        placed=[] if report.placed is None else list(report.placed.lines()),
        read_as=list(map(str, report.read_as)),
        paths=draw_paths(report.difference, report.crs),
        kinds=_KINDS,
        faults=found.faults[:_MOST_ROWS],
        more=max(0, len(found.faults) - _MOST_ROWS),
        size=(WIDTH, HEIGHT),
    )


@dataclass(frozen=True)
class _Frame:
    """From coordinates to the picture: north is up, and the whole fits."""

    left: float
    top: float
    scale_x: float
    scale_y: float

    def point(self, at: Sequence[float]) -> str:
        x = _MARGIN + (at[0] - self.left) * self.scale_x
        y = _MARGIN + (self.top - at[1]) * self.scale_y
        return f"{x:.1f},{y:.1f}"


def draw_paths(difference: Sequence[tuple[str, shapely.Geometry]], crs: str) -> dict[str, str]:
    """Return the path of each kind of difference, as SVG has it, bounded in size.

    Examples
    --------
    >>> draw_paths([("created", shapely.box(0, 0, 80, 48))], "EPSG:4549")
    {'created': 'M790.0,478.0L790.0,10.0L10.0,10.0L10.0,478.0Z'}
    """
    shapes = [(kind, shape) for kind, shape in difference if not shape.is_empty]
    if not shapes:
        return {}
    frame = _frame([shape for _, shape in shapes], crs)
    pixel = 0.5 / max(frame.scale_x, frame.scale_y)
    paths: dict[str, list[str]] = {}
    corners = 0
    for kind, shape in shapes:
        small = shapely.simplify(shape, pixel, preserve_topology=False)
        drawn = shape.representative_point() if small.is_empty else small
        corners += int(shapely.get_num_coordinates(drawn))
        if corners > _MOST_CORNERS:
            drawn = shapely.envelope(drawn)
        paths.setdefault(kind, []).extend(_paths(drawn, frame))
    return {kind: "".join(parts) for kind, parts in paths.items()}


def _frame(shapes: Sequence[shapely.Geometry], crs: str) -> _Frame:
    west, south, east, north = shapely.total_bounds(shapes)
    narrow = 1.0
    if crs and parse_crs(crs).is_geographic:
        narrow = max(0.01, cos(radians(min(89.0, abs(south + north) / 2))))
    # A single point has no extent.
    wide, high = max((east - west) * narrow, 1e-9), max(north - south, 1e-9)
    scale = min((WIDTH - 2 * _MARGIN) / wide, (HEIGHT - 2 * _MARGIN) / high)
    return _Frame(float(west), float(north), float(scale * narrow), float(scale))


def _paths(shape: Any, frame: _Frame) -> Iterator[str]:
    for part in shapely.get_parts(shape):
        if part.geom_type == "Point":
            # A line without length, which a round pen makes a dot.
            yield f"M{frame.point(part.coords[0])}h0"
        elif part.geom_type == "Polygon":
            for ring in (part.exterior, *part.interiors):
                yield _line(list(ring.coords)[:-1], frame) + "Z"
        elif part.geom_type == "GeometryCollection":
            yield from _paths(part, frame)
        else:
            yield _line(list(part.coords), frame)


def _line(coordinates: Sequence[Sequence[float]], frame: _Frame) -> str:
    return "M" + "L".join(map(frame.point, coordinates))
