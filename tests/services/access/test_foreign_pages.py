"""What pages of other sites can't do with a session: begin one, use it, lead it astray."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa
from city_doors import SecretDoors, open_doors

from layers.access.grants import Role, Terms
from layers.clock import system_clock
from layers.tables import session
from services.settings import Settings
from tests.databases import Databases

SITE = "https://map.city.example"
HTML = {"Accept": "text/html"}
KEYS = {"reader": Terms(Role.READER), "administrator": Terms(Role.ADMINISTRATOR)}


@dataclasses.dataclass
class Tab:
    """A browser, signed in with a key."""

    doors: SecretDoors
    key: str

    @property
    def client(self) -> Any:
        return self.doors.client

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.client.get(path, follow_redirects=False, **more)

    def post(self, path: str, form: Any = None, **more: Any) -> httpx2.Response:
        return self.client.post(path, data=form, follow_redirects=False, **more)

    def sign_in(self, after: str | None = None, **changed: str) -> httpx2.Response:
        """Fill in the login page and send it."""
        page = self.get("/login", params={"next": after} if after is not None else {})
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        form = hidden(page.text) | {"key": self.key} | changed
        return self.post("/login", {k: v for k, v in form.items() if v is not None})

    def csrf(self) -> str:
        """Return the token of this session's pages."""
        return hidden(self.get("/account", headers=HTML).text)["csrf"]


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's first forms."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


def cookies_of(answer: httpx2.Response) -> dict[str, str]:
    """Return the cookies that an answer sets, with all that it says of them."""
    return {c.split("=", 1)[0]: c for c in answer.headers.get_list("set-cookie")}


@pytest.fixture
def doors(
    secret_template: str, make_database: Databases, settings: Settings
) -> Iterator[SecretDoors]:
    with open_doors(make_database(secret_template), settings, base_url=SITE) as opened:
        opened.client.base_url = SITE
        yield opened


@pytest.fixture
def tab(doors: SecretDoors) -> Tab:
    """A browser with a reader's key."""
    return Tab(doors, key_of(doors, KEYS["reader"]))


def key_of(doors: SecretDoors, *terms: Terms) -> str:
    return doors.granted(*terms)["Authorization"].removeprefix("Bearer ")


def test_a_key_begins_a_session_through_the_page(tab: Tab) -> None:
    assert tab.get("/collections/innerland").status_code == 404
    answer = tab.sign_in()
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{SITE}/account"
    assert answer.headers["cache-control"] == "no-store"
    assert tab.get("/collections/innerland").status_code == 200
    account = tab.get("/account").json()
    assert account["id"].startswith("key:")
    assert [g["role"] for g in account["grants"]] == ["reader"]


def test_cookies_are_kept_from_scripts_and_other_sites(tab: Tab) -> None:
    page = tab.get("/login")
    began = tab.sign_in()
    for told in (*cookies_of(page).values(), cookies_of(began)["shikong_session"]):
        parts = {part.strip().lower() for part in told.split(";")}
        assert "httponly" in parts
        assert "secure" in parts
        assert parts & {"samesite=lax", "samesite=strict"}
        assert "domain" not in told.lower()
    secret = cookies_of(began)["shikong_session"].split("=", 1)[1].split(";")[0]
    assert len(secret) >= 32
    with tab.doors.store.database.keep() as connection:
        kept = connection.execute(sa.select(session)).all()
    assert kept
    assert secret not in str(kept)
    assert tab.key not in str(kept)


def test_without_https_cookies_are_not_for_https_alone(own_secret_doors: SecretDoors) -> None:
    told = cookies_of(own_secret_doors.client.get("/login"))
    assert told
    assert all("secure" not in text.lower().split("; ") for text in told.values())


@pytest.mark.parametrize("csrf", ["", "x" * 64, "é", "宗地", "\ud7ff", None])
def test_a_login_that_is_not_from_the_page_is_refused(tab: Tab, csrf: str | None) -> None:
    answer = tab.sign_in(csrf=csrf)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert "shikong_session" not in cookies_of(answer)


def test_a_login_with_another_page_s_token_is_refused(tab: Tab) -> None:
    """Who has a page of their own can't have somebody else sign in as them."""
    mine = hidden(tab.get("/login").text)["csrf"]
    tab.client.cookies.clear()
    assert tab.sign_in(csrf=mine).status_code == 403
    tab.client.cookies.clear()
    assert tab.post("/login", {"key": tab.key, "csrf": mine}).status_code == 403


def test_a_wrong_key_begins_nothing(tab: Tab) -> None:
    for wrong in ("", "sk_00000000_wrong", f"{tab.key}x", "é", "x" * 5000):
        answer = tab.sign_in(key=wrong)
        assert answer.status_code == 401
        assert "shikong_session" not in cookies_of(answer)
    assert tab.get("/account").status_code == 401


@pytest.mark.parametrize("after", [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "evil",
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", "/\x7f/x",
    "/%0d%0aSet-Cookie: a=b", "/\r\nSet-Cookie: a=b", "///evil.example", "/login", "", "@evil",
    "/\u2028evil", "http:/evil.example",
])  # fmt: skip
def test_nobody_is_sent_to_another_site(tab: Tab, after: str) -> None:
    for answer in (tab.sign_in(after), tab.sign_in(next=after)):
        assert answer.status_code == 303
        there = answer.headers["location"]
        assert there.startswith(f"{SITE}/")
        assert urlsplit(there).netloc == urlsplit(SITE).netloc
        assert set(cookies_of(answer)) <= {"shikong_session", "shikong_sign_in"}
        tab.client.cookies.clear()


def test_one_goes_on_to_the_page_that_one_came_for(tab: Tab) -> None:
    asked = tab.get("/account", headers=HTML)
    assert asked.status_code == 303
    assert asked.headers["location"] == f"{SITE}/login?next=%2Faccount"
    answer = tab.sign_in("/collections/innerland?f=html")
    assert answer.headers["location"] == f"{SITE}/collections/innerland?f=html"


APPLY = {"role": "reader", "layers": "layer:innerland", "fields": "restricted", "reason": "a case"}


@pytest.mark.parametrize("sent", [
    {"data": APPLY},
    {"data": APPLY | {"csrf": ""}},
    {"data": APPLY | {"csrf": "é"}},
    {"data": APPLY | {"csrf": "0" * 64}},
    {"json": APPLY},
    {"json": APPLY | {"csrf": "TOKEN"}},
    {"json": APPLY, "headers": {"X-CSRF-Token": "0" * 64}},
    {"data": APPLY | {"csrf": "TOKEN"}, "headers": {"Sec-Fetch-Site": "cross-site"}},
    {"data": APPLY | {"csrf": "TOKEN"}, "headers": {"Sec-Fetch-Site": "same-site"}},
    {"json": APPLY, "headers": {"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "cross-site"}},
    {"content": b"csrf=TOKEN&role=reader&reason=x", "headers": {"Content-Type": "text/plain"}},
])  # fmt: skip
def test_another_site_can_t_change_anything_in_a_session(tab: Tab, sent: dict[str, Any]) -> None:
    tab.sign_in()
    token = tab.csrf()
    answer = tab.client.post("/account/applications", **filled(sent, token))
    assert answer.status_code == 403
    assert tab.get("/account").json()["applications"] == []


def filled(sent: Any, token: str) -> Any:
    """Put the session's real token where TOKEN stands."""
    if isinstance(sent, dict):
        return {k: filled(v, token) for k, v in sent.items()}
    if isinstance(sent, bytes):
        return sent.replace(b"TOKEN", token.encode())
    return token if sent == "TOKEN" else sent


def test_every_route_that_changes_something_asks_for_the_token(doors: SecretDoors) -> None:
    """Made of the routes: one that comes later is asked too."""
    from services.app import routes_of

    tab = Tab(doors, key_of(doors, KEYS["administrator"], Terms(Role.PUBLISHER)))
    tab.sign_in()
    asked = 0
    for route in routes_of(doors.app):
        for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            if route.path == "/login":
                continue
            path = re.sub(r"\{[^}]*\}", "1", route.path)
            answer = tab.client.request(method, path, data={"a": "b"}, follow_redirects=False)
            assert answer.status_code == 403, f"{method} {path} needs no token: {answer.text}"
            asked += 1
    assert asked > 8
    assert tab.get("/account").status_code == 200


def test_the_page_s_own_token_is_taken(tab: Tab) -> None:
    tab.sign_in()
    token = tab.csrf()
    for sent in (
        {"data": APPLY | {"csrf": token}},
        {"json": APPLY, "headers": {"X-CSRF-Token": token, "Sec-Fetch-Site": "same-origin"}},
    ):
        assert tab.client.post("/account/applications", **sent).status_code == 200
    assert len(tab.get("/account").json()["applications"]) == 2


def test_a_token_of_another_session_is_refused(tab: Tab) -> None:
    tab.sign_in()
    old = tab.csrf()
    tab.client.cookies.clear()
    tab.sign_in()
    assert tab.csrf() != old
    answer = tab.post("/account/applications", APPLY | {"csrf": old})
    assert answer.status_code == 403


def test_a_key_in_a_header_needs_no_token(tab: Tab) -> None:
    for headers in ({"Authorization": f"Bearer {tab.key}"}, {"X-API-Key": tab.key}):
        answer = tab.post("/account/applications", APPLY, headers=headers)
        assert answer.status_code == 200
    tab.sign_in()
    headers = {"X-API-Key": tab.key, "Sec-Fetch-Site": "cross-site"}
    assert tab.post("/account/applications", APPLY, headers=headers).status_code == 200


@pytest.mark.parametrize("secret", ["broken", "x" * 43, "\u00e9", "a b", "%00"])
def test_a_broken_session_is_401_and_dropped(tab: Tab, secret: str) -> None:
    cookie = {"Cookie": f"shikong_session={secret}".encode("latin-1")}
    for path in (
        "/",
        "/collections",
        "/collections/openland/items",
        "/account",
        "/api",
        "/nowhere",
    ):
        answer = tab.get(path, headers=cookie)
        assert answer.status_code == 401, path
        dropped = cookies_of(answer)["shikong_session"]
        assert "max-age=0" in dropped.lower()
    assert tab.get("/login", headers=cookie).status_code == 200
    assert tab.get("/static/map.css", headers=cookie).status_code == 200


def test_one_can_sign_in_again_with_a_broken_cookie(tab: Tab) -> None:
    tab.client.cookies.set("shikong_session", "broken", domain="map.city.example")
    answer = tab.sign_in()
    assert answer.status_code == 303
    assert "shikong_session" in cookies_of(answer)


@pytest.mark.parametrize("column", ["expires_at", "used_at"])
def test_a_session_ends(tab: Tab, column: str) -> None:
    tab.sign_in()
    assert tab.get("/account").status_code == 200
    long_ago = system_clock() - timedelta(days=2)
    with tab.doors.store.database.keep() as connection:
        connection.execute(sa.update(session).values({column: long_ago}))
    tab.doors.store.register.forget()
    answer = tab.get("/account")
    assert answer.status_code == 401
    assert "shikong_session" in cookies_of(answer)
    tab.client.cookies.clear()
    assert tab.get("/collections").status_code == 200


def test_who_signs_out_is_out(tab: Tab) -> None:
    tab.sign_in()
    secret = tab.client.cookies["shikong_session"]
    assert tab.post("/logout").status_code == 403
    answer = tab.post("/logout", {"csrf": tab.csrf()})
    assert answer.status_code == 303
    assert "shikong_session" in cookies_of(answer)
    # Whoever has kept the cookie has nothing.
    kept = {"Cookie": f"shikong_session={secret}"}
    assert tab.get("/account", headers=kept).status_code == 401


def test_a_revoked_key_ends_its_session(doors: SecretDoors) -> None:
    tab = Tab(doors, key_of(doors, KEYS["reader"]))
    tab.sign_in()
    key_id = tab.get("/account").json()["id"].removeprefix("key:")
    chief = {"X-API-Key": key_of(doors, KEYS["administrator"])}
    tab.client.cookies.clear()
    tab.sign_in()
    secret = tab.client.cookies["shikong_session"]
    done = tab.post(f"/admin/keys/{key_id}/revocation", headers=chief)
    assert done.status_code == 200
    tab.client.cookies.clear()
    assert tab.get("/account", headers={"Cookie": f"shikong_session={secret}"}).status_code == 401
    assert tab.sign_in().status_code == 401


def test_a_page_of_another_session_is_never_taken_for_this_one(doors: SecretDoors) -> None:
    """The same rights, another person: what a browser kept of the one is not the other's."""
    pages = []
    for _ in range(2):
        tab = Tab(doors, key_of(doors, KEYS["reader"]))
        tab.client.cookies.clear()
        tab.sign_in()
        pages.append(tab.get("/collections/openland/items?f=html"))
        etag = pages[0].headers["etag"]
        again = tab.get("/collections/openland/items?f=html", headers={"If-None-Match": etag})
        assert again.status_code == (304 if len(pages) == 1 else 200)
    assert pages[0].headers["etag"] != pages[1].headers["etag"]
