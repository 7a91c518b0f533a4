"""The pages' policy in a real Chromium: it forbids what it is for, and nothing that they need."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from playwright.sync_api import Page
from starlette.responses import HTMLResponse
from starlette.types import Message, Receive, Scope, Send

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import Store, open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases
from tests.web.conftest import running

if TYPE_CHECKING:
    from tests.web.conftest import Tab

OpenTab: TypeAlias = "Callable[..., Tab]"
PLANT = """(made) => {
    const { name, attributes, text } = made;
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text ?? "";
    document.body.append(element);
}"""
FORBIDDEN = [
    ("script-src-elem", {"name": "script", "attributes": {}, "text": "window.planted = true"}),
    ("script-src-elem", {"name": "script", "attributes": {"src": "ELSEWHERE/x.js"}}),
    ("style-src-attr", {"name": "p", "attributes": {"style": "position: fixed"}}),
    ("style-src-elem", {"name": "style", "attributes": {}, "text": "body { display: none }"}),
    ("img-src", {"name": "img", "attributes": {"src": "ELSEWHERE/seen.png"}}),
    ("frame-src", {"name": "iframe", "attributes": {"src": "ELSEWHERE/"}}),
    ("object-src", {"name": "object", "attributes": {"data": "ELSEWHERE/"}}),
    ("base-uri", {"name": "base", "attributes": {"href": "ELSEWHERE/"}}),
]


@dataclass
class Site:
    """Another site, with an empty page at every address, and what it was asked for."""

    base: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Site]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        site.asked.append(scope["path"])
        await HTMLResponse("<!doctype html><title>Another site</title>")(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listener, running(app, listener):
        site = Site(f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield site


def said(tab: Tab, words: str) -> None:
    """Wait for a complaint with words in it, and take all off the list."""
    for _ in range(200):
        if any(words in complaint for complaint in tab.complaints):
            break
        tab.page.wait_for_timeout(50)
    assert any(words in complaint for complaint in tab.complaints), (words, tab.complaints)
    tab.complaints.clear()


@pytest.mark.parametrize(("directive", "made"), FORBIDDEN)
def test_what_is_planted_in_a_page_does_nothing(
    server: str, elsewhere: Site, open_tab: OpenTab, directive: str, made: dict[str, Any]
) -> None:
    tab = open_tab(server)
    tab.open("/collections?f=html")
    elsewhere.asked.clear()
    attributes = {k: v.replace("ELSEWHERE", elsewhere.base) for k, v in made["attributes"].items()}
    tab.page.evaluate(PLANT, made | {"attributes": attributes})
    said(tab, f"policy: {directive}")
    assert tab.page.evaluate("window.planted") is None
    assert tab.page.evaluate("document.baseURI").startswith(server)
    assert elsewhere.asked == []


def test_a_page_asks_no_other_server(server: str, elsewhere: Site, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.open("/collections?f=html")
    elsewhere.asked.clear()
    assert read_from(tab.page, elsewhere.base) == "TypeError"
    said(tab, "policy: connect-src")
    assert elsewhere.asked == []


def test_the_map_opens_again_from_what_the_browser_has(
    needed: None, demo_store: Store, tmp_path: Path, open_tab: OpenTab
) -> None:
    """An answer that nothing changed leaves the map's worker the policy that it had."""
    app = create_app(demo_store, Settings(tmp_path))
    unchanged = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message.get("status") == 304:
                unchanged.append(scope["path"].rpartition("/")[2])
            await send(message)

        await app(scope, receive, watch)

    with socket.create_server(("127.0.0.1", 0)) as listener, running(watched, listener):
        tab = open_tab(f"http://127.0.0.1:{listener.getsockname()[1]}")
        tab.open("/#map=17/42.3741/-71.1197")
        assert unchanged == []
        tab.page.goto("about:blank")
        tab.open("/#map=17/42.3741/-71.1197")
        assert {"", "map.js", "maplibre-gl-worker.mjs"} <= set(unchanged)
        tab.page.goto("about:blank")


def test_who_signs_in_meets_no_policy_of_ours(
    needed: None,
    demo_template: str,
    make_database: Databases,
    tmp_path: Path,
    open_tab: OpenTab,
) -> None:
    with make_database.passing(demo_template) as dsn, closing(open_store(dsn)) as store:
        with store.database.keep() as connection:
            key, text = create_key(connection, "a clerk", system_clock())
            give(connection, key.caller, Terms(Role.ADMINISTRATOR), "tests", system_clock())
        app = create_app(store, Settings(tmp_path))
        with socket.create_server(("127.0.0.1", 0)) as listener, running(app, listener):
            tab = open_tab(f"http://127.0.0.1:{listener.getsockname()[1]}")
            tab.open("/login")
            tab.page.get_by_label("密钥 Key").fill(text)
            tab.page.locator("main form").get_by_role("button").click()
            tab.page.wait_for_url("**/account")
            for path in ("/account", "/admin"):
                tab.open(path)
                assert tab.page.get_by_role("heading", level=1).inner_text().strip(), path
            tab.page.goto("about:blank")


def read_from(page: Page, address: str) -> object:
    """Return what a page of another site gets for an address: its status, or the error."""
    return page.evaluate("(url) => fetch(url).then((a) => a.status, (e) => e.name)", address)


def test_another_site_reads_answers_but_frames_nothing(
    server: str, elsewhere: Site, open_tab: OpenTab
) -> None:
    tab = open_tab(elsewhere.base)
    tab.open("/")
    assert read_from(tab.page, f"{server}/collections") == 200
    for path in ("/", "/collections?f=json"):
        tab.page.evaluate(PLANT, {"name": "iframe", "attributes": {"src": server + path}})
        said(tab, "frame-ancestors")


def test_only_the_sites_that_are_named_read_answers(
    needed: None, demo_store: Store, tmp_path: Path, elsewhere: Site, open_tab: OpenTab
) -> None:
    for origins, expected in (((elsewhere.base,), 200), (("https://map.example",), "TypeError")):
        app = create_app(demo_store, Settings(tmp_path, cors_origins=origins))
        with socket.create_server(("127.0.0.1", 0)) as listener, running(app, listener):
            tab = open_tab(elsewhere.base)
            tab.open("/")
            own = f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert read_from(tab.page, f"{own}/collections") == expected
            tab.complaints.clear()
