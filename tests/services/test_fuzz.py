"""Whatever is asked, no door answers that it broke."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

NASTY = [
    "", " ", "\x00", "%00", "%", "%zz", "..", "../../etc/passwd", "/", "//", "\\", "\n",
    "\r\n\r\n", "\ufffd", "\ud7ff", "𝒳", "宗地", "é" * 50, "\u202e", "'", '"',
    "'; DROP TABLE live.parcels; --", "1 OR 1=1", "${7*7}", "{{7*7}}",
    "<script>alert(1)</script>", "nan", "inf", "-inf", "Infinity", "NaN,NaN,NaN,NaN", "1e308",
    "1e400", "-0", "0", "-1", "1", "4", "99999999999999999999", "9" * 400, "2147483647",
    "2147483648", "9223372036854775808", "0x10", "1_000", "١٢٣", "½", "null", "None", "true",
    "[]", "{}", "0001-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31",
    "9999-12-31T23:59:59.999999-23:59", "../..", "0001-01-01/9999-12-31",
    "2014-06-01T00:00:00Z/..", "-180,-90,180,90", "180,-90,-180,90", "0,0,0,0",
    "-71.2,42.3,-71,42.4", "1e-320,0,1e-320,0", "90,0,-90,0",
    "WyIiLCIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5Il0", "WyJhIiwiMjAxNC0wMS0wMSJd",
    "WyJhIiwiOTk5OS0xMi0zMVQyMzo1OTo1OS0yMzo1OSJd", "eyJhIjoxLCJiIjoyfQ", "W1tbW1tbW1tb",
    "x" * 1900, "html", "json", "mvt", "169-100", "169-100.20140514T040000.000000Z",
    "WebMercatorQuad", "parcels",
]  # fmt: skip
PATHS = [
    "/",
    "/conformance",
    "/api",
    "/health",
    "/collections",
    "/collections/{}",
    "/collections/{}/items",
    "/collections/parcels/items",
    "/collections/incidents/items",
    "/collections/pipe_segments/items",
    "/collections/grids/items",
    "/collections/{}/items/{}",
    "/collections/parcels/items/{}",
    "/collections/incidents/items/{}",
    "/collections/{}/items/{}/versions",
    "/collections/parcels/items/{}/versions",
    "/collections/{}/revisions",
    "/collections/parcels/revisions/{}",
    "/collections/parcels/revisions/{}/faults",
    "/collections/parcels/changes",
    "/collections/parcels/change-dates",
    "/collections/incidents/counts",
    "/collections/parcels/counts",
    "/collections/parcels/items/{}/lineage",
    "/commits",
    "/commits/{}",
    "/tags",
    "/collections/{}/tiles",
    "/collections/parcels/tiles/{}",
    "/collections/{}/tiles/{}/{}/{}/{}",
    "/collections/grids/tiles/WebMercatorQuad/{}/{}/{}",
    "/tileMatrixSets/{}",
    "/processes",
    "/processes/{}",
    "/jobs",
    "/jobs/{}",
    "/static/{}",
    "/{}",
]
NAMES = [
    "f", "bbox", "datetime", "revision", "recorded", "limit", "token", "ml", "uyear", "reported_at",
    "rework_count", "diameter_m", "population", "right_holder", "offset", "", "\x00", "datetime[]",
    "from", "to", "by", "period", "axis", "crs", "profile", "document",
]  # fmt: skip
value = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=30), st.integers().map(str), st.floats().map(str)
)
segment = st.one_of(
    value, st.sampled_from(["0", "5", "12", "parcels", "169-100", "WebMercatorQuad"])
)


@st.composite
def addresses(draw: Any) -> str:
    path = draw(st.sampled_from(PATHS))
    while "{}" in path:
        path = path.replace("{}", quote(draw(segment), safe=draw(st.sampled_from(["", "/."]))), 1)
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), value), max_size=3))
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs)
    return f"{path}?{query}" if pairs else path


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    address=addresses(),
    method=st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    accept=st.sampled_from(["*/*"] * 5 + ["text/html", "a/b;q=nan", ";;;,,,", "text/html;q=1e999"]),
    etag=st.sampled_from([None] * 5 + ['"x"', "*", "", 'W/"', ",,,"]),
)
def test_nothing_breaks(
    client: TestClient, address: str, method: str, accept: str, etag: str | None
) -> None:
    headers = {"Accept": accept} | ({} if etag is None else {"If-None-Match": etag})
    answer = client.request(method, f"http://testserver{address}", headers=headers)
    assert answer.status_code < 500, (method, address, answer.text)
    if (
        answer.status_code >= 400
        and method != "HEAD"
        and "html" not in answer.headers["content-type"]
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        problem = orjson.loads(answer.content)
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["detail"]
        assert "Traceback" not in problem["detail"]
        assert "SELECT" not in problem["detail"]


def test_every_nasty_value_in_every_parameter(client: TestClient) -> None:
    """Not by chance: each of them, in each place where a value is read."""
    places = {"f": "grids", "bbox": "grids", "datetime": "grids", "revision": "grids"}
    places |= {"recorded": "grids", "limit": "grids", "token": "grids"}
    places |= {"population": "grids", "diameter_m": "pipe_segments", "reported_at": "incidents"}
    places |= {"install_date": "pipe_nodes"}
    for name, layer in places.items():
        for nasty in NASTY:
            sent = f"{quote(name, safe='')}={quote(nasty, safe='')}"
            more = "" if name == "limit" else "&limit=1"
            address = f"/collections/{layer}/items?{sent}{more}"
            if name == "f" and nasty == "html":
                continue
            answer = client.get(address)
            assert answer.status_code in (200, 400, 404, 406), (address, answer.text)
    elsewhere = [("changes", name) for name in ("from", "to", "datetime", "token", "crs", "limit")]
    elsewhere += [("change-dates", name) for name in ("bbox", "datetime", "axis", "token", "limit")]
    elsewhere += [("counts", name) for name in ("by", "period", "datetime", "limit", "bbox")]
    elsewhere += [("revisions", "token"), ("commits", "token"), ("items", "profile")]
    for (place, name), nasty in itertools.product(elsewhere, NASTY):
        more = "" if name == "limit" or place == "counts" else "&limit=1"
        address = f"/collections/grids/{place}?{name}={quote(nasty, safe='')}{more}"
        answer = client.get(address)
        assert answer.status_code in (200, 400, 404), (address, answer.text)
    for nasty in NASTY:
        text = quote(nasty, safe="")
        for path in (f"/collections/{text}", f"/collections/grids/items/{text}"):
            answer = client.get(f"http://testserver{path}")
            assert answer.status_code < 500, (path, answer.text)
