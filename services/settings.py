"""Settings: the sole reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.errors import BadSettings

ISSUER = re.compile(r"https?://(?P<host>[^/?#]+)(?:/[^?#\s]*)?")
HOST = re.compile(r"(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Oidc:
    """The provider that people sign in with (OpenID Connect).

    Attributes
    ----------
    issuer : str
        As the provider's own documents write it, to the letter. ``SHIKONG_OIDC_ISSUER``.
    client_id : str
        What the provider calls this installation. ``SHIKONG_OIDC_CLIENT_ID``.
    client_secret : str or None
        None for a public client. Read from the file ``SHIKONG_OIDC_CLIENT_SECRET_FILE``.
    audience : str or None
        What access tokens of the provider must be for; None, and none are taken.
        ``SHIKONG_OIDC_AUDIENCE``.
    department_claim : str
        Where the provider says a person's department. ``SHIKONG_OIDC_DEPARTMENT_CLAIM``.
    name_zh, name_en : str
        On the button. ``SHIKONG_OIDC_NAME_ZH``, ``SHIKONG_OIDC_NAME_EN``.
    scopes : tuple of str
        What is asked for.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    audience: str | None = None
    department_claim: str = "department"
    name_zh: str = "统一身份认证"
    name_en: str = "single sign-on"
    scopes: tuple[str, ...] = ("openid", "profile", "email")


RATE = "3000/minute"
FAILURES = "20/minute"
AT_ONCE = 16
EACH = 8
EXPORTS = 4
EXPORT_S = 600.0
TILE_MEMORY_MB = 128
TILE_DISK_MB = 2048
_MOST_PLACES = 10_000


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
    oidc : Oidc or None
        The provider that people sign in with. None where ``SHIKONG_OIDC_ISSUER`` is not set.
    fetch_hosts : frozenset of str
        The hosts that the server may ask for anything: the issuer's own, and those of
        ``SHIKONG_FETCH_HOSTS`` (``host`` or ``host:port``, with commas or blanks between).
    source_hosts : frozenset of str
        The servers that features may be published from, by their addresses; nobody's where that
        is not set. ``SHIKONG_SOURCES``, likewise.
    rate : str
        Requests of one caller: a number, a slash and a time. ``SHIKONG_RATE``.
    failures : str
        Wrong credentials from one address, likewise. ``SHIKONG_FAILURES``.
    at_once : int
        Requests at work at once; others wait. ``SHIKONG_AT_ONCE``.
    each : int
        Of them, requests of one caller. ``SHIKONG_EACH``.
    exports : int
        Exports at work at once, of one caller at most half of them. ``SHIKONG_EXPORTS``.
    export_s : float
        Seconds that one may take, as long as which the database keeps what it reads from.
        ``SHIKONG_EXPORT_SECONDS``.
    cors_origins : tuple of str
        The sites whose pages may read the answers: ``https://map.city.example``, or ``*`` for all
        there are. ``SHIKONG_CORS_ORIGINS``, with commas or spaces between; ``*`` where that is not
        set, no other site where it is empty. Browsers never send cookies along.
    tile_memory_bytes : int
        That tiles may take in the memory of each server process. ``SHIKONG_TILE_MEMORY_MB``.
    tile_disk_bytes : int
        That they may take on disk, in the data folder. ``SHIKONG_TILE_DISK_MB``.
    """

    data: Path
    database_url: str | None = None
    base_url: str | None = None
    oidc: Oidc | None = None
    fetch_hosts: frozenset[str] = frozenset()
    source_hosts: frozenset[str] = frozenset()
    rate: str = RATE
    failures: str = FAILURES
    at_once: int = AT_ONCE
    each: int = EACH
    exports: int = EXPORTS
    export_s: float = EXPORT_S
    cors_origins: tuple[str, ...] = ("*",)
    tile_memory_bytes: int = TILE_MEMORY_MB << 20
    tile_disk_bytes: int = TILE_DISK_MB << 20


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises
    ------
    BadSettings
        Where one says something impossible, or one is missing that another needs.

    Examples
    --------
    >>> read_settings({"SHIKONG_DATA": "/srv/shikong"}).data
    PosixPath('/srv/shikong')
    >>> login = {"SHIKONG_OIDC_ISSUER": "https://login.city.example/realms/city"}
    >>> read_settings(login | {"SHIKONG_OIDC_CLIENT_ID": "shikong"}).fetch_hosts
    frozenset({'login.city.example'})
    >>> read_settings({"SHIKONG_AT_ONCE": "many"})
    Traceback (most recent call last):
    services.errors.BadSettings: SHIKONG_AT_ONCE='many': a whole number from 1 to 10000
    """
    data = Path(environment.get("SHIKONG_DATA") or ".shikong")
    base = (environment.get("SHIKONG_BASE_URL") or "").rstrip("/")
    oidc = _read_oidc(environment)
    return Settings(
        data.absolute(),
        environment.get("DATABASE_URL") or None,
        base or None,
        oidc,
        _read_fetch_hosts(environment, oidc),
        _read_hosts(environment, "SHIKONG_SOURCES"),
        rate=_rate(environment, "SHIKONG_RATE", RATE),
        failures=_rate(environment, "SHIKONG_FAILURES", FAILURES),
        at_once=_places(environment, "SHIKONG_AT_ONCE", AT_ONCE),
        each=_places(environment, "SHIKONG_EACH", EACH),
        exports=_places(environment, "SHIKONG_EXPORTS", EXPORTS),
        export_s=float(_places(environment, "SHIKONG_EXPORT_SECONDS", int(EXPORT_S))),
        cors_origins=_read_origins(environment.get("SHIKONG_CORS_ORIGINS", "*")),
        tile_memory_bytes=_megabytes(environment, "SHIKONG_TILE_MEMORY_MB", TILE_MEMORY_MB),
        tile_disk_bytes=_megabytes(environment, "SHIKONG_TILE_DISK_MB", TILE_DISK_MB),
    )


def _read_oidc(environment: Mapping[str, str]) -> Oidc | None:
    issuer = environment.get("SHIKONG_OIDC_ISSUER", "").strip()
    if not issuer:
        _refuse_orphans(environment)
        return None
    found = ISSUER.fullmatch(issuer)
    if found is None or not HOST.fullmatch(found["host"].lower()):
        raise BadSettings(
            f"SHIKONG_OIDC_ISSUER is {issuer!r}; write the issuer as the provider's "
            "/.well-known/openid-configuration has it: https://..."
        )
    client_id = environment.get("SHIKONG_OIDC_CLIENT_ID", "").strip()
    if not client_id:
        raise BadSettings("SHIKONG_OIDC_ISSUER is set, so SHIKONG_OIDC_CLIENT_ID must be too")
    return Oidc(
        issuer,
        client_id,
        _read_secret(environment.get("SHIKONG_OIDC_CLIENT_SECRET_FILE")),
        environment.get("SHIKONG_OIDC_AUDIENCE") or None,
        environment.get("SHIKONG_OIDC_DEPARTMENT_CLAIM") or Oidc.department_claim,
        environment.get("SHIKONG_OIDC_NAME_ZH") or Oidc.name_zh,
        environment.get("SHIKONG_OIDC_NAME_EN") or Oidc.name_en,
    )


def _refuse_orphans(environment: Mapping[str, str]) -> None:
    """A sign-in that somebody set up and that silently is not there helps nobody."""
    for name, value in environment.items():
        if name.startswith("SHIKONG_OIDC_") and value:
            raise BadSettings(f"{name} is set, so SHIKONG_OIDC_ISSUER must be too")


def _read_secret(path: str | None) -> str | None:
    if not path:
        return None
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"SHIKONG_OIDC_CLIENT_SECRET_FILE is {path!r}, which can't be read: "
            "name a text file that this user may read"
        ) from error
    if not secret:
        raise BadSettings(f"SHIKONG_OIDC_CLIENT_SECRET_FILE is {path!r}, and the file is empty")
    return secret


def _read_fetch_hosts(environment: Mapping[str, str], oidc: Oidc | None) -> frozenset[str]:
    own = set() if oidc is None else {urlsplit(oidc.issuer).netloc.lower()}
    return _read_hosts(environment, "SHIKONG_FETCH_HOSTS") | own


def _read_hosts(environment: Mapping[str, str], name: str) -> frozenset[str]:
    hosts = frozenset(environment.get(name, "").lower().replace(",", " ").split())
    for host in hosts:
        if not HOST.fullmatch(host):
            raise BadSettings(
                f"{name} has {host!r}; write hosts alone: keys.city.example,10.1.2.3:8443"
            )
    return hosts


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
        raise BadSettings(f"{name}={text!r}: a rate such as 3000/minute or 100/second")
    return text


def _places(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9) or not (
        1 <= int(text) <= _MOST_PLACES
    ):
        raise BadSettings(f"{name}={text!r}: a whole number from 1 to {_MOST_PLACES}")
    return int(text)


def _megabytes(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise BadSettings(f"{name}={text!r}: a whole number of megabytes; 0, and nothing is kept")
    return int(text) << 20


def _read_origins(text: str) -> tuple[str, ...]:
    origins = tuple(word.rstrip("/").lower() for word in text.replace(",", " ").split())
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise BadSettings(
                f"SHIKONG_CORS_ORIGINS: {origin!r} is no site; write https://map.city.example, "
                "several with commas between, or * for all"
            )
    return origins
