"""Sign-in with a provider by OpenID Connect: the code flow, and access tokens shown as Bearer."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet

from layers.clock import Clock, system_clock
from layers.errors import BadCredential
from services.access.discovery import Endpoints, discover
from services.access.fetching import Answer, Fetcher
from services.access.identities import Identity, read_identity
from services.access.kept import Kept
from services.access.tokens import import_keys, verify_access_token, verify_id_token
from services.errors import BadToken, FetchFailed, FetchRefused, LoginFailed, UnknownKey
from services.settings import Oidc

__all__ = ["Begun", "Identity", "Oidc", "Provider"]

# What a provider's codes of error mean here; the code itself is never shown, as anybody can
# write one into an address.
REFUSALS: Mapping[object, str] = {
    "access_denied": "the sign-in was not allowed, or was broken off",
    "invalid_client": "the provider does not know this server, or its secret is another: check "
    "SHIKONG_OIDC_CLIENT_ID and SHIKONG_OIDC_CLIENT_SECRET_FILE",
    "invalid_grant": "the provider does not take this code (any more): sign in again",
    "temporarily_unavailable": "the provider is busy: try again",
}


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: where to send the browser, and what to keep until it is back.

    The three secrets belong to this one browser, and to this one sign-in: keep them where it alone
    can show them (a signed, HttpOnly cookie of some minutes), and take them once.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class Provider:
    """One provider of identities.

    Its discovery document and its keys are fetched when first wanted, and kept for an hour.

    Parameters
    ----------
    oidc : Oidc
        Which one, and who this server is to it.
    fetcher : Fetcher
        Whose list of hosts holds all that the provider names.
    clock : Clock
        One that runs.
    """

    def __init__(self, oidc: Oidc, fetcher: Fetcher, clock: Clock = system_clock) -> None:
        self.oidc = oidc
        self._fetcher, self._clock = fetcher, clock
        self._endpoints = Kept(lambda: discover(oidc.issuer, fetcher), clock)
        self._keys = Kept(self._fetch_keys, clock)

    async def begin(self, redirect_uri: str) -> Begun:
        """Begin a sign-in.

        Parameters
        ----------
        redirect_uri : str
            Where the provider sends the browser back to, as it was told beforehand.

        Raises
        ------
        LoginFailed
            Where the provider can't be asked.
        """
        try:
            endpoints = await self._endpoints.get()
        except (FetchRefused, FetchFailed) as error:
            raise LoginFailed(f"the sign-in can't begin: {error}") from error
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = prepare_grant_uri(
            endpoints.authorization,
            self.oidc.client_id,
            "code",
            redirect_uri,
            list(self.oidc.scopes),
            state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Begun(url, state, nonce, verifier)

    def take_code(self, answer: Mapping[str, str], begun: Begun) -> str:
        """Return the code out of the address that the browser came back with.

        Parameters
        ----------
        answer : Mapping
            The parameters of that address.
        begun : Begun
            What was kept for this browser.

        Raises
        ------
        LoginFailed
            Where the answer is to another sign-in, of another provider, or a refusal.
        """
        if not begun.state or not _same(answer.get("state", ""), begun.state):
            raise LoginFailed("this answer is to another sign-in than yours: sign in again")
        if not _same(answer.get("iss", self.oidc.issuer), self.oidc.issuer):  # RFC 9207
            raise LoginFailed("this answer is another provider's: sign in again")
        if "error" in answer or not answer.get("code"):
            raise LoginFailed(_refusal(answer.get("error")))
        return answer["code"]

    async def finish(self, code: str, begun: Begun, redirect_uri: str) -> Identity:
        """Return whom the provider vouches for.

        Parameters
        ----------
        code : str
            From `take_code`.
        begun : Begun
            What was kept for this browser.
        redirect_uri : str
            The same as at the beginning.

        Raises
        ------
        LoginFailed
            Where the provider does not take the code, can't be asked, or vouches for nobody.
        """
        try:
            endpoints = await self._endpoints.get()
            answer = await self._redeem(endpoints, code, begun, redirect_uri)
            claims = await self._verify_id_token(answer.document.get("id_token"), begun)
            claims = await self._complete(endpoints, claims, answer.document.get("access_token"))
            return self._identity(claims)
        except BadToken as error:
            raise LoginFailed(f"the provider's token is refused: {error}") from error
        except (FetchRefused, FetchFailed) as error:
            raise LoginFailed(f"the sign-in can't be finished: {error}") from error

    async def identify(self, token: str) -> Identity:
        """Return whom an access token speaks for.

        Parameters
        ----------
        token : str
            A JWT as RFC 9068 has it, shown as ``Authorization: Bearer``.

        Raises
        ------
        BadCredential
            Where it proves nothing here.
        FetchRefused, FetchFailed
            Where the provider's keys can't be had: no fault of the token.
        """
        audience = self.oidc.audience
        if audience is None:
            raise BadCredential("this server takes no access tokens: use an API key")
        issuer = self.oidc.issuer
        try:
            return self._identity(
                await self._with_keys(
                    lambda keys: verify_access_token(token, keys, self._clock(), issuer, audience)
                )
            )
        except BadToken as error:
            raise BadCredential(f"this access token is refused: {error}") from error

    async def end_session_url(self, return_uri: str | None = None) -> str | None:
        """Return where to send a browser to sign out at the provider too, if that is offered.

        Parameters
        ----------
        return_uri : str, optional
            Where the provider sends it back to, as it was told beforehand.

        Raises
        ------
        LoginFailed
            Where the provider can't be asked.
        """
        try:
            address = (await self._endpoints.get()).end_session
        except (FetchRefused, FetchFailed) as error:
            raise LoginFailed(f"signed out here, but not at the provider: {error}") from error
        if address is None:
            return None
        asked = {"client_id": self.oidc.client_id}
        if return_uri is not None:
            asked["post_logout_redirect_uri"] = return_uri
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def _fetch_keys(self) -> KeySet:
        endpoints = await self._endpoints.get()
        return import_keys(await self._fetcher.get_json(endpoints.keys))

    async def _redeem(
        self, endpoints: Endpoints, code: str, begun: Begun, redirect_uri: str
    ) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": begun.verifier,
        }
        basic = None
        if self.oidc.client_secret is None:
            form["client_id"] = self.oidc.client_id
        else:
            basic = (self.oidc.client_id, self.oidc.client_secret)
        answer = await self._fetcher.post_form(endpoints.token, form, basic)
        if answer.status != 200:
            raise LoginFailed(_refusal(answer.document.get("error")))
        return answer

    async def _verify_id_token(self, token: object, begun: Begun) -> dict[str, Any]:
        if not isinstance(token, str):
            raise BadToken("there is no ID token in the answer")
        issuer, client_id = self.oidc.issuer, self.oidc.client_id
        return await self._with_keys(
            lambda keys: verify_id_token(token, keys, self._clock(), issuer, client_id, begun.nonce)
        )

    async def _with_keys(self, verify: Callable[[KeySet], dict[str, Any]]) -> dict[str, Any]:
        """Verify with the keys at hand, and once more with new ones: providers change theirs."""
        try:
            return verify(await self._keys.get())
        except UnknownKey:
            return verify(await self._keys.renew())

    async def _complete(
        self, endpoints: Endpoints, claims: dict[str, Any], access_token: object
    ) -> dict[str, Any]:
        """Ask for what the ID token leaves out: many providers keep it short."""
        wanted = ("name", "email", self.oidc.department_claim)
        if endpoints.userinfo is None or all(name in claims for name in wanted):
            return claims
        if not isinstance(access_token, str):
            return claims
        more = await self._fetcher.get_json(endpoints.userinfo, bearer=access_token)
        if more.get("sub") != claims["sub"]:
            raise BadToken("the provider tells of another person than its token")
        return more | claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        return read_identity(claims, self.oidc.issuer, self.oidc.department_claim)


def _refusal(code: object) -> str:
    known = REFUSALS.get(code) if isinstance(code, str) else None
    return known or "the provider refuses the sign-in: sign in again"


def _same(one: str, other: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
