"""Where the server may be heard: not beyond this machine while a key is valid that all know."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from services.errors import OpenDoor


def refuse_open_door(host: str, demo_keys: Sequence[str]) -> None:
    """Refuse to listen beyond this machine with a key of the demo.

    Parameters
    ----------
    host : str
        What the server is to listen on: an address, a name, or ``""`` for all there are.
    demo_keys : sequence of str
        The ids of the demo's keys that are valid now.

    Raises
    ------
    OpenDoor
        Naming the keys and how to revoke them.

    Examples
    --------
    >>> refuse_open_door("127.0.0.1", ["demo"])
    >>> refuse_open_door("0.0.0.0", [])
    >>> refuse_open_door("0.0.0.0", ["1f2e"])
    Traceback (most recent call last):
    services.errors.OpenDoor: ... shikong keys revoke 1f2e; or listen on 127.0.0.1
    """
    if not demo_keys or is_loopback(host):
        return
    keys, are, them = ("key", "is", "it") if len(demo_keys) == 1 else ("keys", "are", "them")
    revoke = " && ".join(f"shikong keys revoke {key}" for key in demo_keys)
    raise OpenDoor(
        f"--host {host or repr(host)} is heard beyond this machine, and the demo's {keys} "
        f"{', '.join(demo_keys)} {are} known to everybody; first revoke {them}: {revoke}; "
        "or listen on 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host: each address that it stands for.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "", "0.0.0.0", "::")]
    [True, True, False, False, False]
    """
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        # A name of nothing known, and a name too long to be one.
        return False
    return all(_is_loopback(str(where[0])) for *_, where in found)


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
