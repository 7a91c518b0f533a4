"""A provider that is not the one it should be, and tokens that somebody else made."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey
from liars import Liar

from layers.clock import Clock, system_clock
from layers.errors import BadCredential
from services.access.fetching import Fetcher
from services.access.identities import Identity
from services.access.oidc import Begun, Provider
from services.access.tokens import import_keys, verify_access_token
from services.errors import BadToken, FetchFailed, FetchRefused, LoginFailed
from services.settings import Oidc

Run = Callable[[Any], Any]
BACK = "https://map.city.example/login/back"
KEY = RSAKey.generate_key(2048, auto_kid=True)
OTHER_KEY = RSAKey.generate_key(2048, auto_kid=True)
API = "urn:city:shikong"


@dataclass
class Lies:
    """A provider whose every answer a test may change; as it stands it tells the truth."""

    liar: Liar
    clock: Clock = system_clock
    audience: str | None = API
    begun: Begun = field(default_factory=lambda: Begun("", "state", "nonce", "v" * 43))

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(frozenset({self.liar.host}), timeout_s=2)
        self.claims = {
            "iss": self.liar.url,
            "sub": "lin",
            "aud": "shikong",
            "iat": int(self.clock().timestamp()),
            "exp": int(self.clock().timestamp()) + 600,
            "nonce": "nonce",
            "name": "林工",
            "email": "lin@city.example",
            "department": "roads",
        }
        self.discovery = {
            "issuer": self.liar.url,
            "authorization_endpoint": f"{self.liar.url}/authorize",
            "token_endpoint": f"{self.liar.url}/token",
            "jwks_uri": f"{self.liar.url}/keys",
        }
        self.describe()
        self.publish(KEY)

    def describe(self, **changes: Any) -> None:
        """Say this of itself; None leaves a member out."""
        document = {k: v for k, v in (self.discovery | changes).items() if v is not None}
        self.liar.says("/.well-known/openid-configuration", document)

    def publish(self, *keys: RSAKey) -> None:
        """Publish these keys."""
        document = {"keys": [key.as_dict(private=False, use="sig") for key in keys]}
        self.liar.says("/keys", document)

    def token(self, key: RSAKey = KEY, typ: str = "JWT", **changes: Any) -> str:
        """Sign a token; None leaves a claim out."""
        claims = {k: v for k, v in (self.claims | changes).items() if v is not None}
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": typ}, claims, key)

    def access_token(self, key: RSAKey = KEY, **changes: Any) -> str:
        """Sign an access token."""
        return self.token(key, "at+jwt", **({"aud": API} | changes))

    def provider(self) -> Provider:
        """Return the library's side."""
        oidc = Oidc(self.liar.url, "shikong", audience=self.audience)
        return Provider(oidc, self.fetcher, self.clock)

    def finish(self, run: Run, token: object) -> Identity:
        """Sign in, and be answered with this ID token."""
        self.liar.says("/token", {"access_token": "opaque", "id_token": token})
        found: Identity = run(self.provider().finish("code", self.begun, BACK))
        return found


@pytest.fixture
def lies(liar: Liar) -> Lies:
    return Lies(liar)


def written(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """Write a token by hand, as no library would."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def signed_with_the_public_key(claims: dict[str, Any], typ: str) -> str:
    """Sign with HS256, the published key as the secret: libraries once fell for it."""
    head = written({"alg": "HS256", "kid": KEY.kid, "typ": typ}, claims).rpartition(".")[0]
    signature = hmac.digest(KEY.as_pem(private=False), head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_the_truth_is_believed(run: Run, lies: Lies) -> None:
    expected = Identity(lies.liar.url, "lin", "林工", "lin@city.example", "roads")
    assert lies.finish(run, lies.token()) == expected
    assert lies.finish(run, lies.token(aud=["shikong", "other"], azp="shikong")) == expected
    assert run(lies.provider().identify(lies.access_token())) == expected
    assert run(lies.provider().identify(lies.access_token(aud=[API, "other"]))) == expected


EARLIER = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
LATER = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
BOTH: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://other.example"}, "iss is missing or another"),
    ({"iss": None}, "iss is missing or another"),
    ({"iss": ["https://other.example"]}, "iss is missing or another"),
    ({"aud": "other"}, "aud is missing or another"),
    ({"aud": ["other", "more"]}, "aud is missing or another"),
    ({"aud": []}, "aud is missing or another"),
    ({"aud": None}, "aud is missing or another"),
    ({"exp": EARLIER}, "has expired"),
    ({"exp": None}, "exp is missing or another"),
    ({"exp": str(LATER)}, "exp is missing or another"),
    ({"iat": LATER}, "iat is missing or another"),
    ({"iat": None}, "iat is missing or another"),
    ({"nbf": LATER}, "nbf is missing or another"),
    ({"sub": None}, "sub is missing or another"),
    ({"sub": 17}, "sub is missing or another"),
    ({"sub": " "}, "sub is no short text"),
    ({"sub": "a\0b"}, "sub is no short text"),
    ({"sub": "x" * 300}, "sub is no short text"),
]
ID_ONLY: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "other"}, "nonce is missing or another"),
    ({"nonce": ["nonce"]}, "nonce is missing or another"),
    ({"nonce": None}, "nonce is missing or another"),
    ({"aud": ["shikong", "other"]}, "azp is missing or another"),
    ({"azp": "other"}, "azp is missing or another"),
]


@pytest.mark.parametrize(("change", "reason"), BOTH + ID_ONLY)
def test_an_id_token_that_says_something_else(
    run: Run, lies: Lies, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LoginFailed, match=reason) as caught:
        lies.finish(run, lies.token(**change))
    assert "other.example" not in str(caught.value)


@pytest.mark.parametrize(("change", "reason"), BOTH)
def test_an_access_token_that_says_something_else(
    run: Run, lies: Lies, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadCredential, match=reason) as caught:
        run(lies.provider().identify(lies.access_token(**change)))
    assert "other.example" not in str(caught.value)


@pytest.mark.parametrize("typ", ["JWT", "", "dpop+jwt", "logout+jwt"])
def test_a_token_of_another_type_is_no_access_token(run: Run, lies: Lies, typ: str) -> None:
    with pytest.raises(BadCredential, match="no access token"):
        run(lies.provider().identify(lies.token(typ=typ, aud=API)))


def forgeries(lies: Lies, typ: str, claims: dict[str, Any]) -> dict[str, str]:
    """Tokens with true claims that the provider did not sign."""
    header = {"alg": "RS256", "kid": KEY.kid, "typ": typ}
    true = jwt.encode(header, claims, KEY)
    head, body, signature = true.split(".")
    changed = written(header, claims | {"department": "mayor"}).split(".")[1]
    return {
        "another key, its own name": lies.token(OTHER_KEY, typ, **claims),
        "another key, the true name": jwt.encode(header, claims, OTHER_KEY),
        "none": written({"alg": "none", "typ": typ}, claims),
        "None": written({"alg": "None", "kid": KEY.kid, "typ": typ}, claims),
        "no algorithm": written({"kid": KEY.kid, "typ": typ}, claims),
        "HS256": signed_with_the_public_key(claims, typ),
        "key in the header": written(
            header | {"jwk": OTHER_KEY.as_dict(private=False)}, claims, b"s" * 256
        ),
        "no signature": f"{head}.{body}.",
        "changed": f"{head}.{changed}.{signature}",
        "truncated": true[:-20],
        "a part missing": f"{head}.{body}",
        "critical": written(header | {"crit": ["b64"], "b64": False}, claims),
        "a header that is a list": written(["alg"], claims),  # type: ignore[arg-type]
        "empty": "",
        "not ASCII": true + "码",
    }


NAMES = list(forgeries(Lies(Liar("127.0.0.1:1")), "JWT", {"aud": API}))


@pytest.mark.parametrize("name", ["none", "None", "HS256"])
def test_only_signatures_that_the_provider_alone_can_make_are_looked_at(
    run: Run, lies: Lies, name: str
) -> None:
    with pytest.raises(LoginFailed, match="signed in a way that is not taken"):
        lies.finish(run, forgeries(lies, "JWT", lies.claims)[name])
    token = forgeries(lies, "at+jwt", lies.claims | {"aud": API})[name]
    with pytest.raises(BadCredential, match="signed in a way that is not taken"):
        run(lies.provider().identify(token))


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_id_token_signs_nobody_in(run: Run, lies: Lies, name: str) -> None:
    with pytest.raises(LoginFailed, match="the provider's token is refused"):
        lies.finish(run, forgeries(lies, "JWT", lies.claims)[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_access_token_opens_nothing(run: Run, lies: Lies, name: str) -> None:
    token = forgeries(lies, "at+jwt", lies.claims | {"aud": API})[name]
    with pytest.raises(BadCredential, match="this access token is refused") as caught:
        run(lies.provider().identify(token))
    assert not any(part in str(caught.value) for part in token.split(".") if part)


@pytest.mark.parametrize("token", [None, 17, ["a"], {}])
def test_an_answer_without_an_id_token(run: Run, lies: Lies, token: object) -> None:
    with pytest.raises(LoginFailed, match="no ID token"):
        lies.finish(run, token)


@given(st.text() | st.builds(written, st.dictionaries(st.text(), st.text()), st.just({})))
def test_whatever_a_token_is_it_is_refused_in_words(token: str) -> None:
    keys = import_keys({"keys": [KEY.as_dict(private=False)]})
    with pytest.raises(BadToken):
        verify_access_token(token, keys, datetime.now(UTC), "https://login.example", API)


def test_keys_that_can_not_sign_tokens_are_passed_over() -> None:
    published = KEY.as_dict(private=False)
    unusable: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQ", "kid": "secret"},
        {"kty": "AKP", "kid": "of tomorrow"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "kid": "half"},
        published | {"kid": "to encrypt", "use": "enc"},
        17,
    ]
    assert [key.kid for key in import_keys({"keys": [*unusable, published]})] == [KEY.kid]
    for document in ({"keys": unusable}, {"keys": None}, {}):
        with pytest.raises(FetchFailed, match="no key that can sign"):
            import_keys(document)


def test_a_provider_may_change_its_keys(run: Run, lies: Lies) -> None:
    clock = Ticking()
    lies = Lies(lies.liar, clock)
    provider = lies.provider()
    assert run(provider.identify(lies.access_token())).subject == "lin"
    lies.publish(OTHER_KEY, KEY)
    clock.now += timedelta(minutes=1)
    assert run(provider.identify(lies.access_token(OTHER_KEY))).subject == "lin"
    assert lies.liar.asked.count("/keys") == 2


def test_a_key_that_was_withdrawn_opens_nothing_within_two_hours(run: Run, lies: Lies) -> None:
    clock = Ticking()
    lies = Lies(lies.liar, clock)
    provider = lies.provider()
    token = lies.access_token(exp=LATER)
    assert run(provider.identify(token)).subject == "lin"
    lies.publish(OTHER_KEY)
    clock.now += timedelta(hours=2)
    with pytest.raises(BadCredential, match="does not publish"):
        run(provider.identify(token))


def test_strangers_can_not_make_the_server_press_the_provider(run: Run, lies: Lies) -> None:
    clock = Ticking()
    lies = Lies(lies.liar, clock)
    provider = lies.provider()
    stranger = lies.access_token(OTHER_KEY)

    async def storm() -> list[Any]:
        asked = (provider.identify(stranger) for _ in range(30))
        return await asyncio.gather(*asked, return_exceptions=True)

    for fetches in (1, 2):
        assert {type(outcome) for outcome in run(storm())} == {BadCredential}
        assert lies.liar.asked.count("/keys") == fetches
        clock.now += timedelta(minutes=1)
    lies.liar.says("/keys", {}, status=500)
    clock.now += timedelta(hours=2)
    assert {type(outcome) for outcome in run(storm())} == {FetchFailed}
    assert lies.liar.asked.count("/keys") == 3


@dataclass
class Ticking:
    """A clock that a test sets."""

    now: datetime = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


ELSEWHERE = "https://elsewhere.example/x"
DESCRIPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"issuer": "https://other.example"}, FetchFailed, "another issuer's"),
    ({"issuer": None}, FetchFailed, "another issuer's"),
    ({"token_endpoint": None}, FetchFailed, "has no token_endpoint"),
    ({"jwks_uri": 17}, FetchFailed, "has no jwks_uri"),
    ({"authorization_endpoint": ELSEWHERE}, FetchRefused, "add it to SHIKONG_FETCH_HOSTS"),
    ({"token_endpoint": ELSEWHERE}, FetchRefused, "add it to SHIKONG_FETCH_HOSTS"),
    ({"jwks_uri": ELSEWHERE}, FetchRefused, "add it to SHIKONG_FETCH_HOSTS"),
    ({"userinfo_endpoint": ELSEWHERE}, FetchRefused, "add it to SHIKONG_FETCH_HOSTS"),
    ({"end_session_endpoint": ELSEWHERE}, FetchRefused, "add it to SHIKONG_FETCH_HOSTS"),
    ({"jwks_uri": "http://10.0.0.1/keys"}, FetchRefused, "write https://"),
    ({"jwks_uri": "file:///etc/passwd"}, FetchRefused, "write https://"),
]


@pytest.mark.parametrize(("change", "kind", "reason"), DESCRIPTIONS)
def test_a_discovery_document_that_leads_astray(
    run: Run, lies: Lies, change: dict[str, Any], kind: type[Exception], reason: str
) -> None:
    lies.describe(**change)
    with pytest.raises(LoginFailed, match=reason):
        run(lies.provider().begin(BACK))
    with pytest.raises(LoginFailed, match=reason):
        lies.finish(run, lies.token())
    with pytest.raises(LoginFailed, match=reason):
        run(lies.provider().end_session_url())
    # No fault of whoever shows a token: the server answers that it can't tell.
    with pytest.raises(kind, match=reason):
        run(lies.provider().identify(lies.access_token()))


def test_a_provider_that_does_not_answer(run: Run, lies: Lies) -> None:
    lies.fetcher = replace(lies.fetcher, timeout_s=0.2)
    lies.liar.replies["/.well-known/openid-configuration"] = lambda request: stall(lies.liar)
    with pytest.raises(LoginFailed, match="does not answer within"):
        run(lies.provider().begin(BACK))
    with pytest.raises(FetchFailed, match="does not answer within"):
        run(lies.provider().identify(lies.access_token()))


def stall(liar: Liar) -> None:
    """Say nothing until the test is over."""
    liar.over.wait(60)


def test_a_token_endpoint_that_sends_elsewhere(run: Run, lies: Lies) -> None:
    lies.liar.says("/token", {}, status=307, location="http://10.0.0.1/token")
    with pytest.raises(LoginFailed, match="redirect, and none is followed"):
        run(lies.provider().finish("code", lies.begun, BACK))


def test_a_provider_without_sign_out_offers_none(run: Run, lies: Lies) -> None:
    assert run(lies.provider().end_session_url("https://map.city.example/")) is None


def test_what_the_token_leaves_out_is_asked_of_the_same_person(run: Run, lies: Lies) -> None:
    lies.describe(userinfo_endpoint=f"{lies.liar.url}/me")
    lies.liar.says("/me", {"sub": "lin", "department": "water", "name": "another"})
    found = lies.finish(run, lies.token(department=None))
    assert (found.department, found.name) == ("water", "林工")
    lies.liar.says("/me", {"sub": "wu", "department": "water"})
    with pytest.raises(LoginFailed, match="another person"):
        lies.finish(run, lies.token(department=None))


@pytest.mark.parametrize(
    ("claim", "department"),
    [
        ("roads", "roads"),
        ([" roads "], "roads"),
        (["roads", "water"], None),
        ("two\nlines", None),
        ({"name": "roads"}, None),
        (17, None),
        ("", None),
    ],
)
def test_a_department_is_one_text_or_none(
    run: Run, lies: Lies, claim: object, department: str | None
) -> None:
    assert lies.finish(run, lies.token(department=claim)).department == department


def test_an_identity_shows_no_person_in_a_log(run: Run, lies: Lies) -> None:
    shown = repr(lies.finish(run, lies.token()))
    assert "林" not in shown
    assert "lin@" not in shown
