"""Cases to grids: two layers read at one moment, each case in the grid of its own time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd

from layers.model import Kind
from layers.readers import Reader
from layers.reading.features import Box
from layers.store import PublishedLayer, Snapshot, Store
from services.errors import BadParameter, ServicesError
from services.grid_indexes import KeptGrids, kept_grids
from spatial.assignment import assign, summarise
from spatial.crs import parse_crs, transform
from spatial.errors import EmptyInput
from spatial.grids import GridIndex
from spatial.instants import as_microsecond, clean_instants
from spatial.periods import (
    Interval,
    format_instant,
    parse_datetime,
    parse_instant,
)

When = dt.datetime | Interval
_POLYGONS = ("Polygon", "MultiPolygon")


class UnsuitableLayer(BadParameter):
    """A layer of another kind than the analysis needs."""


class LostCases(ServicesError):
    """Totals that do not equal the input: a fault of ours, never to be passed over."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseGrids:
    """What `assign_cases` found, and on what.

    Attributes
    ----------
    assignments : DataFrame
        One row per case and system, in the order of the cases' ids, then of the systems: ``case``,
        ``reported_at``, ``grid_type``, ``grid_code`` and ``grid`` (None where unassigned),
        ``status``, ``distance_m`` (NaN where unassigned), ``candidates`` and ``reason``, as
        `spatial.assignment.assign` explains them.
    summary : DataFrame
        ``grid_type``, ``grid_code``, ``grid``, ``status`` and ``count``; the counts of each system
        add up to the number of cases.
    cases : int
        How many cases there were.
    systems : tuple of str
        Grid types; ``("",)`` where the layer is one system.
    cases_layer, grids_layer : str
        The layers, and with
    cases_revision, grids_revision : int
        their revisions.
    datetime : datetime or Interval
        The valid time at which the cases were read, ``now`` being resolved.
    grids_datetime : Interval
        From the first report to the last: every version of a grid that meets it was used.
    tolerance_m : float
        How far a case outside all grids was looked for.
    notes : tuple of str
        What a reader of the result should know, such as a transformation.
    """

    assignments: pd.DataFrame
    summary: pd.DataFrame
    cases: int
    systems: tuple[str, ...]
    cases_layer: str
    cases_revision: int
    grids_layer: str
    grids_revision: int
    datetime: When
    grids_datetime: Interval
    tolerance_m: float
    notes: tuple[str, ...]

    @property
    def totals(self) -> Mapping[str, int]:
        """Rows of each system, which is the number of cases."""
        found = self.assignments["grid_type"].value_counts()
        return {name: int(found.get(name, 0)) for name in self.systems}


def assign_cases(
    store: Store,
    reader: Reader,
    *,
    cases: str,
    grids: str,
    datetime: str | When | None = None,
    cases_revision: int | None = None,
    grids_revision: int | None = None,
    recorded: str | dt.datetime | None = None,
    bbox: Box | None = None,
    tolerance_m: float = 0.0,
    grid_types: Sequence[str] | None = None,
    most_rows: int | None = None,
) -> CaseGrids:
    """Give each case the grid, of each type, that was valid when the case was reported.

    Both layers are read at one moment: ``now`` and the newest revisions are looked up once.

    Parameters
    ----------
    cases, grids : str
        An event layer of points, and a state layer of polygons. Several grid types in one layer
        are told apart by its scope, where that is one field.
    datetime : str, datetime or Interval, optional
        Which cases: an instant takes every case reported by then, an interval those reported
        within it; every case so far where absent. Text is read in the cases layer's time zone.
    cases_revision, grids_revision : int, optional
        What was known; the newest where absent.
    recorded : str or datetime, optional
        Instead of revisions: what was known of both layers by then.
    bbox : tuple of four floats, optional
        Only cases within, in longitude and latitude. Grids outside it still count.
    tolerance_m : float
        How far in metres a case outside all grids may lie from the nearest.
    grid_types : sequence of str, optional
        Only these; all where absent.
    most_rows : int, optional
        Refuse a result of more rows, before it is worked out.

    Raises
    ------
    UnsuitableLayer
        Where a layer is of another kind, or has no grids then.
    BadParameter
        For pins at odds, a grid type that is not there, or more than `most_rows`.
    LayersError, SpatialError
        For layers, revisions, instants and distances that are none.
    LostCases
        Never, unless this function is at fault.
    """
    if recorded is not None and (cases_revision is not None or grids_revision is not None):
        raise BadParameter("recorded and a revision both pin what was known; give one of them")
    now = store.clock()
    case_layer, grid_layer = _find(store.with_clock(lambda: now), reader, cases, grids)
    reported_at = _check_cases(case_layer)
    system = check_grids(grid_layer, grid_types)
    when = _settle(datetime, case_layer, now)
    known_by = _instant(recorded, case_layer)
    snapshot = case_layer.at(when, revision=cases_revision, recorded=known_by)
    points = _read_points(snapshot, reported_at, bbox, most_rows)
    reach = _reach(points["reported_at"], when, now)
    grids_revision = grid_layer.at(revision=grids_revision, recorded=known_by).moment.revision
    kept = _find_grids(store, grid_layer, grids_revision, system, grid_types, reach)
    systems = tuple(each.name for each in kept.index.systems)
    _check_size(len(points) * len(systems), most_rows)
    points, notes = _bring_together(points, kept.index)
    assigned = assign(points, kept.index, at="reported_at", tolerance_m=tolerance_m)
    _check_totals(assigned, points, systems)
    return CaseGrids(
        assignments=_long(assigned, points, kept),
        summary=_named(summarise(assigned), kept)[[*_GRID, "status", "count"]],
        cases=len(points),
        systems=systems,
        cases_layer=cases,
        cases_revision=snapshot.moment.revision,
        grids_layer=grids,
        grids_revision=grids_revision,
        datetime=when,
        grids_datetime=Interval(*reach),
        tolerance_m=tolerance_m,
        notes=notes,
    )


def _find(
    store: Store, reader: Reader, cases: str, grids: str
) -> tuple[PublishedLayer, PublishedLayer]:
    # One read of the catalogue, so that no commit comes between the two heads
    known = {layer.record.id: layer for layer in store.published(reader)}

    def find(layer_id: str) -> PublishedLayer:
        return known.get(layer_id) or store.layer(layer_id, reader)

    return find(cases), find(grids)


def _check_cases(layer: PublishedLayer) -> str:
    """Return the field that says when a case was reported."""
    record = layer.record
    schema, name = record.schema, record.id
    if schema.kind is not Kind.EVENT:
        raise UnsuitableLayer(
            f"cases={name!r} is of kind {schema.kind}; name an event layer, such as of incidents"
        )
    if schema.geometry != "Point":
        raise UnsuitableLayer(f"cases={name!r} has {schema.geometry} geometry; name one of points")
    start = schema.event_start().id
    if start not in {f.id for f in layer.reader.fields(record)}:
        raise UnsuitableLayer(f"cases={name!r}: their time is not open to you; use a key of staff")
    return start


def check_grids(layer: PublishedLayer, grid_types: Sequence[str] | None) -> str | None:
    """Return the field that names the grid type, None where the layer is one system.

    Raises
    ------
    UnsuitableLayer
        If the layer holds no grids, or their types are not open to the reader.
    BadParameter
        If types are asked for, and there are none.
    """
    schema, name = layer.record.schema, layer.record.id
    if schema.geometry not in _POLYGONS or schema.kind is not Kind.STATE:
        raise UnsuitableLayer(
            f"grids={name!r} is of kind {schema.kind} with {schema.geometry} geometry; "
            "name a state layer of polygons"
        )
    system = schema.scope[0] if len(schema.scope) == 1 else None
    if system and system not in {f.id for f in layer.reader.fields(layer.record)}:
        raise UnsuitableLayer(
            f"grids={name!r}: their types are not open to you; use a key of staff"
        )
    if grid_types is not None and system is None:
        raise BadParameter(f"grids={name!r} is one system of grids; leave out grid_types")
    return system


def _settle(when: str | When | None, layer: PublishedLayer, now: dt.datetime) -> When:
    """Resolve what means now, so that the same request can be made again."""
    if isinstance(when, str):
        when = parse_datetime(when, layer.record.schema.zone)
    if when is None:
        return now
    if isinstance(when, Interval) and (when.start is None or when.start <= now):
        return Interval(when.start, now if when.end is None else min(when.end, now))
    return when


def _instant(recorded: str | dt.datetime | None, layer: PublishedLayer) -> dt.datetime | None:
    if isinstance(recorded, str):
        return parse_instant(recorded, layer.record.schema.zone)
    return recorded


def _read_points(
    snapshot: Snapshot, reported_at: str, bbox: Box | None, most_rows: int | None
) -> gpd.GeoDataFrame:
    limit = None if most_rows is None else most_rows + 1
    frame = snapshot.read(bbox=bbox, limit=limit, restricted=False)
    _check_size(len(frame), most_rows)
    reported = frame[reported_at]
    if not isinstance(reported.dtype, pd.DatetimeTZDtype):
        reported = clean_instants(reported, snapshot.layer.record.schema.zone)
    columns = {"reported_at": reported.to_numpy(dtype="datetime64[us]")}
    points = gpd.GeoDataFrame(
        columns, index=frame.index, geometry=frame.geometry.to_numpy(), crs=frame.crs
    )
    points["reported_at"] = points["reported_at"].dt.tz_localize("UTC")
    return points


def _reach(
    reported: pd.Series[pd.Timestamp], when: When, now: dt.datetime
) -> tuple[dt.datetime, dt.datetime]:
    """Return the time in which a grid must have been valid to matter, both ends included."""
    if reported.notna().any():
        return reported.min().to_pydatetime(), reported.max().to_pydatetime()
    end = when.end or when.start or now if isinstance(when, Interval) else when
    return end, end


def _find_grids(
    store: Store,
    layer: PublishedLayer,
    revision: int,
    system: str | None,
    wanted: Sequence[str] | None,
    reach: tuple[dt.datetime, dt.datetime],
) -> KeptGrids:
    """Return the grids that are valid at some time of the reach, of the types wanted."""
    name = layer.record.id
    kept = kept_grids(store, layer, revision, system)
    first, last = map(as_microsecond, reach)
    during = f"of {name} r{revision} between {' and '.join(map(format_instant, reach))}"
    try:
        there = kept.index.during(first, last)
    except EmptyInput:
        raise UnsuitableLayer(
            f"there are no grids {during}; choose another datetime or revision"
        ) from None
    names = [each.name for each in there.systems]
    for grid_type in wanted or ():
        if grid_type not in names:
            known = ", ".join(names)
            raise BadParameter(f"no grid type {grid_type!r} {during}; there are: {known}")
    if wanted is not None:
        there = kept.index.during(first, last, wanted)
    return KeptGrids(there, kept.ids)


def _bring_together(
    points: gpd.GeoDataFrame, grids: GridIndex
) -> tuple[gpd.GeoDataFrame, tuple[str, ...]]:
    source, target = parse_crs(points.crs), parse_crs(grids.crs)
    if source.equals(target, ignore_axis_order=True):
        return points, ()
    moved = transform(points.geometry.to_numpy(), source, target, strict=False)
    note = f"cases were transformed from {source.name} to {target.name}, the grids' system"
    return points.set_geometry(gpd.GeoSeries(moved, index=points.index, crs=grids.crs)), (note,)


def _check_size(rows: int, most: int | None) -> None:
    if most is not None and rows > most:
        raise BadParameter(
            f"more than {most} rows (cases x grid types); ask for less with bbox, datetime or "
            "grid_types"
        )


def _check_totals(
    assigned: pd.DataFrame, points: gpd.GeoDataFrame, systems: tuple[str, ...]
) -> None:
    expected = len(points) * len(systems)
    repeated = int(assigned.duplicated(["point", "system"]).sum())
    if len(assigned) != expected or repeated:
        raise LostCases(
            f"{len(points)} cases in {len(systems)} systems gave {len(assigned)} rows, {repeated} "
            f"of them repeated, instead of {expected}; nothing of this result can be used"
        )


_GRID = ["grid_type", "grid_code", "grid"]
_REST = ["status", "distance_m", "candidates", "reason"]


def _named(table: pd.DataFrame, kept: KeptGrids) -> pd.DataFrame:
    """Call things by the layer's names, and add the feature's id to the code of a grid."""
    table = table.rename(columns={"system": "grid_type", "grid": "grid_code"})
    found = np.full(len(table), None, dtype=object)
    for name in table["grid_type"].unique():
        mine = (table["grid_type"] == name).to_numpy()
        own = table["grid_code"][mine].map(kept.ids[name])
        found[mine] = own.astype(object).where(own.notna(), None)
    return table.assign(grid=pd.Series(found, index=table.index, dtype=object))


def _long(assigned: pd.DataFrame, points: gpd.GeoDataFrame, kept: KeptGrids) -> pd.DataFrame:
    table = _named(assigned, kept).rename(columns={"point": "case"})
    times = len(table) // max(len(points), 1)
    reported = points["reported_at"].repeat(times).reset_index(drop=True)
    return table.assign(reported_at=reported)[["case", "reported_at", *_GRID, *_REST]]
