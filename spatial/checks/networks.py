"""Pipes and their nodes as a network: ends that meet nothing, doubles, tees, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import NOWHERE, Faults, take_faults
from spatial.checks.measures import distances_m, in_metres
from spatial.errors import BadValues

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

CHUNK: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Network:
    """Segments, nodes, and which node each segment's ends name; made by `take_network`.

    Attributes
    ----------
    lines : ndarray of Geometry, shape (n,)
        The segments.
    points : ndarray of Geometry, shape (n, 2)
        Their first and last places; None where a line is missing or empty.
    names : ndarray of int64, shape (n, 2)
        What number each end states, as a number of ours; -1 where it states none. Equal numbers
        are equal, whether there is such a node or not.
    nodes : ndarray of Geometry, shape (m,)
        Points.
    ends : ndarray of int64, shape (n, 2)
        Row of the node that each end names, the first of several of that number; -1 for none.
    crs : CRS or str or int
        Of lines and nodes.
    """

    lines: Geometries
    points: Geometries
    names: Int64s
    nodes: Geometries
    ends: Int64s
    crs: str | int | CRS

    def degrees(self) -> Int64s:
        """Return how many ends of segments name each node; a loop counts twice."""
        counts: Int64s = np.bincount(self.ends[self.ends >= 0], minlength=len(self.nodes))
        return counts


def take_network(
    lines: ArrayLike,
    starts: ArrayLike,
    stops: ArrayLike,
    nodes: ArrayLike,
    numbers: ArrayLike,
    crs: str | int | CRS,
) -> Network:
    """Link segments to nodes by the numbers that they state.

    Parameters
    ----------
    lines : array_like of Geometry, shape (n,)
        LineStrings or MultiLineStrings, whose ends are the first and the last place of all.
    starts, stops : array_like of str, shape (n,)
        The number of the node at the first and at the last place; None where it is not stated.
    nodes : array_like of Geometry, shape (m,)
        Points.
    numbers : array_like of str, shape (m,)
        Theirs. Of several nodes of one number ends are linked to the first.
    crs : str, int or CRS
        Of lines and nodes; heights are metres.

    Raises
    ------
    BadValues
        If arrays that belong together are not of one length.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), [shapely.Point(0, 0)]
    >>> take_network([pipe], ["A"], ["B"], nodes, ["A"], "EPSG:4549").ends.tolist()
    [[0, -1]]
    """
    strings, points = np.asarray(lines, dtype=object), np.asarray(nodes, dtype=object)
    stated = [np.asarray(names, dtype=object) for names in (starts, stops, numbers)]
    if not len(strings) == len(stated[0]) == len(stated[1]) or len(points) != len(stated[2]):
        raise BadValues(
            f"{len(strings)} segments with {len(stated[0])} and {len(stated[1])} ends, "
            f"{len(points)} nodes with {len(stated[2])} numbers; give one for each"
        )
    codes, _ = pd.factorize(np.concatenate(stated))
    codes = codes.astype(np.int64)
    names = np.column_stack([codes[: len(strings)], codes[len(strings) : 2 * len(strings)]])
    rows = np.full(int(codes.max(initial=-1)) + 2, NOWHERE)  # the last one is for no number
    known = codes[2 * len(strings) :]
    rows[known[::-1]] = np.arange(len(points))[::-1]
    rows[-1] = NOWHERE
    return Network(strings, line_ends(strings), names, points, rows[names], crs)


def line_ends(lines: Geometries) -> Geometries:
    """Return the first and the last place of each line, shape (n, 2)."""
    first = shapely.get_point(shapely.get_geometry(lines, 0), 0)
    last = shapely.get_point(shapely.get_geometry(lines, -1), -1)
    ends: Geometries = np.stack([first, last], axis=1)
    return ends


def missing_nodes(network: Network) -> Faults:
    """Find ends of segments that name no node, or one that is not there.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Faults
        ``missing-node``: row of the segment, once for each such end, at the end's place; measured
        is 0 for its start and 1 for its end.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), [shapely.Point(0, 0)]
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A"], "EPSG:4549")
    >>> found = missing_nodes(net)
    >>> found.rows.tolist(), found.places[0].wkt
    ([0], 'POINT (9 0)')
    """
    row, end = np.nonzero(network.ends < 0)
    return Faults("missing-node", row, network.points[row, end], end.astype(np.float64))


def orphan_nodes(network: Network) -> Faults:
    """Find nodes that no segment names.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Faults
        ``orphan-node``: row of the node; measured is how many ends name it, 0. Of several nodes
        of one number all but the first are orphans.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0), (5, 5)])
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A", "B", "C"], "EPSG:4549")
    >>> orphan_nodes(net).rows.tolist()
    [2]
    """
    degrees = network.degrees()
    return take_faults("orphan-node", degrees == 0, degrees, network.nodes, (1, np.inf))


def ends_apart(network: Network, *, tolerance_m: float) -> Faults:
    """Find ends of segments that lie apart from the node that they name.

    Parameters
    ----------
    network : Network
    tolerance_m : float
        How far in plan they may lie from it, in metres.

    Returns
    -------
    Faults
        ``end-apart``: pairs of the segment's row and the node's, at the segment's end; measured
        in metres, on the ellipsoid for geographic systems.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0.5)]), shapely.points([(0, 0), (9, 0)])
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A", "B"], "EPSG:4549")
    >>> found = ends_apart(net, tolerance_m=0.05)
    >>> found.rows.tolist(), found.measured.tolist()
    ([[0, 1]], [0.5])
    """
    row, end = np.nonzero(network.ends >= 0)
    node, places = network.ends[row, end], network.points[row, end]
    away = distances_m(_xy(places), _xy(network.nodes[node]), network.crs)
    bad = away > tolerance_m
    pairs = np.column_stack([row, node])[bad]
    return Faults("end-apart", pairs, places[bad], away[bad], (0, tolerance_m), "m")


def stray_ends(
    lines: ArrayLike,
    crs: str | int | CRS,
    *,
    tolerance_m: float,
    nodes: ArrayLike | None = None,
) -> Faults:
    """Find ends of lines that meet nothing, by their places alone.

    Parameters
    ----------
    lines : array_like of Geometry, shape (n,)
        LineStrings or MultiLineStrings; missing and empty ones have no ends.
    crs : str, int or CRS
        Of lines and nodes.
    tolerance_m : float
        How far in plan an end may lie from what it meets, in metres.
    nodes : array_like of Geometry, shape (m,), optional
        Points that ends must meet. Without them each must meet an end of another line, or the
        other end of its own, so that every head and every dead end of a network is found.

    Returns
    -------
    Faults
        ``stray-end``: row of the line, once for each such end, at its place; measured is the
        distance to the nearest that it could have met, in metres, in a plane for geographic
        systems (`spatial.crs.local_metric_crs`); infinite where there is none.

    Examples
    --------
    >>> pipes = [shapely.LineString([(0, 0), (9, 0)]), shapely.LineString([(9.3, 0), (20, 0)])]
    >>> found = stray_ends(pipes, "EPSG:4549", tolerance_m=0.1, nodes=[shapely.Point(0, 0)])
    >>> shapely.get_x(found.places).tolist(), found.measured.tolist()
    ([9.0, 9.3, 20.0], [9.0, 9.3, 20.0])
    >>> stray_ends(pipes, "EPSG:4549", tolerance_m=0.5).rows.tolist()
    [0, 1]
    """
    places = line_ends(np.asarray(lines, dtype=object)).ravel()
    rows = np.repeat(np.arange(len(places) // 2), 2)
    there = ~shapely.is_missing(places)
    places, rows = places[there], rows[there]
    others = places if nodes is None else np.asarray(nodes, dtype=object)
    moved = in_metres(np.concatenate([places, others]), crs)
    away = _nearest(moved[: len(places)], moved[len(places) :], itself=nodes is None)
    found = take_faults("stray-end", away > tolerance_m, away, places, (0, tolerance_m), "m")
    return replace(found, rows=rows[found.rows])


def loops(network: Network) -> Faults:
    """Find segments both of whose ends name the same node.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Faults
        ``loop``: row of the segment, at its whole line.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), [shapely.Point(0, 0)]
    >>> loops(take_network([pipe], ["A"], ["A"], nodes, ["A"], "EPSG:4549")).rows.tolist()
    [0]
    """
    a, b = network.names.T
    nothing = np.full(len(a), np.nan)
    return take_faults("loop", (a == b) & (a != NOWHERE), nothing, network.lines)


def duplicates(network: Network, *, groups: ArrayLike | None = None) -> tuple[Faults, Faults]:
    """Find segments between two nodes that another segment joins already.

    Parameters
    ----------
    network : Network
    groups : array_like, shape (n,), optional
        Only segments of one group are duplicates, such as a class of pipes.

    Returns
    -------
    tuple of Faults
        ``duplicate`` and ``reversed-duplicate``: pairs of the later row and the first row of its
        two nodes, at the later one's line; reversed where it goes the other way. Segments that
        state no number at one end are none.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0)])
    >>> net = take_network([pipe, pipe], ["A", "B"], ["B", "A"], nodes, ["A", "B"], "EPSG:4549")
    >>> [found.rows.tolist() for found in duplicates(net)]
    [[], [[1, 0]]]
    """
    ends = pd.DataFrame({"low": network.names.min(axis=1), "high": network.names.max(axis=1)})
    if groups is not None:
        ends["group"] = pd.factorize(np.asarray(groups, dtype=object))[0]
    rows = np.arange(len(ends))
    pair = ends.groupby(list(ends.columns), sort=False, dropna=False).ngroup().to_numpy()
    _, firsts, of = np.unique(pair, return_index=True, return_inverse=True)
    first = firsts[of]
    again = (first != rows) & (ends["low"].to_numpy() != NOWHERE)
    turned = (network.names[first] != network.names).any(axis=1)
    found = []
    for rule, which in (("duplicate", again & ~turned), ("reversed-duplicate", again & turned)):
        pairs = np.column_stack([rows, first])[which]
        nothing = np.full(len(pairs), np.nan)
        found.append(Faults(rule, pairs, network.lines[which], nothing))
    return found[0], found[1]


def degrees_off(network: Network, features: ArrayLike, *, feature: str, degree: int) -> Faults:
    """Find nodes at which more or fewer segments meet than their feature says, such as a tee.

    Parameters
    ----------
    network : Network
    features : array_like of str, shape (m,)
        What each node is.
    feature : str
        What those nodes are that are looked at.
    degree : int
        How many ends meet at each of them: 3 at a tee.

    Returns
    -------
    Faults
        ``degree``: row of the node; measured is how many ends name it.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0)])
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A", "B"], "EPSG:4549")
    >>> found = degrees_off(net, ["end", "tee"], feature="tee", degree=3)
    >>> found.rows.tolist(), found.measured.tolist()
    ([1], [1.0])
    """
    degrees = network.degrees()
    bad = (np.asarray(features, dtype=object) == feature) & (degrees != degree)
    return take_faults("degree", bad, degrees, network.nodes, (degree, degree))


def differing(network: Network, of_lines: ArrayLike, of_nodes: ArrayLike) -> Faults:
    """Find segments that say something else than the nodes that they end in, such as the class.

    Parameters
    ----------
    network : Network
    of_lines : array_like, shape (n,)
        What each segment says; a missing value differs from nothing.
    of_nodes : array_like, shape (m,)
        What each node says.

    Returns
    -------
    Faults
        ``differing``: pairs of the segment's row and the node's, once for each such end, at the
        end's place.

    Examples
    --------
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0)])
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A", "B"], "EPSG:4549")
    >>> differing(net, ["JS"], ["JS", "RQ"]).rows.tolist()
    [[0, 1]]
    """
    ours, theirs = np.asarray(of_lines, dtype=object), np.asarray(of_nodes, dtype=object)
    codes = pd.factorize(np.concatenate([ours, theirs]))[0]
    row, end = np.nonzero(network.ends >= 0)
    node = network.ends[row, end]
    a, b = codes[row], codes[len(ours) + node]
    bad = (a != b) & (a >= 0) & (b >= 0)
    pairs = np.column_stack([row, node])[bad]
    places = network.points[row, end][bad]
    return Faults("differing", pairs, places, np.full(len(pairs), np.nan))


def _xy(points: Geometries) -> Floats:
    return np.column_stack([shapely.get_x(points), shapely.get_y(points)])


def _nearest(places: Geometries, others: Geometries, *, itself: bool) -> Floats:
    """Return the distance from each place to the nearest other one, itself left out."""
    away = np.full(len(places), np.inf)
    tree = shapely.STRtree(others)
    for start in range(0, len(places), CHUNK):
        some = places[start : start + CHUNK]
        if not itself:
            (i, _), found = tree.query_nearest(some, return_distance=True, all_matches=False)
            away[start + i] = found
            continue
        away[start : start + len(some)] = _nearest_other(tree, some, start)
    return away


def _nearest_other(tree: shapely.STRtree, some: Geometries, start: int) -> Floats:
    # What lies in the very same place is found by all matches; `exclusive` would leave it out.
    found = np.full(len(some), np.inf)
    (i, j), away = tree.query_nearest(some, return_distance=True, all_matches=True)
    other = j != i + start
    np.minimum.at(found, i[other], away[other])
    alone = np.flatnonzero(np.isinf(found))
    (i, _), away = tree.query_nearest(some[alone], return_distance=True, exclusive=True)
    np.minimum.at(found, alone[i], away)
    return found
