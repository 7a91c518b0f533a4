"""What answers tell browsers: each kind of answer its policy, and who may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from layers.store import Store
from services.app import create_app
from services.app import routes_of as every_route
from services.errors import BadSettings
from services.settings import Settings, read_settings

VALUES = {
    "collectionId": "parcels",
    "layer": "parcels",
    "featureId": "169-100",
    "number": "1",
    "keyId": "none",
    "personId": "none",
    "tileMatrixSetId": "WebMercatorQuad",
    "archiveId": "r4-0123456789abcdef.pmtiles",
    "tileMatrix": "14",
    "tileRow": "6060",
    "tileCol": "4956",
    "style": "default",
    "time": "current",
    "processID": "assign-cases-to-grids",
    "jobID": "none",
    "commitId": "1",
    "styleId": "parcels",
    "spriteFile": "shikong.json",
}
MINIMAL = {"default-src": "'none'", "frame-ancestors": "'none'"}
WEB = Path(__file__).resolve().parents[3] / "services/web"
SITE = "https://portal.city.example"


def policy(answer: Any) -> dict[str, str]:
    """The directives of an answer's policy."""
    words = answer.headers["content-security-policy"].split("; ")
    return {name: rest for name, _, rest in (w.partition(" ") for w in words)}


def check_answer(answer: Any, address: str) -> None:
    """An answer that is part of no page: nothing in it runs, and anybody may read it."""
    assert policy(answer) == MINIMAL, address
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin", address
    assert "permissions-policy" not in answer.headers


def check_page(answer: Any, address: str) -> None:
    """A page, or what one is made of: from here alone, and framed by nobody else."""
    found = policy(answer)
    assert found["default-src"] == "'none'", address
    assert found["script-src"] == found["style-src"] == found["connect-src"] == "'self'"
    assert (found["base-uri"], found["frame-ancestors"]) == ("'none'", "'self'")
    assert found["form-action"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "geolocation=()" in answer.headers["permissions-policy"]


def check_any(answer: Any, address: str) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff", address
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Method and address of each route that the application has, whoever added it."""
    found = []
    for route in every_route(app):
        path = route.path.replace(":path}", "}")
        found += [(m, path.format_map(VALUES)) for m in sorted(route.methods or ())]
    return found


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_every_route_has_the_headers_of_its_answer(client: TestClient, accept: str) -> None:
    assert isinstance(client.app, FastAPI)
    kinds = set()
    asked = routes_of(client.app)
    assert len(asked) > 20
    for method, path in [*asked, ("GET", "/no/such/place"), ("DELETE", "/collections")]:
        answer = client.request(method, path, headers={"Accept": accept}, follow_redirects=False)
        check_any(answer, path)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if path != "/login":  # a page for people only
            kinds.add(kind)
        (check_page if kind == "text/html" else check_answer)(answer, path)
    assert "application/vnd.mapbox-vector-tile" in kinds
    assert ("text/html" in kinds) == (accept == "text/html")
    assert "application/json" in kinds


def test_what_pages_are_made_of_has_the_policy_of_pages(client: TestClient) -> None:
    """A worker obeys what its own script came with."""
    assert isinstance(client.app, FastAPI)
    assert any(isinstance(r, Mount) and r.path == "/static" for r in client.app.routes)
    for name in ("map.js", "map.css", "pages.css"):
        check_page(client.get(f"/static/{name}"), name)
    worker = "vendor/maplibre-gl/maplibre-gl-worker.mjs"
    if (WEB / worker).exists():
        check_page(client.get(f"/static/{worker}"), worker)
    check_answer(client.get("/static/package.json"), "package.json")


def test_errors_and_refusals_have_them_too(client: TestClient) -> None:
    wrong = {"Authorization": "Bearer sk_00000000_wrong"}
    check_answer(client.get("/collections", headers=wrong), "401")
    check_page(client.get("/collections", headers=wrong | {"Accept": "text/html"}), "401")
    check_answer(client.get("/collections?datetime=x"), "400")
    check_page(client.get("/collections?datetime=x&f=html"), "400")


def test_what_nobody_expected_has_them_too(demo_store: Store, settings: Settings) -> None:
    app = create_app(demo_store, settings)

    async def fail(request: Request) -> Response:
        raise RuntimeError("nobody expected this")

    app.router.routes.append(Route("/fail", fail))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/fail")
        assert answer.status_code == 500
        check_answer(answer, "/fail")
        check_any(answer, "/fail")
        check_page(client.get("/fail", headers={"Accept": "text/html"}), "/fail")


def test_unchanged_leaves_the_policy_that_the_browser_has(client: TestClient) -> None:
    for path in ("/static/map.js", "/?f=html", "/collections"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert not [h for h in again.headers if h.startswith(("content-security", "x-frame"))]
        assert again.headers["x-content-type-options"] == "nosniff"
        assert again.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("base", "expected"),
    [("https://map.city.example", "max-age=31536000"), ("http://map.city.example", None)],
)
def test_who_speaks_tls_stays_with_it(
    demo_store: Store, settings: Settings, base: str, expected: str | None
) -> None:
    with TestClient(create_app(demo_store, replace(settings, base_url=base))) as client:
        for path in ("/", "/?f=html", "/nowhere", "/static/map.js"):
            assert client.get(path).headers.get("strict-transport-security") == expected


def ask(client: TestClient, origin: str | None, **more: str) -> Mapping[str, str]:
    headers = more | ({"Origin": origin} if origin else {})
    return client.get("/collections", headers=headers).headers


def test_only_sites_that_are_named_may_read(demo_store: Store, settings: Settings) -> None:
    app = create_app(demo_store, replace(settings, cors_origins=(SITE, "http://10.0.0.7:8080")))
    with TestClient(app) as client:
        for origin in (SITE, "http://10.0.0.7:8080"):
            found = ask(client, origin)
            assert found["access-control-allow-origin"] == origin
            assert "Content-Revision" in found["access-control-expose-headers"]
        for wrong in (f"{SITE}.evil.example", SITE.replace("https", "http"), "null", None, "*"):
            assert "access-control-allow-origin" not in ask(client, wrong), wrong
        for asked in (SITE, "null", None):
            vary = [name.strip() for name in ask(client, asked)["vary"].split(",")]
            assert "Origin" in vary
            assert "Accept" in vary
            assert "access-control-allow-credentials" not in ask(client, asked)
        assert ask(client, None)["cross-origin-resource-policy"] == "same-site"
        may = {"Access-Control-Request-Method": "GET"}
        yes = client.options("/collections", headers=may | {"Origin": SITE})
        no = client.options("/collections", headers=may | {"Origin": "https://evil.example"})
        assert yes.headers["access-control-allow-origin"] == SITE
        assert "access-control-allow-origin" not in no.headers


def test_no_other_site_may_read_where_none_is_named(demo_store: Store, settings: Settings) -> None:
    closed = replace(
        settings, cors_origins=read_settings({"SHIKONG_CORS_ORIGINS": ""}).cors_origins
    )
    with TestClient(create_app(demo_store, closed)) as client:
        assert "access-control-allow-origin" not in ask(client, SITE)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, ("*",)),
        ("*", ("*",)),
        ("", ()),
        ("https://a.example", ("https://a.example",)),
        ("https://A.example/, http://b:8080", ("https://a.example", "http://b:8080")),
        ("https://a.example http://[::1]:80", ("https://a.example", "http://[::1]:80")),
    ],
)
def test_sites_are_read_from_the_settings(written: str | None, read: tuple[str, ...]) -> None:
    environment = {} if written is None else {"SHIKONG_CORS_ORIGINS": written}
    assert read_settings(environment).cors_origins == read


@pytest.mark.parametrize(
    "written", ["a.example", "https://a.example/path", "null", "https://*.a.example", "ftp://a"]
)
def test_what_is_no_site_is_refused(written: str) -> None:
    with pytest.raises(BadSettings, match="is no site; write https://"):
        read_settings({"SHIKONG_CORS_ORIGINS": f"https://b.example,{written}"})
