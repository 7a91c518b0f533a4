"""A real provider of identities in a process of its own, and a browser without a screen."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urljoin, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey, RSAKey

from layers.clock import Clock, system_clock
from services.access.fetching import Fetcher
from services.access.oidc import Provider
from services.settings import Oidc

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / ".cache/oidc/node_modules/oidc-provider/lib/index.js"
BACK = "https://map.city.example/login/back"
AWAY = "https://map.city.example/"
# Signs that mean something in a form, in an address and in HTTP's own header.
# pragma: allowlist nextline secret - of a provider that lives as long as the tests
SECRET = "a:b%20c+d&e=f/ - long enough for a provider"
USERS = {
    "lin": {
        "name": "林工",
        "email": "lin@city.example",
        "email_verified": True,
        "department": "roads",
    },
    "wu": {"name": "吴", "email": "mayor@city.example", "email_verified": False},
}
API, OTHER_API = "urn:city:shikong", "urn:city:archive"
CLIENTS = [
    {
        "client_id": "shi:kong",
        "client_secret": SECRET,
        "redirect_uris": [BACK],
        "post_logout_redirect_uris": [AWAY],
        "grant_types": ["authorization_code", "client_credentials"],
    },
    {
        "client_id": "public",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [BACK],
    },
]


def find_node() -> Path | None:
    """Node as it comes with the program that drives Chromium, or the machine's own."""
    driver = Path(str(files("playwright"))) / "driver/node"
    found = shutil.which("node")
    return driver if driver.exists() else Path(found) if found else None


@dataclass(frozen=True)
class Running:
    """A provider that runs: how a test asks it, and the library that is tested."""

    issuer: str

    def provider(self, clock: Clock = system_clock, **changes: Any) -> Provider:
        """Return the library's side, of a server that the provider knows."""
        known = {"client_id": "shi:kong", "client_secret": SECRET, "audience": API}
        oidc = Oidc(self.issuer, **(known | changes))
        return Provider(oidc, Fetcher(frozenset({urlsplit(self.issuer).netloc})), clock)

    def token(self, **form: str) -> dict[str, Any]:
        """Ask for tokens as another program of the city would."""
        basic = httpx2.BasicAuth(quote_plus("shi:kong"), quote_plus(SECRET))
        with httpx2.Client(trust_env=False) as client:
            answer = client.post(f"{self.issuer}/token", data=form, auth=basic)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@contextmanager
def running_provider(key: RSAKey | ECKey, algorithm: str) -> Iterator[Running]:
    """Start a provider, and end it."""
    node = find_node()
    if node is None:
        pytest.skip("no node here: the tests' sign-in provider needs it")
    assert PACKAGE.exists(), "the tests' sign-in provider is missing: sh deploy/oidc.sh"
    clients = [client | {"id_token_signed_response_alg": algorithm} for client in CLIENTS]
    settings = {
        "jwks": {"keys": [key.as_dict(private=True, use="sig", alg=algorithm)]},
        "clients": clients,
        "users": USERS,
        "resources": [API, OTHER_API],
        "algorithm": algorithm,
    }
    command = [str(node), str(ROOT / "tests/oidc/provider.mjs"), str(PACKAGE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(settings).encode())
            process.stdin.close()
            line = process.stdout.readline()
            assert line, f"the provider did not start: {' '.join(command)}"
            yield Running(json.loads(line)["issuer"])
        finally:
            process.kill()


class Form(HTMLParser):
    """The first form of a page: where it is sent, and what it holds already."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.fields = "", dict[str, str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form and its fields."""
        found = dict(attrs)
        if tag == "form" and not self.action:
            self.action = found.get("action") or ""
        if tag in ("input", "button") and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


class Browser:
    """What a person does in a browser: forms are filled in and sent, redirects followed."""

    def __init__(self) -> None:
        self.client = httpx2.Client(trust_env=False)

    def sign_in(self, url: str, login: str) -> dict[str, str]:
        """Sign in and consent; return the parameters of the address one comes back to."""
        # pragma: allowlist nextline secret - the provider takes any
        return self.walk(url, BACK, login=login, password="any")

    def walk(self, url: str, goal: str, **typed: str) -> dict[str, str]:
        """Go on until the address is the goal, which is never asked for anything."""
        answer = self.client.get(url)
        for _ in range(20):
            if answer.is_redirect:
                address = urljoin(str(answer.url), answer.headers["location"])
                if address.startswith(goal):
                    return dict(parse_qsl(urlsplit(address).query))
                answer = self.client.get(address)
            else:
                assert answer.status_code == 200, answer.text
                form = Form(answer.text)
                fields = {name: typed.get(name, value) for name, value in form.fields.items()}
                address = urljoin(str(answer.url), form.action)
                answer = self.client.post(address, data=fields)
        raise AssertionError(f"never came to {goal}; last at {answer.url}")
