"""Settings: the sole reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation runs.

    Attributes
    ----------
    data : Path
        The data folder: the embedded cluster lives in it. ``SHIKONG_DATA``, ``.shikong`` in the
        current folder where that is not set.
    database_url : str or None
        libpq address of a PostGIS to use instead of the embedded one. ``DATABASE_URL``.
    base_url : str or None
        How clients reach the server, where a proxy stands before it. ``SHIKONG_BASE_URL``.
    """

    data: Path
    database_url: str | None = None
    base_url: str | None = None


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Examples
    --------
    >>> read_settings({"SHIKONG_DATA": "/srv/shikong"}).data
    PosixPath('/srv/shikong')
    """
    data = Path(environment.get("SHIKONG_DATA") or ".shikong")
    base = (environment.get("SHIKONG_BASE_URL") or "").rstrip("/")
    return Settings(data.absolute(), environment.get("DATABASE_URL") or None, base or None)
