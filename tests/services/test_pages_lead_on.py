"""Links between pages lead to pages: those of a collection to its own, and not above it."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "page", ["/collections/parcels", "/collections/parcels/tiles", "/styles", "/styles/parcels"]
)
def test_every_link_of_a_page_is_there(
    client: TestClient, browser: dict[str, str], page: str
) -> None:
    text = client.get(page, headers=browser).text
    found = {h.replace("&amp;", "&") for h in re.findall(r'<a [^>]*href="([^"#]+)"', text)}
    ours = {h for h in found if h.startswith(("http://testserver", "/", "?")) or "://" not in h}
    assert len(ours) > 5
    for href in ours:
        # As a browser reads it: from the page on.
        there = client.get(client.base_url.join(page).join(href), headers=browser)
        assert there.status_code == 200, href
