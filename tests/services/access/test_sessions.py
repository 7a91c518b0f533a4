"""Sessions of people who browse: begun with a key, kept by a cookie, theirs alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.store import Store, open_store
from layers.tables import session
from services.access import cookies
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

PAGE = {"Accept": "text/html"}
ADMIN = Terms(Role.ADMINISTRATOR)
APPLY = {"role": "reader", "layers": "layer:parcels", "fields": "internal", "reason": "a survey"}


@dataclass
class Site:
    """An application, and whoever browses it."""

    store: Store
    client: TestClient

    def key(self, *terms: Terms) -> str:
        """Return the text of a new key."""
        desk = Desk(self.store.register, Caller("shell:tests", "tests"), unbounded=True)
        made, text = desk.make_key("somebody", None)
        for given in terms:
            desk.give(made.caller, given)
        return text

    def sign_in(self, key: str, after: str = "/account") -> Any:
        """Fill the page's form in, and send it."""
        page = self.client.get("/login", params={"next": after}, headers=PAGE)
        form = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', page.text)) | {"key": key}
        return self.client.post("/login", data=form, headers=PAGE, follow_redirects=False)

    def token(self) -> str:
        """Return the token of the session's forms."""
        page = self.client.get("/account", headers=PAGE).text
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
        assert found
        return found[1]

    def post(self, address: str, **form: str) -> Any:
        """Send a form as the page does."""
        data = form | {"csrf": self.token()}
        return self.client.post(address, data=data, headers=PAGE, follow_redirects=False)


@pytest.fixture
def site(demo_template: str, make_database: Databases, settings: Settings) -> Iterator[Site]:
    with make_database.passing(demo_template) as dsn, closing(open_store(dsn)) as store:
        app = create_app(store, settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Site(store, client)


def test_a_key_begins_a_session_that_ends(site: Site) -> None:
    assert site.client.get("/account").status_code == 401
    began = site.sign_in(site.key())
    assert (began.status_code, began.headers["location"]) == (303, "http://testserver/account")
    set_cookie = began.headers["set-cookie"].lower()
    assert f"{cookies.SESSION}=" in set_cookie
    assert "httponly" in set_cookie
    assert "samesite=lax" in set_cookie
    assert "secure" not in set_cookie
    assert site.client.get("/account").json()["id"].startswith("key:")
    assert site.post("/logout").status_code == 303
    assert site.client.get("/account").status_code == 401


def test_over_https_cookies_are_for_https_alone(site: Site, settings: Settings) -> None:
    app = create_app(site.store, replace(settings, base_url="https://map.city.example"))
    with TestClient(app, base_url="https://map.city.example") as client:
        assert "secure" in client.get("/login").headers["set-cookie"].lower()
        began = Site(site.store, client).sign_in(site.key())
        assert "secure" in began.headers["set-cookie"].lower()


def test_the_secret_of_a_session_is_not_kept(site: Site) -> None:
    site.sign_in(site.key())
    secret = site.client.cookies[cookies.SESSION]
    with site.store.database.keep() as connection:
        assert secret not in str(connection.execute(sa.select(session)).all())


@pytest.mark.parametrize("key", ["", "wrong", "sk_0000_x", "' OR 1=1 --", "x" * 5000])
def test_a_wrong_key_begins_nothing(site: Site, key: str) -> None:
    answer = site.sign_in(key)
    assert answer.status_code == 401
    assert "密钥无效" in answer.text
    assert cookies.SESSION not in site.client.cookies
    assert not key or key not in answer.text


def test_a_sign_in_form_of_another_site_is_refused(site: Site) -> None:
    """Else somebody could be signed in as another, and tell them what they type."""
    key = site.key()
    assert site.client.post("/login", data={"key": key}).status_code == 403
    site.client.get("/login")
    for token in ("", "0" * 64, site.client.cookies[cookies.SIGN_IN]):
        sent = {"key": key, "csrf": token}
        assert site.client.post("/login", data=sent).status_code == 403
    assert cookies.SESSION not in site.client.cookies


def test_changes_in_a_session_need_the_page_s_own_token(site: Site) -> None:
    site.sign_in(site.key(Terms(Role.PUBLISHER)))
    token, apply = site.token(), "/account/applications"
    upload = "/collections/parcels/revisions?dry-run=true"
    for wrong in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": token[:-1]}):
        assert site.client.post(apply, data=APPLY | wrong).status_code == 403
        assert site.client.post(upload, json={}, headers=wrong).status_code == 403
    assert site.client.post(apply, json=APPLY).status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": token}
    assert site.client.post(apply, json=APPLY, headers=cross).status_code == 403
    assert site.client.post(apply, json=APPLY, headers={"X-CSRF-Token": token}).status_code == 200
    assert site.client.post(apply, data=APPLY | {"csrf": token}).status_code == 200
    # Another session's token is none of this one's.
    site.client.cookies.clear()
    site.sign_in(site.key())
    assert site.client.post(apply, data=APPLY | {"csrf": token}).status_code == 403


@pytest.mark.parametrize("end", ["revoked", "idle", "old", "unknown"])
def test_a_session_that_is_over_is_401_and_drops_its_cookie(site: Site, end: str) -> None:
    key = site.key()
    site.sign_in(key)
    with site.store.database.keep() as connection:
        now = site.store.clock()
        if end == "idle":
            connection.execute(sa.update(session).values(used_at=now - timedelta(hours=3)))
        if end == "old":
            connection.execute(sa.update(session).values(expires_at=now))
        if end == "unknown":
            connection.execute(sa.delete(session))
    if end == "revoked":
        desk = Desk(site.store.register, Caller("shell:tests", "tests"), unbounded=True)
        desk.revoke_key(key.split("_")[1])
    site.store.register.forget()
    for address in ("/collections", "/account", "/", "/collections/parcels/items?limit=1"):
        secret = site.client.cookies.get(cookies.SESSION)
        answer = site.client.get(address, headers={"Cookie": f"{cookies.SESSION}={secret or 'x'}"})
        assert answer.status_code == 401, address
        assert f'{cookies.SESSION}=""' in answer.headers["set-cookie"]
    # Whoever's session is over can sign in again.
    broken = {"Cookie": f"{cookies.SESSION}=broken"}
    assert site.client.get("/login", headers=broken).status_code == 200


def test_who_has_not_signed_in_is_sent_to_the_page_and_back(site: Site) -> None:
    asked = site.client.get("/account", headers=PAGE, follow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "http://testserver/login?next=%2Faccount",
    )
    began = site.sign_in(site.key(), after="/collections?f=html")
    assert began.headers["location"] == "http://testserver/collections?f=html"
    for away in ("//evil.example", "https://evil.example", "/\\evil.example", "/login"):
        assert site.sign_in(site.key(), away).headers["location"] == "http://testserver/account"


def test_an_application_becomes_access(site: Site) -> None:
    key = site.key()
    site.sign_in(key)
    assert site.post("/account/applications", **APPLY).status_code == 303
    (made,) = site.client.get("/account").json()["applications"]
    assert site.post(f"/admin/applications/{made['id']}/decision").status_code == 403
    site.client.cookies.clear()
    site.sign_in(site.key(ADMIN))
    assert "a survey" in site.client.get("/admin", headers=PAGE).text
    decided = f"/admin/applications/{made['id']}/decision"
    assert site.post(decided, decision="approved").status_code == 303
    assert site.post(decided, decision="approved").status_code == 404
    (grant,) = site.client.get("/account", headers={"X-API-Key": key}).json()["grants"]
    assert (grant["layers"], grant["application"]) == ("layer:parcels", made["id"])
    assert site.post(f"/admin/grants/{grant['id']}/end").status_code == 303
    (grant,) = site.client.get("/account", headers={"X-API-Key": key}).json()["grants"]
    assert grant["taken_by"].startswith("key:")


def test_an_administrator_makes_and_revokes_keys_on_the_page(site: Site) -> None:
    site.sign_in(site.key(ADMIN))
    made = site.post("/admin/keys", name="QGIS", days="9", role="reader", layers="*")
    text = re.search(r"sk_[\w-]+", made.text)
    assert text
    headers = {"X-API-Key": text[0]}
    assert site.client.get("/account", headers=headers).json()["name"] == "QGIS"
    page = site.client.get("/admin", headers=PAGE).text
    assert text[0] not in page
    key_id = text[0].split("_")[1]
    assert site.post(f"/admin/keys/{key_id}/revocation").status_code == 303
    assert site.client.get("/account", headers=headers).status_code == 401
    for wrong in ({"name": ""}, {"days": "x"}, {"role": "king"}, {"layers": "parcels"}):
        form = {"name": "n", "days": "9", "role": "reader", "layers": "*"} | wrong
        assert site.post("/admin/keys", **form).status_code == 400


def test_the_audit_tells_an_administrator_who_came(site: Site) -> None:
    site.sign_in("wrong")
    site.sign_in(site.key(ADMIN))
    entries = site.client.get("/admin/audit").json()["entries"]
    actions = [e["action"] for e in entries]
    assert actions[:2] == ["login", "grant"]
    assert "login-failed" in actions
    assert [e["seq"] for e in entries] == list(range(len(entries), 0, -1))
    one = site.client.get("/admin/audit?action=login&limit=1").json()["entries"]
    assert [e["action"] for e in one] == ["login"]
    assert "login-failed" in site.client.get("/admin/audit", headers=PAGE).text
    site.client.cookies.clear()
    site.sign_in(site.key(Terms(Role.ADMINISTRATOR, "layer:parcels")))
    assert site.client.get("/admin/audit").status_code == 403
    assert "keys" not in site.client.get("/admin").json()
