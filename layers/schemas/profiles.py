"""Profiles: the schemas that come with the platform, a set of layers each."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from layers.errors import BadSchema
from layers.model import Schema
from layers.schemas.documents import read_schema

_NAMED = re.compile(r"(?P<profile>[A-Za-z][\w-]*):(?P<layer>[A-Za-z]\w*)")


def profile_schemas(profile: str) -> dict[str, Schema]:
    """Return a profile's schemas by layer.

    Parameters
    ----------
    profile : str
        ``cn``: parcels, grids, pipes and cases of a Chinese city.

    Raises
    ------
    BadSchema
        Where there is none of that name; the text says which there are.

    Examples
    --------
    >>> sorted(profile_schemas("cn"))
    ['grids', 'incidents', 'parcels', 'pipe_nodes', 'pipe_segments']
    """
    folder = _profiles().get(profile)
    if folder is None:
        raise BadSchema(f"there is no profile {profile!r}; there is {', '.join(_profiles())}")
    return {path.stem: read_schema(path) for path in sorted(folder.glob("*.toml"))}


def find_schema(name: str) -> Schema:
    """Return the schema of a file, or of a profile's layer.

    Parameters
    ----------
    name : str
        A file's path, or ``cn:parcels``. A file of that name is preferred.

    Raises
    ------
    BadSchema
        Where there is none.

    Examples
    --------
    >>> [f.id for f in find_schema("cn:parcels").keys]
    ['parcel_code']
    """
    match = _NAMED.fullmatch(name)
    if match is None or Path(name).exists():
        return read_schema(Path(name))
    schemas = profile_schemas(match["profile"])
    if match["layer"] not in schemas:
        raise BadSchema(
            f"profile {match['profile']} has no layer {match['layer']!r}; "
            f"it has {', '.join(schemas)}"
        )
    return schemas[match["layer"]]


def _profiles() -> dict[str, Path]:
    """The folders of the profiles: packages are installed as files, so resources have paths."""
    folders = sorted(Path(str(files("layers"))).joinpath("schemas").iterdir())
    return {folder.name: folder for folder in folders if any(folder.glob("*.toml"))}
