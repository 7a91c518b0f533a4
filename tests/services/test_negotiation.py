"""Which format a request gets: by name, by Accept, and what stands behind both."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from services.errors import NotAcceptable
from services.formats import ITEM, ITEMS
from services.negotiation import choose_format

ITEMS_OF = "/collections/grids/items"


def request(accept: str | None = None, query: str = "") -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/geo+json", "json"),
        ("application/*", "json"),
        ("text/html", "html"),
        ("text/*", "html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("text/html, application/geo+json", "json"),
        ("text/csv", "csv"),
        ("text/*;q=0.5, text/csv", "csv"),
        ("text/csv;header=present", "csv"),
        ("application/vnd.apache.parquet, */*;q=0.1", "geoparquet"),
        ("application/x-parquet", "geoparquet"),
        ("application/vnd.flatgeobuf", "flatgeobuf"),
        ("APPLICATION/VND.APACHE.ARROW.STREAM", "arrow"),
        ("application/geo+json-seq;q=0.9, application/x-ndjson;q=0.8", "geojsonseq"),
        ("application/vnd.ogc.fg+json", "jsonfg"),
        # The most specific range counts, wherever it stands.
        ("*/*, application/geo+json;q=0, application/json;q=0", "html"),
        ("application/geo+json;q=0.1, text/html;q=0.2", "html"),
        # What names nothing that there is gets the default, as RFC 9110 allows.
        ("image/png", "json"),
        ("text/csv;q=0", "json"),
        ("nonsense;;q=,", "json"),
    ],
)
def test_accept(accept: str | None, name: str) -> None:
    assert choose_format(request(accept), ITEMS).name == name


def test_the_name_goes_before_accept() -> None:
    for offered in ITEMS:
        assert choose_format(request("text/html", f"f={offered.name}"), ITEMS) == offered


def test_a_name_that_is_not_there_is_told_of_those_that_are() -> None:
    with pytest.raises(NotAcceptable, match=r"json, html, jsonfg$"):
        choose_format(request(None, "f=csv"), ITEM)


def test_an_answer_has_the_type_it_was_asked_by() -> None:
    asked = choose_format(request("application/fg+json"), ITEMS)
    assert (asked.name, asked.media_type) == ("jsonfg", "application/fg+json")
    assert choose_format(request("application/json"), ITEMS).media_type == "application/json"


def test_several_headers_are_one_list() -> None:
    headers = [(b"accept", b"image/png"), (b"accept", b"text/csv")]
    both = Request({"type": "http", "headers": headers, "query_string": b""})
    assert choose_format(both, ITEMS).name == "csv"


def test_the_door_answers_in_each_format(client: TestClient) -> None:
    for offered in ITEMS:
        answer = client.get(ITEMS_OF, params={"f": offered.name, "limit": 3})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == offered.media_type
        assert "accept" in answer.headers["vary"].lower()
    refused = client.get(ITEMS_OF, params={"f": "shp"})
    assert refused.status_code == 406
    assert all(offered.name in refused.json()["detail"] for offered in ITEMS)


def test_a_page_links_to_itself_in_every_format(client: TestClient) -> None:
    page = client.get(ITEMS_OF, params={"bbox": "-71.2,42.3,-71.0,42.4", "limit": "3"}).json()
    found = {
        (link["rel"], link["type"]): link["href"]
        for link in page["links"]
        if link["rel"] in ("self", "alternate")
    }
    assert ("self", "application/geo+json") in found
    for offered in ITEMS[1:]:
        href = found["alternate", offered.link_type]
        answer = client.get(href)
        assert answer.status_code == 200, href
        assert "bbox=" in href
        assert ("limit=" in href) == (offered.write is None)


def test_openapi_names_every_format(client: TestClient) -> None:
    document = client.get("/api", headers={"Accept": "application/json"}).json()
    assert document["components"]["parameters"]["f-items"]["schema"]["enum"] == [
        offered.name for offered in ITEMS
    ]
    said = document["paths"]["/collections/{collectionId}/items"]["get"]
    content = said["responses"]["200"]["content"]
    assert {offered.media_type.partition(";")[0] for offered in ITEMS} == set(content)
