"""Settings: the sole reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.errors import BadSetting

_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


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
    cors_origins : tuple of str
        The sites whose pages may read the answers: ``https://map.city.example``, or ``*`` for all
        there are. ``SHIKONG_CORS_ORIGINS``, with commas or spaces between; ``*`` where that is not
        set, no other site where it is empty. Browsers never send cookies along.
    """

    data: Path
    database_url: str | None = None
    base_url: str | None = None
    cors_origins: tuple[str, ...] = ("*",)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises
    ------
    BadSetting
        Where one says nothing that can be done.

    Examples
    --------
    >>> read_settings({"SHIKONG_DATA": "/srv/shikong"}).data
    PosixPath('/srv/shikong')
    """
    data = Path(environment.get("SHIKONG_DATA") or ".shikong")
    base = (environment.get("SHIKONG_BASE_URL") or "").rstrip("/")
    origins = _read_origins(environment.get("SHIKONG_CORS_ORIGINS", "*"))
    url = environment.get("DATABASE_URL") or None
    return Settings(data.absolute(), url, base or None, origins)


def _read_origins(text: str) -> tuple[str, ...]:
    origins = tuple(word.rstrip("/").lower() for word in text.replace(",", " ").split())
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise BadSetting(
                f"SHIKONG_CORS_ORIGINS: {origin!r} is no site; write https://map.city.example, "
                "several with commas between, or * for all"
            )
    return origins
