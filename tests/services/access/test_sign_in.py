"""People of the city sign in through the pages, with a real provider; programs with its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from city_provider import API, BACK, OTHER_API, SECRET, Browser, Running
from starlette.testclient import TestClient

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.store import Store, open_store
from services.access import cookies
from services.app import create_app
from services.settings import Oidc, Settings
from tests.databases import Databases

SITE = "https://map.city.example"
PAGE = {"Accept": "text/html"}


@dataclass(frozen=True)
class Site:
    """The platform, where the city's provider knows it."""

    store: Store
    client: TestClient

    def grant(self, grantee: str, terms: Terms) -> None:
        """Let an administrator give a grant."""
        who = Caller("shell:tests", "tests")
        Desk(self.store.register, who, unbounded=True).give(grantee, terms)

    def sign_in(self, person: Browser, login: str = "lin", after: str = "/account") -> str:
        """Sign in through the pages; return where the browser is sent then."""
        begun = self.client.get(f"/login/provider?next={after}", follow_redirects=False)
        assert begun.status_code == 303
        back = person.sign_in(begun.headers["location"], login)
        answer = self.client.get(f"/login/back?{urlencode(back)}", follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


@pytest.fixture
def site(
    city_login: Running, empty_template: str, make_database: Databases, tmp_path: Path
) -> Iterator[Site]:
    oidc = Oidc(city_login.issuer, "shi:kong", SECRET, API)
    hosts = frozenset({urlsplit(city_login.issuer).netloc})
    settings = Settings(tmp_path, base_url=SITE, oidc=oidc, fetch_hosts=hosts)
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as store:
        app = create_app(store, settings)
        with TestClient(app, base_url=SITE, raise_server_exceptions=False) as client:
            yield Site(store, client)


@pytest.fixture
def another() -> Iterator[Browser]:
    """A second person's browser."""
    browser = Browser()
    with browser.client:
        yield browser


def test_a_person_signs_in_and_out(site: Site, person: Browser) -> None:
    assert "/login/provider" in site.client.get("/login").text
    assert site.sign_in(person) == f"{SITE}/account"
    cookie = next(c for c in site.client.cookies.jar if c.name == cookies.SESSION)
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    account = site.client.get("/account").json()
    assert account["id"].startswith("person:")
    assert (account["name"], account["department"], account["grants"]) == ("林工", "roads", [])
    page = site.client.get("/account", headers=PAGE).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    out = site.client.post("/logout", data={"csrf": token}, follow_redirects=False)
    assert out.status_code == 303
    assert site.client.get("/account").status_code == 401


def test_the_same_person_is_the_same_the_next_time(
    site: Site, person: Browser, another: Browser
) -> None:
    site.sign_in(person)
    first = site.client.get("/account").json()["id"]
    site.client.cookies.clear()
    site.sign_in(person)
    assert site.client.get("/account").json()["id"] == first
    site.client.cookies.clear()
    site.sign_in(another, "wu")
    assert site.client.get("/account").json()["id"] != first


def test_a_department_s_grants_are_its_people_s(
    site: Site, person: Browser, another: Browser
) -> None:
    site.grant("department:roads", Terms(Role.READER, "layer:parcels"))
    site.sign_in(person)
    (grant,) = site.client.get("/account").json()["grants"]
    assert grant["layers"] == "layer:parcels"
    site.client.cookies.clear()
    site.sign_in(another, "wu")
    assert site.client.get("/account").json()["grants"] == []


@pytest.mark.parametrize("change", [{"state": "x"}, {"iss": "https://evil.example"}, {"code": "x"}])
def test_a_sign_in_that_was_meddled_with_is_refused(
    site: Site, person: Browser, change: dict[str, str]
) -> None:
    begun = site.client.get("/login/provider", follow_redirects=False)
    back = person.sign_in(begun.headers["location"], "lin") | change
    answer = site.client.get(f"/login/back?{urlencode(back)}", follow_redirects=False)
    assert answer.status_code == 401
    assert cookies.SESSION not in site.client.cookies
    assert site.client.get("/account").status_code == 401


def test_a_sign_in_is_finished_where_it_began(site: Site, person: Browser) -> None:
    """Somebody who is sent another's way back is not signed in as them."""
    begun = site.client.get("/login/provider", follow_redirects=False)
    back = urlencode(person.sign_in(begun.headers["location"], "lin"))
    site.client.cookies.clear()
    assert site.client.get(f"/login/back?{back}", follow_redirects=False).status_code == 401
    site.client.get("/login/provider", follow_redirects=False)
    assert site.client.get(f"/login/back?{back}", follow_redirects=False).status_code == 401
    assert cookies.SESSION not in site.client.cookies


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/%5Cevil.example", "javascript:alert(1)", "/login",
     "/a%0d%0aSet-Cookie:x", "/a|b"],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(site: Site, person: Browser, after: str) -> None:
    assert site.sign_in(person, after=after) == f"{SITE}/account"


def test_who_is_closed_out_is_out_at_once(site: Site, person: Browser, another: Browser) -> None:
    site.sign_in(person)
    who = site.client.get("/account").json()["id"].removeprefix("person:")
    tests = Caller("shell:tests", "tests")
    Desk(site.store.register, tests, unbounded=True).close(who)
    assert site.client.get("/account").status_code == 401
    begun = site.client.get("/login/provider", follow_redirects=False)
    back = another.sign_in(begun.headers["location"], "lin")
    answer = site.client.get(f"/login/back?{urlencode(back)}", follow_redirects=False)
    assert answer.status_code == 401


def test_a_program_shows_the_provider_s_token(site: Site, city_login: Running) -> None:
    asked = {"grant_type": "client_credentials", "scope": "read"}
    token = city_login.token(**asked, resource=API)["access_token"]
    who = site.client.get("/account", headers={"Authorization": f"Bearer {token}"})
    assert who.status_code == 200
    assert who.json()["id"].startswith("person:")
    other = city_login.token(**asked, resource=OTHER_API)["access_token"]
    for wrong in (other, token[:-4], f"{token}x", "a.b.c"):
        answer = site.client.get("/collections", headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401, wrong
        assert wrong not in answer.text


def test_coming_and_going_stands_in_the_audit(site: Site, person: Browser) -> None:
    site.sign_in(person)
    tests = Caller("shell:tests", "tests")
    entries = Desk(site.store.register, tests, unbounded=True).audit()
    assert [kept.entry.action for kept in entries] == ["login"]
    assert entries[0].entry.actor.startswith("person:")
    assert BACK not in str(entries)
