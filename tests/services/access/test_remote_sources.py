"""Other servers as sources: only those of the list, page by page, within bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from liars import Liar

from layers.errors import BadSource
from layers.sourcing import collections
from layers.sourcing.asked import Asked
from services.errors import BadSettings
from services.remote_sources import opened_remote
from services.settings import Settings, read_settings

COUNT = 2_500


def feature(n: int) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": n,
        "properties": {"no": f"W-{n}", "depth": n / 2, "名": "井"},
        "geometry": {"type": "Point", "coordinates": [120 + n / 1e6, 30]},
    }


def paged(offset: str, limit: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A server's items, as many at a time as are asked for, from where it is said."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        start, most = int(asked.get(offset, ["0"])[0]), int(asked[limit][0])
        last = min(start + most, COUNT)
        document: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": [feature(n) for n in range(start, last)],
        }
        if last < COUNT and offset == "offset":
            following = f"/api/collections/wells/items?offset={last}&limit={most}"
            document["links"] = [{"rel": "next", "href": following}]
        body = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def settings(liar: Liar, tmp_path: Path) -> Settings:
    liar.replies["/api/collections/wells/items"] = paged("offset", "limit")
    liar.replies["/wfs"] = paged("startIndex", "count")
    liar.says("/api/collections", {"collections": [{"id": "wells"}, {"id": "roads"}]})
    return Settings(tmp_path, source_hosts=frozenset({liar.host}))


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("/api/collections/wells", None),
        ("/api/collections/wells/items?limit=7", None),
        ("/api", "wells"),
        ("/api/collections/", "wells"),
        ("/wfs", "city:wells"),
        ("/wfs?service=WFS&typeNames=city:wells", None),
    ],
)
def test_every_page_is_read(liar: Liar, settings: Settings, path: str, layer: str | None) -> None:
    with opened_remote(f"{liar.url}{path}", Asked(layer=layer), None, settings) as source:
        batches = list(source.batches())
        assert source.rows == COUNT
        assert source.crs is not None
        assert source.crs.to_epsg() == 4326 or "CRS84" in str(source.crs)
        assert "?" not in source.name
        assert source.name.startswith(liar.url)
    numbers = [no for batch in batches for no in batch.columns["no"].to_pylist()]
    assert numbers == [f"W-{n}" for n in range(COUNT)]
    assert batches[0].geometries is not None
    assert batches[0].geometries[1].wkt == "POINT (120.000001 30)"


def test_nobody_is_asked_by_default(liar: Liar, tmp_path: Path) -> None:
    address = f"{liar.url}/api/collections/wells"
    with (
        pytest.raises(BadSource, match="add it to SHIKONG_SOURCES"),
        opened_remote(address, Asked(), None, Settings(tmp_path)),
    ):
        pass
    assert liar.asked == []


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "https://elsewhere.example/items", "/other"]
)
def test_no_redirect_is_followed(liar: Liar, settings: Settings, target: str) -> None:
    liar.says("/away/items", {}, status=302, location=target)
    liar.says("/other", {"features": [feature(1)]})
    liar.says("/api/collections/away/items", {}, status=302, location=target)
    with (
        pytest.raises(BadSource, match="redirect"),
        opened_remote(f"{liar.url}/api/collections/away", Asked(), None, settings),
    ):
        pass
    assert "/other" not in liar.asked


def test_the_next_page_is_on_the_list_too(liar: Liar, settings: Settings) -> None:
    links = [{"rel": "next", "href": "http://127.0.0.1:1/items"}]
    page = {"features": [feature(1)], "links": links}
    liar.says("/api/collections/wells/items", page)
    with (
        pytest.raises(BadSource, match=r"127\.0\.0\.1:1' is not a host that may be asked"),
        opened_remote(f"{liar.url}/api/collections/wells", Asked(), None, settings),
    ):
        pass


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ({"features": []}, "no features"),
        ({"no": "features"}, "no GeoJSON"),
        ({"features": [{"type": "Point"}]}, "something else than GeoJSON"),
        ({"features": ["x"]}, "something else than GeoJSON"),
        ({"features": [feature(1)], "links": [{"rel": "next", "href": "items"}]}, "in a circle"),
        (
            {"features": [], "crs": {"type": "name", "properties": {"name": "EPSG:4549"}}},
            "answers in EPSG:4549",
        ),
    ],
)
def test_answers_that_are_none(
    liar: Liar, settings: Settings, document: Any, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collections, "_MOST_PAGES", 5)
    liar.says("/api/collections/wells/items", document)
    with (
        pytest.raises(BadSource, match=match),
        opened_remote(f"{liar.url}/api/collections/wells", Asked(), None, settings),
    ):
        pass


def test_what_is_too_much(liar: Liar, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collections, "_MOST_ROWS", 1_500)
    with (
        pytest.raises(BadSource, match="more than can be fetched"),
        opened_remote(f"{liar.url}/api/collections/wells", Asked(), None, settings),
    ):
        pass


@pytest.mark.parametrize("path", ["/api", "/wfs"])
def test_which_is_asked_for(liar: Liar, settings: Settings, path: str) -> None:
    with (
        pytest.raises(BadSource, match="--source-layer"),
        opened_remote(f"{liar.url}{path}", Asked(), None, settings),
    ):
        pass


def test_names_and_passwords_are_left_out(liar: Liar, settings: Settings) -> None:
    # pragma: allowlist nextline secret - of nobody
    address = f"http://gis:s3cret@{liar.host}/api/collections/wells"
    with (
        pytest.raises(BadSource, match="name or a password") as told,
        opened_remote(address, Asked(), None, settings),
    ):
        pass
    assert "s3cret" not in str(told.value)


def test_the_list_is_of_hosts() -> None:
    given = {"SHIKONG_SOURCES": "gis.city.example, 10.1.2.3:8443"}
    assert read_settings(given).source_hosts == {"gis.city.example", "10.1.2.3:8443"}
    assert read_settings({}).source_hosts == frozenset()
    with pytest.raises(BadSettings, match="SHIKONG_SOURCES"):
        read_settings({"SHIKONG_SOURCES": "https://gis.city.example/"})
