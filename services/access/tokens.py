"""What a provider's signed token proves: its signature, its times, and whom it is for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc9068.claims import JWTAccessTokenClaims
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from services.errors import BadToken, FetchFailed, UnknownKey

# Only those in which nobody but the provider can sign: no "none", and none that uses one secret
# for both, which would make a secret of the published key.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
KINDS: Mapping[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
SHORTEST_RSA_BITS = 2048
# Between the provider's clock and this one.
LEEWAY_S = 30
ACCESS_TYPES = ("at+jwt", "application/at+jwt")


def import_keys(document: Mapping[str, Any]) -> KeySet:
    """Return the keys of a JSON Web Key Set that may sign tokens.

    Keys of other kinds and for other uses are passed over, as RFC 7517 section 5 has it.

    Raises
    ------
    FetchFailed
        Where none is left.
    """
    entries = document.get("keys")
    keys = [_import_key(entry) for entry in entries] if isinstance(entries, list) else []
    usable = [key for key in keys if key is not None]
    if not usable:
        raise FetchFailed("the provider publishes no key that can sign tokens")
    return KeySet(usable)


def verify_id_token(
    token: str, keys: KeySet, now: datetime, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core, section 3.1.3.7).

    Raises
    ------
    BadToken
        Where it is not the provider's, or not for this client and this sign-in.
    UnknownKey
        Where its key is not among these.
    """
    wanted = {"iss": issuer, "aud": client_id, "nonce": nonce}
    return _verify(CodeIDToken, token, keys, now, wanted, {"client_id": client_id, "nonce": nonce})


def verify_access_token(
    token: str, keys: KeySet, now: datetime, issuer: str, audience: str
) -> dict[str, Any]:
    """Return the claims of an access token (RFC 9068, section 4).

    Raises
    ------
    BadToken
        Where it is not the provider's, not for this audience, or of another type: an ID token says
        who somebody is, and opens nothing.
    UnknownKey
        Where its key is not among these.
    """
    wanted = {"iss": issuer, "aud": audience}
    return _verify(JWTAccessTokenClaims, token, keys, now, wanted, {})


def _verify(
    kind: type[Any],
    token: str,
    keys: KeySet,
    now: datetime,
    wanted: Mapping[str, str],
    params: Mapping[str, str],
) -> dict[str, Any]:
    try:
        # Headers that this server does not know are passed over, but for those that say "crit".
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        signed = jwt.decode(token, keys, registry=registry)
        if kind is JWTAccessTokenClaims:
            _check_type(signed.header)
        options: dict[str, Any] = {name: {"essential": True} for name in ("sub", "exp", "iat")}
        options |= {name: {"essential": True, "value": value} for name, value in wanted.items()}
        claims = kind(signed.claims, signed.header, options, dict(params))
        claims.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
    except InvalidKeyIdError:
        raise UnknownKey("it is signed with a key that the provider does not publish") from None
    except BadToken:
        raise
    # Whatever a stranger's bytes bring about in here is a refusal, and quotes none of them.
    except Exception as error:
        raise BadToken(_reason(error)) from None
    return dict(signed.claims)


def _check_type(header: Mapping[str, Any]) -> None:
    if str(header.get("typ", "")).lower() not in ACCESS_TYPES:
        raise BadToken("it is no access token: its type is not at+jwt")


def _reason(error: Exception) -> str:
    if isinstance(error, ExpiredTokenError):
        return "it has expired"
    if isinstance(error, ClaimError):  # the name is one of ours, never a text of the token
        return f"its {error.claim} is missing or another"
    if isinstance(error, BadSignatureError):
        return "its signature is not the provider's"
    if isinstance(error, UnsupportedAlgorithmError):
        return "it is signed in a way that is not taken"
    return "it is damaged"


def _import_key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kind = KINDS.get(str(entry.get("kty")))
    if kind is None or (kind is RSAKey and not _is_long(entry)):
        return None
    try:
        return kind.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _is_long(entry: Mapping[str, Any]) -> bool:
    """Six bits a letter of base64; asked before the library warns of it."""
    return len(str(entry.get("n", "")).rstrip("=")) * 6 >= SHORTEST_RSA_BITS
