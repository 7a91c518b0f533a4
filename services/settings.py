"""Settings: the sole reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.errors import BadSetting

RATE = "3000/minute"
FAILURES = "20/minute"
AT_ONCE = 16
EACH = 8
_MOST_PLACES = 10_000


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
    rate : str
        Requests of one caller: a number, a slash and a time. ``SHIKONG_RATE``.
    failures : str
        Wrong credentials from one address, likewise. ``SHIKONG_FAILURES``.
    at_once : int
        Requests at work at once; others wait. ``SHIKONG_AT_ONCE``.
    each : int
        Of them, requests of one caller. ``SHIKONG_EACH``.
    """

    data: Path
    database_url: str | None = None
    base_url: str | None = None
    rate: str = RATE
    failures: str = FAILURES
    at_once: int = AT_ONCE
    each: int = EACH


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises
    ------
    BadSetting
        Naming the variable, its value and what it may be.

    Examples
    --------
    >>> read_settings({"SHIKONG_DATA": "/srv/shikong"}).data
    PosixPath('/srv/shikong')
    >>> read_settings({"SHIKONG_AT_ONCE": "many"})
    Traceback (most recent call last):
    services.errors.BadSetting: SHIKONG_AT_ONCE='many': a whole number from 1 to 10000
    """
    data = Path(environment.get("SHIKONG_DATA") or ".shikong")
    base = (environment.get("SHIKONG_BASE_URL") or "").rstrip("/")
    return Settings(
        data.absolute(),
        environment.get("DATABASE_URL") or None,
        base or None,
        rate=_rate(environment, "SHIKONG_RATE", RATE),
        failures=_rate(environment, "SHIKONG_FAILURES", FAILURES),
        at_once=_places(environment, "SHIKONG_AT_ONCE", AT_ONCE),
        each=_places(environment, "SHIKONG_EACH", EACH),
    )


def _rate(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name)
    if not text:
        return default
    # Only where it is stated: the library is slow to import, and most commands serve nothing.
    from limits import parse_many

    try:
        (rate,) = parse_many(text)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1:
        raise BadSetting(f"{name}={text!r}: a rate such as 3000/minute or 100/second")
    return text


def _places(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9) or not (
        1 <= int(text) <= _MOST_PLACES
    ):
        raise BadSetting(f"{name}={text!r}: a whole number from 1 to {_MOST_PLACES}")
    return int(text)
