"""People and programs sign in with a real provider; what they may not do is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from city_provider import API, AWAY, BACK, OTHER_API, Browser, Running

from layers.clock import SimulatedClock
from layers.errors import BadCredential
from services.access.identities import Identity
from services.access.oidc import Begun, Provider
from services.errors import LoginFailed

Run = Callable[[Any], Any]
LIN = {"name": "林工", "email": "lin@city.example", "department": "roads"}


def sign_in(run: Run, person: Browser, provider: Provider, login: str = "lin") -> Identity:
    """Sign in as the pages of the server will have it."""
    code, begun = begin(run, person, provider, login)
    found: Identity = run(provider.finish(code, begun, BACK))
    return found


def begin(run: Run, person: Browser, provider: Provider, login: str = "lin") -> tuple[str, Begun]:
    """Sign in up to the code."""
    begun = run(provider.begin(BACK))
    return provider.take_code(person.sign_in(begun.url, login), begun), begun


def test_a_person_signs_in(run: Run, person: Browser, city_login: Running) -> None:
    found = sign_in(run, person, city_login.provider())
    assert found == Identity(city_login.issuer, "lin", **LIN)


def test_a_public_client_signs_in_without_a_secret(
    run: Run, person: Browser, city_login: Running
) -> None:
    provider = city_login.provider(client_id="public", client_secret=None)
    assert sign_in(run, person, provider) == Identity(city_login.issuer, "lin", **LIN)


def test_a_provider_may_sign_with_an_elliptic_curve(
    run: Run, person: Browser, curved_login: Running
) -> None:
    provider = curved_login.provider()
    assert sign_in(run, person, provider) == Identity(curved_login.issuer, "lin", **LIN)
    token = curved_login.token(grant_type="client_credentials", resource=API, scope="read")
    assert run(provider.identify(token["access_token"])).subject == "shi:kong"


def test_an_address_that_is_not_verified_is_left_out(
    run: Run, person: Browser, city_login: Running
) -> None:
    found = sign_in(run, person, city_login.provider(), "wu")
    assert (found.subject, found.name) == ("wu", "吴")
    assert (found.email, found.department) == (None, None)


def test_the_department_is_where_the_settings_say(
    run: Run, person: Browser, city_login: Running
) -> None:
    provider = city_login.provider(department_claim="name")
    assert sign_in(run, person, provider).department == "林工"


def test_no_two_sign_ins_share_a_secret(run: Run, city_login: Running) -> None:
    provider = city_login.provider()
    one, other = run(provider.begin(BACK)), run(provider.begin(BACK))
    secrets = {one.state, one.nonce, one.verifier, other.state, other.nonce, other.verifier}
    assert len(secrets) == 6
    asked = parse_qs(urlsplit(one.url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert one.verifier not in one.url
    assert not any(secret in repr(one) for secret in secrets)


def test_a_code_serves_once(run: Run, person: Browser, city_login: Running) -> None:
    provider = city_login.provider()
    code, begun = begin(run, person, provider)
    assert run(provider.finish(code, begun, BACK)).subject == "lin"
    with pytest.raises(LoginFailed, match="does not take this code"):
        run(provider.finish(code, begun, BACK))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verifier": "v" * 43}, "does not take this code"),
        ({"nonce": "another"}, "nonce is missing or another"),
        ({"nonce": ""}, "nonce is missing or another"),
    ],
)
def test_a_code_serves_the_browser_that_began_alone(
    run: Run, person: Browser, city_login: Running, change: dict[str, str], reason: str
) -> None:
    provider = city_login.provider()
    code, begun = begin(run, person, provider)
    with pytest.raises(LoginFailed, match=reason):
        run(provider.finish(code, replace(begun, **change), BACK))


def test_a_code_serves_the_address_it_came_to_alone(
    run: Run, person: Browser, city_login: Running
) -> None:
    provider = city_login.provider()
    code, begun = begin(run, person, provider)
    with pytest.raises(LoginFailed, match="does not take this code"):
        run(provider.finish(code, begun, "https://map.city.example/elsewhere"))


def test_a_made_up_code_is_refused(run: Run, city_login: Running) -> None:
    provider = city_login.provider()
    begun = run(provider.begin(BACK))
    with pytest.raises(LoginFailed, match="does not take this code") as caught:
        run(provider.finish("a-made-up-code", begun, BACK))
    assert "a-made-up-code" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": "another"}, "another sign-in than yours"),
        ({"state": "错"}, "another sign-in than yours"),
        ({"state": ""}, "another sign-in than yours"),
        ({"iss": "https://other.example"}, "another provider's"),
        ({"error": "access_denied"}, "not allowed, or was broken off"),
        ({"error": "<script>"}, "the provider refuses"),
        ({"code": ""}, "the provider refuses"),
    ],
)
def test_an_answer_that_is_not_to_this_sign_in(
    run: Run, person: Browser, city_login: Running, change: dict[str, str], reason: str
) -> None:
    provider = city_login.provider()
    begun = run(provider.begin(BACK))
    answer = person.sign_in(begun.url, "lin")
    assert provider.take_code(answer, begun) == answer["code"]
    with pytest.raises(LoginFailed, match=reason) as caught:
        provider.take_code(answer | change, begun)
    assert "<script>" not in str(caught.value)


def test_a_sign_in_without_state_is_none(run: Run, city_login: Running) -> None:
    provider = city_login.provider()
    begun = replace(run(provider.begin(BACK)), state="")
    with pytest.raises(LoginFailed, match="another sign-in than yours"):
        provider.take_code({"code": "c", "state": ""}, begun)


def test_who_breaks_off_is_told_so(run: Run, person: Browser, city_login: Running) -> None:
    provider = city_login.provider()
    begun = run(provider.begin(BACK))
    first = person.client.get(begun.url)
    page = f"{city_login.issuer}{urlsplit(first.headers['location']).path}/abort"
    with pytest.raises(LoginFailed, match="broken off"):
        provider.take_code(person.walk(page, BACK), begun)


def test_a_wrong_secret_says_which_settings_to_look_at(
    run: Run, person: Browser, city_login: Running
) -> None:
    provider = city_login.provider(client_secret="another")
    code, begun = begin(run, person, provider)
    with pytest.raises(LoginFailed, match="SHIKONG_OIDC_CLIENT_SECRET_FILE"):
        run(provider.finish(code, begun, BACK))


@pytest.mark.parametrize(
    ("shift", "reason"),
    [(timedelta(hours=2), "has expired"), (timedelta(hours=-2), "iat is missing or another")],
)
def test_an_id_token_of_another_time(
    run: Run, person: Browser, city_login: Running, shift: timedelta, reason: str
) -> None:
    provider = city_login.provider(SimulatedClock(datetime.now(UTC) + shift))
    code, begun = begin(run, person, provider)
    with pytest.raises(LoginFailed, match=reason):
        run(provider.finish(code, begun, BACK))


def test_signing_out_at_the_provider_leads_back(
    run: Run, person: Browser, city_login: Running
) -> None:
    provider = city_login.provider()
    sign_in(run, person, provider)
    url = run(provider.end_session_url(AWAY))
    person.walk(url, AWAY)
    begun = run(provider.begin(BACK))
    asked = person.client.get(begun.url, follow_redirects=True)
    assert "Sign-in" in asked.text  # it asks who one is again


def test_a_program_shows_an_access_token(run: Run, city_login: Running) -> None:
    tokens = city_login.token(grant_type="client_credentials", resource=API, scope="read")
    found = run(city_login.provider().identify(tokens["access_token"]))
    assert found == Identity(city_login.issuer, "shi:kong", "shi:kong")


def test_an_access_token_that_speaks_for_a_person(
    run: Run, person: Browser, city_login: Running
) -> None:
    tokens = tokens_of_a_person(run, person, city_login, resource=API)
    found = run(city_login.provider().identify(tokens["access_token"]))
    assert (found.subject, found.department) == ("lin", "roads")


def test_an_id_token_opens_nothing(run: Run, person: Browser, city_login: Running) -> None:
    tokens = tokens_of_a_person(run, person, city_login)
    # Even where somebody names the client as the audience.
    for audience in (API, "shi:kong"):
        with pytest.raises(BadCredential, match="no access token"):
            run(city_login.provider(audience=audience).identify(tokens["id_token"]))


def test_an_opaque_access_token_is_refused(run: Run, person: Browser, city_login: Running) -> None:
    tokens = tokens_of_a_person(run, person, city_login)
    with pytest.raises(BadCredential, match="damaged"):
        run(city_login.provider().identify(tokens["access_token"]))


def test_an_access_token_for_another_service_is_refused(run: Run, city_login: Running) -> None:
    tokens = city_login.token(grant_type="client_credentials", resource=OTHER_API, scope="read")
    assert run(city_login.provider(audience=OTHER_API).identify(tokens["access_token"]))
    with pytest.raises(BadCredential, match="aud is missing or another"):
        run(city_login.provider().identify(tokens["access_token"]))


def test_an_access_token_expires(run: Run, city_login: Running) -> None:
    tokens = city_login.token(grant_type="client_credentials", resource=API, scope="read")
    late = SimulatedClock(datetime.now(UTC) + timedelta(seconds=tokens["expires_in"] + 60))
    with pytest.raises(BadCredential, match="has expired"):
        run(city_login.provider(late).identify(tokens["access_token"]))


def test_an_access_token_of_another_provider_is_refused(
    run: Run, city_login: Running, curved_login: Running
) -> None:
    tokens = curved_login.token(grant_type="client_credentials", resource=API, scope="read")
    assert run(curved_login.provider().identify(tokens["access_token"]))
    with pytest.raises(BadCredential, match="does not publish"):
        run(city_login.provider().identify(tokens["access_token"]))


def test_without_an_audience_no_access_token_is_taken(run: Run, city_login: Running) -> None:
    tokens = city_login.token(grant_type="client_credentials", resource=API, scope="read")
    with pytest.raises(BadCredential, match="use an API key"):
        run(city_login.provider(audience=None).identify(tokens["access_token"]))


def tokens_of_a_person(run: Run, person: Browser, login: Running, **more: str) -> dict[str, Any]:
    """Sign in to a program of the city, which keeps the tokens."""
    provider = login.provider()
    begun = run(provider.begin(BACK))
    url = httpx2.URL(begun.url)
    if more:
        url = url.copy_merge_params(more | {"scope": "openid profile email read"})
    answer = person.sign_in(str(url), "lin")
    return login.token(
        grant_type="authorization_code",
        code=provider.take_code(answer, begun),
        redirect_uri=BACK,
        code_verifier=begun.verifier,
        **more,
    )
