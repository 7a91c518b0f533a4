"""What the environment says of sign-in, and what it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.errors import BadSettings
from services.settings import Oidc, read_settings

LOGIN = {
    "SHIKONG_OIDC_ISSUER": "https://Login.city.example:8443/realms/city",
    "SHIKONG_OIDC_CLIENT_ID": "shikong",
}


def test_without_a_provider_nobody_is_asked_for_anything() -> None:
    settings = read_settings({})
    assert (settings.oidc, settings.fetch_hosts) == (None, frozenset())


def test_two_settings_are_enough() -> None:
    settings = read_settings(LOGIN)
    assert settings.oidc == Oidc("https://Login.city.example:8443/realms/city", "shikong")
    assert settings.fetch_hosts == {"login.city.example:8443"}


def test_all_of_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very secret\n")
    settings = read_settings(
        LOGIN
        | {
            "SHIKONG_OIDC_CLIENT_SECRET_FILE": str(secret),
            "SHIKONG_OIDC_AUDIENCE": "urn:city:shikong",
            "SHIKONG_OIDC_DEPARTMENT_CLAIM": "ou",
            "SHIKONG_OIDC_NAME_ZH": "政务通",
            "SHIKONG_OIDC_NAME_EN": "Gov Pass",
            "SHIKONG_FETCH_HOSTS": "Keys.city.example, 10.1.2.3:8443 [2001:db8::1]:444",
        }
    )
    assert settings.oidc == Oidc(
        LOGIN["SHIKONG_OIDC_ISSUER"],
        "shikong",
        "very secret",
        "urn:city:shikong",
        "ou",
        "政务通",
        "Gov Pass",
    )
    assert settings.fetch_hosts == {
        "login.city.example:8443",
        "keys.city.example",
        "10.1.2.3:8443",
        "[2001:db8::1]:444",
    }
    assert "very secret" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"SHIKONG_OIDC_ISSUER": ""}, "SHIKONG_OIDC_CLIENT_ID"),
        ({"SHIKONG_OIDC_ISSUER": "login.city.example"}, "SHIKONG_OIDC_ISSUER"),
        ({"SHIKONG_OIDC_ISSUER": "https://a.example/?b=c"}, "SHIKONG_OIDC_ISSUER"),
        ({"SHIKONG_OIDC_ISSUER": "https://[a/"}, "SHIKONG_OIDC_ISSUER"),
        ({"SHIKONG_OIDC_CLIENT_ID": " "}, "SHIKONG_OIDC_CLIENT_ID"),
        ({"SHIKONG_OIDC_CLIENT_SECRET_FILE": "/nowhere"}, "SHIKONG_OIDC_CLIENT_SECRET_FILE"),
        ({"SHIKONG_OIDC_CLIENT_SECRET_FILE": "/dev/null"}, "the file is empty"),
        ({"SHIKONG_FETCH_HOSTS": "https://keys.city.example"}, "SHIKONG_FETCH_HOSTS"),
        ({"SHIKONG_FETCH_HOSTS": "*.city.example"}, "SHIKONG_FETCH_HOSTS"),
        ({"SHIKONG_FETCH_HOSTS": "a@b.example"}, "SHIKONG_FETCH_HOSTS"),
    ],
)
def test_what_can_not_be_names_the_setting(change: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        read_settings(LOGIN | change)
