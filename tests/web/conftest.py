"""The demo city behind a real server, and a real browser before it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from layers.store import Store
from services.app import create_app
from services.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
VENDOR = Path(__file__).resolve().parents[2] / "services/web/vendor/maplibre-gl/maplibre-gl.mjs"
ARGUMENTS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


# What a page's policy forbade, said aloud: of some things the console says nothing by itself.
OVERHEAR = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`))"""


@contextmanager
def running(app: Any, listener: socket.socket) -> Iterator[None]:
    """Serve an application on a socket in a thread."""
    config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def needed() -> None:
    """What a map in a browser needs of the machine."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: install Debian's chromium")
    if not VENDOR.exists():
        pytest.skip("services/web/vendor is empty: make web fetches the map library")


@pytest.fixture(scope="session")
def server(
    needed: None, demo_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the demo city's server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # All the browsers of the tests come from one address.
        settings = Settings(tmp_path_factory.mktemp("data"), rate="100000/minute")
        app = create_app(demo_store, settings)
        with running(app, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def server_below(
    needed: None, demo_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The same behind a proxy that gives it the path /city and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}/city"
        data = tmp_path_factory.mktemp("data")
        app = create_app(demo_store, Settings(data, base_url=base, rate="100000/minute"))

        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            path = scope["path"].removeprefix("/city")
            if path == scope["path"]:
                path = "/outside"
            await app(scope | {"path": path, "raw_path": path.encode()}, receive, send)

        with running(proxy, listener):
            yield base


# The browser's loop runs in this thread until it is closed, and other modules start their own.
@pytest.fixture(scope="module")
def browser(needed: None) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@dataclass
class Tab:
    """A page with all that it asked for and complained of."""

    page: Page
    base: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open a page, and wait for the map where it is one."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == 200, path
        if self.page.locator("body.map").count():
            # wait_for_function would need the page's policy to allow eval.
            pause = "new Promise((then) => setTimeout(then, 50))"
            self.wait_for(f"(async () => {{ while (!window.shikong) await {pause}; }})()")
            self.wait_for("shikong.ready")

    def settle(self) -> None:
        """Wait until the map has drawn what it was told to."""
        self.wait_for("shikong.idle()")

    def wait_for(self, promise: str) -> None:
        """Wait for a promise of the page, within bounds."""
        late = "new Promise((_, no) => setTimeout(no, 60000, Error('the map does not settle')))"
        self.page.evaluate(f"Promise.race([{promise}, {late}])")

    @property
    def tiles(self) -> list[str]:
        """The tiles that were asked for."""
        return [url for url in self.asked if "/tiles/" in url]


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; none may ask another host for anything, nor complain."""
    tabs: list[Tab] = []

    def make(base: str, width: int = 1000, height: int = 640) -> Tab:
        context = browser.new_context(viewport={"width": width, "height": height})
        tab = Tab(context.new_page(), base)
        tabs.append(tab)
        page, own = tab.page, base.partition("://")[2].partition("/")[0]

        def note(request: Request) -> None:
            where = urlsplit(request.url)
            if where.scheme in ("data", "blob"):
                return
            tab.asked.append(request.url)
            if where.netloc != own:
                tab.complaints.append(f"asked another host: {request.url}")

        def hear(message: ConsoleMessage) -> None:
            if message.type == "error":
                tab.complaints.append(message.text)

        context.add_init_script(OVERHEAR)
        context.on("request", note)
        page.on("console", hear)
        page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        return tab

    yield make
    for tab in tabs:
        tab.page.context.close()
    assert [c for tab in tabs for c in tab.complaints] == []
