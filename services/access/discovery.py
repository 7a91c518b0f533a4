"""What a provider says of itself: its discovery document, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.access.fetching import Fetcher
from services.errors import FetchFailed


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses that are used of a provider's discovery document."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None


async def discover(issuer: str, fetcher: Fetcher) -> Endpoints:
    """Fetch a provider's discovery document (OpenID Connect Discovery, section 4).

    Parameters
    ----------
    issuer : str
        As the document must have it, to the letter.
    fetcher : Fetcher
        Whose list of hosts must hold every address of the document that is used: those too that
        only a browser is sent to.

    Raises
    ------
    FetchRefused
        Where an address of it is off the list.
    FetchFailed
        Where it can't be had, is another issuer's, or lacks an address.
    """
    address = issuer.rstrip("/") + "/.well-known/openid-configuration"
    document = await fetcher.get_json(address)
    if document.get("issuer") != issuer:
        raise FetchFailed(
            f"{address} is another issuer's: write SHIKONG_OIDC_ISSUER to the letter as the "
            "document at that address has it"
        )
    return Endpoints(
        _needed(document, "authorization_endpoint", fetcher),
        _needed(document, "token_endpoint", fetcher),
        _needed(document, "jwks_uri", fetcher),
        _offered(document, "userinfo_endpoint", fetcher),
        _offered(document, "end_session_endpoint", fetcher),
    )


def _needed(document: Mapping[str, Any], name: str, fetcher: Fetcher) -> str:
    address = _offered(document, name, fetcher)
    if address is None:
        raise FetchFailed(f"the provider's discovery document has no {name}")
    return address


def _offered(document: Mapping[str, Any], name: str, fetcher: Fetcher) -> str | None:
    address = document.get(name)
    if not isinstance(address, str):
        return None
    fetcher.check(address)
    return address
