"""Which file of an archive or folder is meant: the only one, or the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from layers.errors import BadSource
from layers.sourcing.archives import BOUNDS, look_into, only_visible, packing_of
from layers.sourcing.asked import Asked
from layers.sourcing.drivers import READ_BY_GDAL
from layers.sourcing.places import Packing, Place

TEXTS = frozenset((".csv", ".tsv", ".txt"))
TABLES = TEXTS | {".xlsx", ".inp", ".parquet", ".geoparquet"}
_NAMED = 50


def find_place(path: Path, asked: Asked) -> tuple[Place, Asked]:
    """Return where the bytes of a source are, and what is left to ask of them.

    Raises
    ------
    BadSource
        Where an archive may not be read, or holds several files and none of them is named.
    """
    if path.is_dir() and path.suffix.lower() != ".gdb":
        inner, layer = choose(path.name, _candidates(_names_in(path)), asked.layer)
        return Place(path / inner), replace(asked, layer=layer)
    packing = packing_of(path) if path.is_file() else None
    if packing is None:
        return Place(path), asked
    archive = look_into(path, packing)
    if packing is Packing.GZIP:
        return archive, asked
    if path.suffix.lower() == ".kmz":
        # Its parts make one map: looked at as an archive, and read as a file.
        return Place(path, members=archive.members), asked
    inner, layer = choose(
        path.name, _candidates(sorted(only_visible(sorted(archive.members)))), asked.layer
    )
    return replace(archive, inner=inner), replace(asked, layer=layer)


def _names_in(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(folder).as_posix() for path in islice(found, BOUNDS.entries + 1)]
    if len(names) > BOUNDS.entries:
        raise BadSource(f"{folder.name} holds more than {BOUNDS.entries:,} files; name one of them")
    return sorted(only_visible(names))


def choose(name: str, found: Sequence[str], asked: str | None) -> tuple[str, str | None]:
    """Return the one that was asked for, and which layer of it, if that was said too.

    Examples
    --------
    >>> choose("a.zip", ["x/roads.shp", "x/all.gpkg"], "roads")
    ('x/roads.shp', None)
    >>> choose("a.zip", ["x/roads.shp", "x/all.gpkg"], "all.gpkg/rivers")
    ('x/all.gpkg', 'rivers')
    >>> choose("a.zip", ["all.gpkg"], "rivers")
    ('all.gpkg', 'rivers')
    """
    if not found:
        raise BadSource(f"{name} holds no geodata: no Shapefile, GeoPackage, GeoJSON or the like")
    for wanted, layer in _readings(asked):
        for meant in (str, _own_name, _stem):
            hits = [m for m in found if wanted in (meant(m), meant(legible(m)))]
            if len(hits) == 1:
                return hits[0], layer
    if len(found) == 1:
        return found[0], asked
    some = ", ".join(map(legible, found[:_NAMED])) + (" ..." if len(found) > _NAMED else "")
    if asked is None:
        raise BadSource(f"{name} holds several files; say which by --source-layer: {some}")
    raise BadSource(f"{name} has no {asked!r} of its own; --source-layer is one of: {some}")


def legible(member: str) -> str:
    """Return a name as it was written where a zip does not say how: in GBK, if it can be that.

    >>> legible("数据".encode("gbk").decode("cp437")), legible("数据"), legible("roads")
    ('数据', '数据', 'roads')
    """
    try:
        return member.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member


def _own_name(member: str) -> str:
    return PurePosixPath(member).name


def _stem(member: str) -> str:
    return PurePosixPath(member).stem


def _readings(asked: str | None) -> list[tuple[str, str | None]]:
    """What was asked for as a file, or as a file with a layer behind each of its slashes."""
    if asked is None:
        return []
    parts = asked.split("/")
    cuts = [("/".join(parts[:n]), "/".join(parts[n:])) for n in range(len(parts) - 1, 0, -1)]
    return [(asked, None), *cuts]


def _candidates(names: Sequence[str]) -> list[str]:
    """The members of an archive that a source can be read from."""
    parents = {parent for name in names for parent in PurePosixPath(name).parents}
    folders = [str(parent) for parent in parents if parent.suffix.lower() == ".gdb"]
    plain = [n for n in names if not any(n.startswith(f"{f}/") for f in folders)]
    found = [n for n in plain if PurePosixPath(n).suffix.lower() in READ_BY_GDAL | TABLES]
    taken = {_without_ending(n) for n in found if n.lower().endswith((".shp", ".tab"))}
    # The table of a Shapefile is none of its own, and a remark no table.
    found = [n for n in found if not (n.lower().endswith(".dbf") and _without_ending(n) in taken)]
    found = sorted([*folders, *found])
    return [n for n in found if not n.lower().endswith(".txt")] or found


def _without_ending(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")).lower()
