"""What was, over HTTP: changes, log, tags, lineage, change dates, counts; JSON and pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

PARCELS, CASES = "/collections/parcels", "/collections/incidents"
EACH = [
    f"{PARCELS}/items/169-100/versions",
    f"{PARCELS}/items/169-100/lineage",
    f"{PARCELS}/changes?from=2&limit=20&f=json",
    f"{PARCELS}/changes?from=2&to=4&datetime=2014-05-20&f=json",
    f"{PARCELS}/changes?datetime=2013-06-01/2014-06-01&limit=5&f=json",
    f"{PARCELS}/change-dates",
    f"{PARCELS}/change-dates?axis=recorded",
    f"{CASES}/change-dates?limit=3",
    f"{PARCELS}/counts",
    f"{PARCELS}/counts?by=uyear&period=year",
    f"{CASES}/counts?period=day&limit=3",
    f"{CASES}/counts?by=state",
    f"{PARCELS}/revisions?limit=2",
    f"{PARCELS}/commits?limit=2",
    f"{PARCELS}/tags",
    "/commits?limit=2",
    "/commits/2",
    "/tags",
]


def links(document: dict[str, Any]) -> dict[str, str]:
    return {x["rel"]: x["href"] for x in document["links"]}


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


@pytest.mark.parametrize("address", EACH)
def test_each_is_a_document_and_a_page_and_its_links_lead_somewhere(
    client: TestClient, address: str
) -> None:
    document = client.get(address)
    assert document.status_code == 200, document.text
    page = client.get(address.replace("&f=json", ""), headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    for found in _links(document.json()):
        there = client.get(found["href"])
        assert there.status_code == 200, found
        assert there.headers["content-type"].removesuffix("; charset=utf-8") == found["type"], found
    tag = document.headers["etag"]
    again = client.get(address, headers={"If-None-Match": tag})
    if "datetime" not in document.json() or "datetime=" in address:
        assert again.status_code == 304


def _links(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [x for v in value for x in _links(v)]
    if not isinstance(value, dict):
        return []
    own = [x for x in value.get("links", ()) if "href" in x]
    return own + [x for k, v in value.items() if k != "links" for x in _links(v)]
