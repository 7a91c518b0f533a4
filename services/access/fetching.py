"""The only place from which the server fetches an address, and only from hosts that are allowed."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus

import httpx2
import orjson

from services.errors import FetchFailed, FetchRefused

PORTS = {"https": 443, "http": 80}
# Nothing is squeezed: a small answer that unpacks into a large one is a way around the bound.
HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What another server said.

    Attributes
    ----------
    status : int
        Of HTTP: 200 to 299, or 400 and above.
    document : dict
        The JSON object in the body.
    """

    status: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Asks other servers for JSON, within bounds.

    No redirect is followed, no proxy of the environment is used, and certificates are checked
    against those that the machine trusts.

    Parameters
    ----------
    hosts : frozenset of str
        The hosts that may be asked: ``host`` at the scheme's own port, or ``host:port``.
    timeout_s : float
        How long one exchange may take, from the name's look-up to the last byte.
    largest_bytes : int
        How long an answer may be.
    setting : str
        Where the list of hosts stands, for who wants another on it.
    accept : str
        The media types that are asked for.
    """

    hosts: frozenset[str]
    timeout_s: float = 10.0
    largest_bytes: int = 1_000_000
    setting: str = "SHIKONG_FETCH_HOSTS"
    accept: str = "application/json"

    def check(self, url: str) -> None:
        """Let an address pass, or say why not; nothing is asked of anybody.

        Raises
        ------
        FetchRefused
            Where the host is not on the list, or the scheme is not https.

        Examples
        --------
        >>> Fetcher(frozenset({"login.city.example"})).check("https://login.city.example/keys")
        >>> Fetcher(frozenset()).check("https://elsewhere.example/")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        services.errors.FetchRefused: 'elsewhere.example' is ... add it to SHIKONG_FETCH_HOSTS
        """
        self._allowed(url)

    async def get_json(self, url: str, bearer: str | None = None) -> dict[str, Any]:
        """Return the JSON object at an address.

        Parameters
        ----------
        url : str
            https, or http on this machine.
        bearer : str, optional
            A token to show there.

        Raises
        ------
        FetchRefused
            Where the address is off the list, or answers with a redirect.
        FetchFailed
            Where it answers with an error, with something else, too much, too late or not at all.
        """
        shown = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        answer = await self._ask("GET", url, headers=self._headers | shown)
        if answer.status != 200:
            raise FetchFailed(f"{_place(url)} answers with status {answer.status}")
        return answer.document

    async def post_form(
        self, url: str, form: dict[str, str], basic: tuple[str, str] | None = None
    ) -> Answer:
        """Send a form; return the answer, which may be an error that has a document.

        Parameters
        ----------
        url : str
            https, or http on this machine.
        form : dict
            Field to value.
        basic : (str, str), optional
            Name and secret of the client, shown as RFC 6749 section 2.3.1 wants it: each encoded
            as in a form first, so that a colon in one of them does no harm.

        Raises
        ------
        FetchRefused, FetchFailed
            As by `get_json`.
        """
        auth = None if basic is None else httpx2.BasicAuth(*map(quote_plus, basic))
        return await self._ask("POST", url, headers=self._headers, data=form, auth=auth)

    @property
    def _headers(self) -> dict[str, str]:
        return HEADERS | {"Accept": self.accept}

    async def _ask(self, method: str, url: str, **options: Any) -> Answer:
        address = self._allowed(url)
        try:
            # The client's own bounds are of each step; a server may take many small ones.
            async with asyncio.timeout(self.timeout_s):
                status, body = await self._exchange(method, address, options)
        except TimeoutError as error:
            text = f"{_place(url)} does not answer within {self.timeout_s:g} s"
            raise FetchFailed(text) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise FetchFailed(f"{_place(url)} can't be reached, or speaks no HTTP") from error
        return Answer(status, _parse(url, status, body))

    async def _exchange(
        self, method: str, address: httpx2.URL, options: dict[str, Any]
    ) -> tuple[int, bytes]:
        # A client for each exchange: logins are rare, and nothing outlives an event loop.
        async with (
            httpx2.AsyncClient(
                verify=_trust(), trust_env=False, follow_redirects=False, timeout=self.timeout_s
            ) as client,
            client.stream(method, address, **options) as response,
        ):
            if response.is_redirect or response.has_redirect_location:
                raise FetchRefused(
                    f"{_place(str(address))} answers with a redirect, and none is followed: "
                    "write the address that it leads to"
                )
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed(f"{_place(str(address))} squeezes an answer that may not be")
            return response.status_code, await self._read(response)

    async def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self.largest_bytes:
                place = _place(str(response.url))
                raise FetchFailed(f"{place} answers with more than {self.largest_bytes:,} bytes")
        return bytes(body)

    def _allowed(self, url: str) -> httpx2.URL:
        """Parse an address once: what is checked is what will be asked."""
        try:
            address = httpx2.URL(url)
        except (httpx2.InvalidURL, TypeError, ValueError) as error:
            raise FetchRefused("what should be fetched is no address") from error
        host = address.raw_host.decode("ascii", "replace").lower()
        if address.userinfo:
            raise FetchRefused(f"an address at {host!r} carries a name or a password")
        if address.scheme not in PORTS or (address.scheme == "http" and not _is_loopback(host)):
            raise FetchRefused(f"{host!r} would not be asked by https: write https://")
        if not host or not self._lists(host, address.port, PORTS[address.scheme]):
            place = address.netloc.decode("ascii", "replace")
            raise FetchRefused(
                f"{place!r} is not a host that may be asked: add it to {self.setting}"
            )
        return address

    def _lists(self, host: str, port: int | None, own_port: int) -> bool:
        bracketed = f"[{host}]" if ":" in host else host
        names = {f"{bracketed}:{port or own_port}"}
        if port is None or port == own_port:
            names.add(bracketed)
        return any(entry.lower() in names for entry in self.hosts)


@cache
def _trust() -> ssl.SSLContext:
    """The machine's own certificates: a city's sign-in often has one of the city's own."""
    return ssl.create_default_context()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _place(url: str) -> str:
    """The host alone: paths and queries may hold what is nobody's business."""
    return httpx2.URL(url).netloc.decode("ascii", "replace")


def _parse(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = f"{_place(url)} answers with status {status} and no JSON"
        raise FetchFailed(text) from error
    if not isinstance(document, dict):
        raise FetchFailed(f"{_place(url)} answers with JSON that is no object")
    return document
