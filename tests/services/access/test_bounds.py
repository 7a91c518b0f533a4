"""What a request may carry: refused early, with the place and the remedy."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from shapely.geometry import mapping
from shapely.geometry import shape as make_shape

from services.access.bounds import DEEPEST_VALUE, MOST_PROPERTIES, Bounds, check_geojson
from services.errors import BadBody, BodyTooLarge, ServicesError

HERE = "/collections/parcels/revisions"
POINT = {"type": "Point", "coordinates": [1.5, 2]}


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"ml": "a", **properties}, "geometry": geometry}


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def nested(depth: int, inner: Any = POINT) -> Any:
    for _ in range(depth):
        inner = {"type": "GeometryCollection", "geometries": [inner]}
    return inner


def coordinates(depth: int) -> Any:
    value: Any = [1, 2]
    for _ in range(depth - 1):
        value = [value]
    return value


def line(vertices: int) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [[n % 90, 1] for n in range(vertices)]}


SOUND = [
    "POINT (1 2)", "POINT Z (1 2 3)", "POINT EMPTY", "LINESTRING (0 0, 1 1)", "LINESTRING EMPTY",
    "POLYGON ((0 0, 1 0, 1 1, 0 0), (0.2 0.1, 0.3 0.1, 0.3 0.2, 0.2 0.1))", "POLYGON EMPTY",
    "MULTIPOINT (1 1, 2 2)", "MULTILINESTRING ((0 0, 1 1), (2 2, 3 3, 4 4))",
    "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))", "MULTIPOLYGON EMPTY",
    "GEOMETRYCOLLECTION (POINT (1 1), LINESTRING (0 0, 1 1))", "GEOMETRYCOLLECTION EMPTY",
]  # fmt: skip


@pytest.mark.parametrize("text", SOUND)
def test_every_geometry_of_geojson_passes(text: str) -> None:
    from shapely import from_wkt

    geometry = json.loads(json.dumps(mapping(from_wkt(text))))
    make_shape(geometry)
    check_geojson(feature(geometry))
    check_geojson(collection(feature(None), feature(geometry), feature(geometry)))


def test_vertices_are_counted_in_all() -> None:
    document = collection(feature(line(40)), feature(POINT), feature(nested(2, line(57))))
    check_geojson(document, most_vertices=100)
    with pytest.raises(
        BodyTooLarge, match=r"features\[2\]\.geometry(\.geometries\[0\]){2}: more than 99 vertices"
    ):
        check_geojson(document, most_vertices=99)
    rings = {"type": "Polygon", "coordinates": [line(40)["coordinates"], line(60)["coordinates"]]}
    check_geojson(feature(rings), most_vertices=100)
    with pytest.raises(BodyTooLarge, match="send fewer features"):
        check_geojson(feature(rings), most_vertices=99)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "MultiPoint", "coordinates": [[]] * 101},
        {"type": "GeometryCollection", "geometries": [{"type": "Point"}] * 101},
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": []}] * 101},
    ],
)
def test_much_of_nothing_is_much(geometry: Any) -> None:
    with pytest.raises(BodyTooLarge, match="more than 100 vertices"):
        check_geojson(feature(geometry), most_vertices=100)


def test_nothing_stands_deeper_than_four() -> None:
    check_geojson(feature(nested(4)))
    check_geojson(feature({"type": "MultiPolygon", "coordinates": coordinates(4)}))
    with pytest.raises(BadBody, match=r"^features\[1\]\.geometry(\.geometries\[0\]){4}: .*4 deep"):
        check_geojson(collection(feature(POINT), feature(nested(5))))
    with pytest.raises(BadBody, match=r"^geometry: coordinates stand more than 4 deep"):
        check_geojson(feature({"type": "MultiPolygon", "coordinates": coordinates(5)}))


def test_no_depth_breaks_it() -> None:
    """Deeper than Python could call itself."""
    for geometry in (nested(50_000), {"type": "Polygon", "coordinates": coordinates(50_000)}):
        with pytest.raises(BadBody, match="4 deep"):
            check_geojson(feature(geometry))
    deep: Any = 1
    for _ in range(50_000):
        deep = {"a": [deep]}
    with pytest.raises(BadBody, match=f"properties: .*{DEEPEST_VALUE} deep"):
        check_geojson(feature(POINT, more=deep))
    with pytest.raises(BadBody, match="finite numbers"):
        check_geojson(feature({"type": "Point", "coordinates": [1, deep]}))


@pytest.mark.parametrize(
    "wrong",
    [math.nan, math.inf, -math.inf, 10**400, True, None, "1", [1], {"a": 1}, "x" * 10_000],
)
def test_what_is_no_coordinate_is_named_with_its_place(wrong: Any) -> None:
    for number in range(2):
        position = [1, 2]
        position[number] = wrong
        ring = [[0, 0], [1, 0], position, [0, 0]]
        for geometry in (
            {"type": "Point", "coordinates": position},
            {"type": "LineString", "coordinates": ring},
            {"type": "MultiPolygon", "coordinates": [[ring]]},
        ):
            body = collection(*[feature(POINT)] * 12, feature(nested(1, geometry)))
            with pytest.raises(BadBody) as refused:
                check_geojson(body)
            assert str(refused.value).startswith("features[12].geometry.geometries[0]: ")
            assert len(str(refused.value)) < 300


@pytest.mark.parametrize("position", [[1], [1, 2, 3, 4], [1] * 1000])
def test_a_position_has_two_numbers_or_three(position: list[int]) -> None:
    for coordinates_ in (position, [position, [1, 1]]):
        with pytest.raises(BadBody, match="two or three finite numbers"):
            check_geojson(feature({"type": "Point", "coordinates": coordinates_}))


def test_features_and_names_are_counted() -> None:
    many = [feature(None) for _ in range(11)]
    check_geojson(collection(*many[:10]), most_features=10)
    with pytest.raises(BodyTooLarge, match="features: 11 in one body; at most 10"):
        check_geojson(collection(*many), most_features=10)
    half = MOST_PROPERTIES // 2
    named = [
        feature(None, **{f"f{n}": 1 for n in range(half * k, half * k + half)}) for k in (0, 1)
    ]
    check_geojson(collection(named[0], named[0]))
    with pytest.raises(BodyTooLarge, match=r"features\[1\]\.properties: more than 1000 names"):
        check_geojson(collection(*named))


def upload(doors: Any, body: bytes | Any, key: dict[str, str]) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return doors.client.post(HERE, content=content, headers=key)


BODIES = [
    (feature(nested(5)), 400, "4 deep"),
    (feature(nested(400)), 400, "4 deep"),
    # Deeper than the JSON reader goes.
    (b'{"type":"Feature","properties":{},"geometry":'
     + b'{"type":"GeometryCollection","geometries":[' * 900 + b"]}" * 900 + b"}",
     400, "no GeoJSON"),
    (feature({"type": "Polygon", "coordinates": coordinates(900)}), 400, "4 deep"),
    (b"[" * 900 + b"]" * 900, 400, "no GeoJSON"),
    (b'{"a":' * 100_000, 400, "no GeoJSON"),
    (feature(POINT, more=coordinates(900)), 400, "16 deep"),
    (feature({"type": "Point", "coordinates": [math.nan, 1]}), 400, "no GeoJSON"),
    (b'{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1e999,1]}}',
     400, "no GeoJSON"),
    (collection(feature(POINT), feature({"type": "Point", "coordinates": [None, 1]})),
     400, "features[1].geometry: "),
    (collection(feature(POINT), feature(line(2_000_000))), 413, "features[1].geometry: "),
    (collection(*[feature(line(500_001))] * 2), 413, "features[1].geometry: "),
    (collection(*[feature(None)] * 100_001), 413, "features: 100001"),
    (collection(*[feature(None, **{f"f{n}": 1}) for n in range(1001)]), 413, "1000 names"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "words"), BODIES, ids=range(len(BODIES)))
def test_an_upload_that_is_too_much(keyed_doors: Any, body: Any, status: int, words: str) -> None:
    answer = upload(keyed_doors, body, keyed_doors.key("publisher"))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert len(answer.text) < 1000
    assert keyed_doors.json("/collections/parcels")["revision"] == 4


def test_a_body_that_says_it_is_too_large_is_not_read(keyed_doors: Any) -> None:
    read = 0

    def parts() -> Any:
        nonlocal read
        for _ in range(64):
            read += 1
            yield b" " * (1 << 20)

    for path, length in ((HERE, 64 << 20), ("/processes/any/execution", 1 << 20)):
        headers = keyed_doors.key("publisher") | {"Content-Type": "application/json"}
        for stated in (str(length), "9" * 5000):
            sent = headers | {"Content-Length": stated}
            answer = keyed_doors.client.post(path, content=parts(), headers=sent)
            assert answer.status_code == 413, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["access-control-allow-origin"] == "*"
    assert read <= 4


@pytest.mark.parametrize(
    ("query", "headers", "status", "title"),
    [
        ("&".join(f"a{n}=1" for n in range(101)), {}, 400, "Bad Request"),
        ("&" * 100, {}, 400, "Bad Request"),
        ("x=" + "a" * (17 << 10), {}, 414, None),
        ("x=" + "%00" * (6 << 10), {}, 414, None),
        ("", {"X-Long": "a" * (33 << 10)}, 431, "Request Header Fields Too Large"),
        ("", {f"X-{n}": "a" * 100 for n in range(400)}, 431, "Request Header Fields Too Large"),
        ("", {"Authorization": "Bearer " + "a" * (33 << 10)}, 431, None),
    ],
)
@pytest.mark.parametrize("path", ["/", "/collections/parcels/items", "/health", "/no/such/place"])
def test_an_address_and_headers_have_bounds(
    client: Any, path: str, query: str, headers: dict[str, str], status: int, title: str | None
) -> None:
    answer = client.get(f"http://testserver{path}?{query}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == title or title is None
    assert "at most" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_just_within_the_bounds_passes(client: Any) -> None:
    bounds = Bounds()
    known = "/collections/parcels/items?limit=1"
    assert client.get(known, headers={"X-Long": "a" * (31 << 10)}).status_code == 200
    query = "&".join(f"a{n}=1" for n in range(bounds.parameters))
    assert "there is no parameter" in client.get(f"/collections?{query}").json()["detail"]
    query = "x=" + "a" * (bounds.query_bytes - 2)
    assert "there is no parameter" in client.get(f"/collections?{query}").json()["detail"]


def test_errors_of_bounds_are_of_this_floor() -> None:
    with pytest.raises(ServicesError):
        check_geojson(feature(5))
    for document in (None, 5, [], "x", {}, {"features": 5}, {"type": "FeatureCollection"}):
        check_geojson(document)
