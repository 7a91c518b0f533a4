"""Styles over HTTP: found, negotiated, written under conditions, and bounded by who asks."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.model import Title
from layers.readers import Reader
from layers.styles import NewStyle
from layers.writers import Writer
from tests.services.conftest import Doors
from tests.services.land import Desk

STYLE = "application/vnd.mapbox.style+json"
SLD = "application/vnd.ogc.sld+xml"
CITY = ("grids", "incidents", "parcels", "pipe_nodes", "pipe_segments")
XML = {"Content-Type": SLD}


def plain(colour: str = "#1f5fa8", **others: Any) -> dict[str, Any]:
    """A style of the layer ``land``."""
    fill = {"id": "a", "type": "fill", "source": "s", "source-layer": "land"}
    url = "http://testserver/collections/land/tiles/WebMercatorQuad?f=tilejson"
    return {
        "version": 8,
        "name": "按用途 · By use",
        "sources": {"s": {"type": "vector", "url": url}},
        "layers": [fill | {"paint": {"fill-color": colour}}],
    } | others


def named(field: str) -> dict[str, Any]:
    """A style that says what it says by a field."""
    only = ["==", ["get", field], "a"]
    fill = {"id": "a", "type": "fill", "source": "s", "source-layer": "land", "filter": only}
    return plain(layers=[fill], sources={"s": {"type": "vector", "url": "{base}/collections/land"}})


def from_url(url: str) -> dict[str, Any]:
    return plain(sources={"s": {"type": "vector", "url": url}})


def publisher(desk: Desk) -> dict[str, str]:
    return desk.granted(Terms(Role.PUBLISHER))


def put(desk: Desk, path: str, document: Any, **headers: str) -> Any:
    sent = publisher(desk) | {k.replace("_", "-"): v for k, v in headers.items()}
    return desk.client.put(path, json=document, headers=sent)


def test_every_layer_has_a_style_of_its_own(client: TestClient) -> None:
    listed = client.get("/styles").json()["styles"]
    assert [s["id"] for s in listed] == list(CITY)
    for style in listed:
        [sheet] = [x for x in style["links"] if x["rel"] == "stylesheet"]
        answer = client.get(sheet["href"])
        assert answer.headers["content-type"] == sheet["type"] == STYLE
        document = answer.json()
        [source] = document["sources"].values()
        tiles = f"http://testserver/collections/{style['id']}/tiles/WebMercatorQuad?f=tilejson"
        assert source == {"type": "vector", "url": tiles}
        assert "{base}" not in answer.text
        assert client.get(f"{document['sprite']}.json").status_code == 200


def test_pipes_have_their_standard_colours(client: TestClient) -> None:
    """CJJ 61: water 0,255,255; gas 255,0,255; heat 255,128,0; power 255,0,0; telecom 0,255,0."""
    entries = client.get("/styles/pipe_segments/legend?f=json").json()["entries"]
    found = {v: e["colour"] for e in entries for v in e.get("values", ())}
    standard = {"JS": "#00ffff", "RQ": "#ff00ff", "RL": "#ff8000", "DL": "#ff0000"}
    standard |= {"TX": "#00ff00", "GY": "#000000", "PS": "#4c3926"}
    assert found | standard == found


def test_a_collection_leads_to_its_styles(client: TestClient) -> None:
    about = client.get("/collections/parcels").json()
    rel = "http://www.opengis.net/def/rel/ogc/1.0/styles"
    [there] = [x["href"] for x in about["links"] if x["rel"] == rel]
    document = client.get(there).json()
    assert (document["default"], [s["id"] for s in document["styles"]]) == ("parcels", ["parcels"])
    landing = client.get("/").json()["links"]
    assert [x["href"] for x in landing if x["rel"] == rel] == ["http://testserver/styles"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", STYLE),
        ("application/json", "application/json"),
        (STYLE, STYLE),
        (SLD, f"{SLD};version=1.0"),
        (f"{SLD};version=1.0", f"{SLD};version=1.0"),
        (f"{SLD};version=1.1", f"{SLD};version=1.1"),
        (f'{SLD}; version="1.1.0"', f"{SLD};version=1.1"),
        (f"{SLD};version=1.0, {SLD};version=1.1;q=0.1", f"{SLD};version=1.0"),
        (f"{SLD};version=1.0;q=0.1, {SLD};version=1.1", f"{SLD};version=1.1"),
        ("text/html", "text/html; charset=utf-8"),
    ],
)
def test_a_style_comes_as_it_is_asked_for(client: TestClient, accept: str, kind: str) -> None:
    answer = client.get("/styles/pipe_segments", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    again = {"Accept": accept, "If-None-Match": answer.headers["etag"]}
    assert client.get("/styles/pipe_segments", headers=again).status_code == 304


@pytest.mark.parametrize(("f", "root"), [("sld10", "1.0.0"), ("sld11", "1.1.0")])
@pytest.mark.parametrize("style", CITY)
def test_each_default_style_is_an_sld_too(
    client: TestClient, style: str, f: str, root: str
) -> None:
    answer = client.get(f"/styles/{style}", params={"f": f})
    assert answer.status_code == 200, answer.text
    found = ElementTree.fromstring(answer.content)
    assert found.tag == "{http://www.opengis.net/sld}StyledLayerDescriptor"
    assert found.get("version") == root


def test_a_page_of_a_style(client: TestClient, browser: dict[str, str]) -> None:
    for path in ("/styles", "/styles/parcels", "/styles/parcels/metadata"):
        answer = client.get(path, headers=browser)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "宗地" in answer.text
    page = client.get("/collections/parcels/styles", headers=browser).text
    assert "/styles/parcels?f=html" in page


def test_metadata_say_where_the_sheets_are(client: TestClient) -> None:
    document = client.get("/styles/grids/metadata").json()
    assert (document["id"], document["collection"]) == ("grids", "grids")
    for sheet in document["stylesheets"]:
        answer = client.get(sheet["link"]["href"])
        assert answer.headers["content-type"] == sheet["link"]["type"]
    assert [s["native"] for s in document["stylesheets"]] == [True, False, False]


def test_a_legend_is_a_picture_in_both_languages(client: TestClient) -> None:
    answer = client.get("/styles/incidents/legend")
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.content)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "已结案 Closed" in texts
    assert "Noto Sans CJK SC" in (root.get("font-family") or "")


@pytest.mark.parametrize(("name", "ratio"), [("shikong", 1), ("shikong@2x", 2)])
def test_a_sheet_of_symbols_has_what_its_index_names(
    client: TestClient, name: str, ratio: int
) -> None:
    index = client.get(f"/sprites/{name}.json").json()
    answer = client.get(f"/sprites/{name}.png")
    assert answer.headers["content-type"] == "image/png"
    sheet = Image.open(io.BytesIO(answer.content))
    assert {"valve", "manhole", "hydrant", "incident-reported"} <= set(index)
    for symbol, place in index.items():
        assert place["pixelRatio"] == ratio
        x, y, wide, high = (place[k] for k in ("x", "y", "width", "height"))
        part = sheet.crop((x, y, x + wide, y + high))
        assert part.size == (24 * ratio, 24 * ratio)
        drawn = (0, 0) if symbol == "nothing" else (0, 255)
        assert part.getchannel("A").getextrema() == drawn, f"{symbol} is empty or a block"
    assert client.get("/sprites/other.json").status_code == 404


def test_what_is_not_there_is_404(client: TestClient) -> None:
    for path in (
        "/styles/nope",
        "/styles/parcels.nope",
        "/styles/no.pe",
        "/styles/.a",
        "/styles/a.",
    ):
        for more in ("", "/metadata", "/legend"):
            assert client.get(f"{path}{more}").status_code == 404, path


def test_a_style_is_written_read_and_taken_away(desk: Desk) -> None:
    made = put(desk, "/styles/land.plan", plain())
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "http://testserver/styles/land.plan"
    assert made.json()["warnings"] == []
    answer = desk.client.get("/styles/land.plan", headers=publisher(desk))
    assert answer.json() == plain()
    assert answer.headers["etag"] == made.headers["etag"]
    assert desk.client.get("/styles/land.plan").json() == plain()
    listed = desk.get("/collections/land/styles")
    assert [(s["id"], s["title"]) for s in listed["styles"]] == [
        ("land", "t"),
        ("land.plan", "按用途 · By use"),
    ]
    assert listed["default"] == "land"
    gone = desk.client.delete("/styles/land.plan", headers=publisher(desk))
    assert gone.status_code == 204
    assert desk.client.get("/styles/land.plan").status_code == 404
    assert desk.client.delete("/styles/land.plan", headers=publisher(desk)).status_code == 404


def test_the_address_of_the_server_is_that_of_the_request(desk: Desk) -> None:
    assert put(desk, "/styles/land.plan", plain()).status_code == 201
    there = desk.client.get("/styles/land.plan", headers={"Host": "map.city.example"}).json()
    assert there["sources"]["s"]["url"].startswith("http://map.city.example/collections/land/")
    path = "/collections/land/tiles/WebMercatorQuad?f=tilejson"
    document = plain(sources={"s": {"type": "vector", "url": path}})
    assert put(desk, "/styles/land.path", document).status_code == 201
    assert desk.client.get("/styles/land.path").json() == plain()


def test_a_default_is_chosen(desk: Desk) -> None:
    assert put(desk, "/styles/land.one?default=true", plain()).status_code == 201
    assert desk.get("/collections/land/styles")["default"] == "land.one"
    assert put(desk, "/styles/land.two?default=true", plain()).status_code == 201
    assert desk.get("/collections/land/styles")["default"] == "land.two"
    # Who edits one that is no default any more does not make it one again.
    assert put(desk, "/styles/land.one", plain("#ff0000")).status_code == 204
    assert desk.get("/collections/land/styles")["default"] == "land.two"
    assert desk.client.delete("/styles/land.two", headers=publisher(desk)).status_code == 204
    assert desk.get("/collections/land/styles")["default"] == "land"


def test_changes_name_the_state_they_are_of(desk: Desk) -> None:
    first = put(desk, "/styles/land.plan", plain()).headers["etag"]
    changed = put(desk, "/styles/land.plan", plain("#ff0000"), If_Match=first)
    assert changed.status_code == 204
    assert changed.headers["etag"] != first
    assert put(desk, "/styles/land.plan", plain(), If_Match=first).status_code == 412
    assert put(desk, "/styles/land.plan", plain(), If_None_Match="*").status_code == 412
    assert put(desk, "/styles/land.new", plain(), If_Match="*").status_code == 412
    headers = publisher(desk) | {"If-Match": first}
    assert desk.client.delete("/styles/land.plan", headers=headers).status_code == 412
    assert desk.client.get("/styles/land.plan").json() == plain("#ff0000")
    # The tag of an SLD names the same state.
    sld = desk.client.get("/styles/land.plan?f=sld11", headers=publisher(desk)).headers["etag"]
    assert sld != changed.headers["etag"]
    assert put(desk, "/styles/land.plan", plain(), If_Match=sld).status_code == 204


def test_a_style_is_created_under_a_name_of_its_own(desk: Desk) -> None:
    for name, style_id in (
        ("Zoning 2024", "land.zoning-2024"),
        ("Zoning 2024", "land.zoning-2024-2"),
        ("按用途", "land.style"),
    ):
        answer = desk.client.post(
            "/styles?collection=land", json=plain(name=name), headers=publisher(desk)
        )
        assert (answer.status_code, answer.json()["id"]) == (201, style_id)
    refused = desk.client.post("/styles", json=plain(), headers=publisher(desk))
    assert refused.status_code == 400


def test_validate_only_writes_nothing(desk: Desk) -> None:
    assert put(desk, "/styles/land.plan?validate=only", plain()).status_code == 204
    refused = put(desk, "/styles/land.plan?validate=only", plain("bluish"))
    assert refused.status_code == 400
    assert refused.json()["errors"] == [
        {
            "detail": "fill-color is a colour such as #1f5fa8, not 'bluish'",
            "pointer": "#/layers/0/paint/fill-color",
        }
    ]
    assert desk.client.get("/styles/land.plan").status_code == 404
    assert put(desk, "/styles/land.plan?validate=maybe", plain()).status_code == 400


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], "#"),
        (plain(version=7), "#/version"),
        (plain(glyphs="https://fonts.example/{fontstack}/{range}.pbf"), "#/glyphs"),
        (plain(sprite="https://cdn.example/sprite"), "#/sprite"),
        (from_url("https://tiles.example/a"), "#/sources/s/url"),
        (from_url("//tiles.example/a"), "#/sources/s/url"),
        (from_url("/collections/inner/tiles"), "#/sources/s/url"),
        (from_url("/collections/land/../inner"), "#/sources/s/url"),
        (plain(sources={"s": {"type": "geojson", "data": {}}}), "#/sources/s/type"),
        (plain(layers=[]), "#/layers"),
        (plain(["get", "owner"]), "#/layers/0/paint/fill-color/1"),
    ],
)
def test_a_style_that_is_none_is_refused(desk: Desk, document: Any, pointer: str) -> None:
    answer = put(desk, "/styles/land.plan", document)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [e["pointer"] for e in answer.json()["errors"]]


def test_only_a_publisher_writes(desk: Desk) -> None:
    assert desk.client.put("/styles/land.plan", json=plain()).status_code == 401
    editor = desk.client.put("/styles/land.plan", json=plain(), headers=desk.editor)
    assert editor.status_code == 403
    elsewhere = desk.granted(Terms(Role.PUBLISHER, "layer:past"))
    for method in ("PUT", "DELETE"):
        answer = desk.client.request(method, "/styles/land.plan", json=plain(), headers=elsewhere)
        assert answer.status_code == 403, method
    for path in ("/styles/land", "/styles/nowhere"):
        assert put(desk, path, plain()).status_code == 405
    for path in ("/styles/land.Big", "/styles/land.a.b", "/styles/land."):
        assert put(desk, path, plain()).status_code == 400, path
    assert put(desk, "/styles/nowhere.plan", plain()).status_code == 404


def test_bodies_of_other_kinds_are_refused(desk: Desk) -> None:
    headers = publisher(desk)
    for kind, body, status in (
        ("text/plain", b"{}", 415),
        ("application/json", b"{", 400),
        ("application/json", b'{"a": 1, "a": 2}', 400),
        (SLD, b"<a", 400),
        (SLD, b"", 400),
        ("application/json", b" " * (1 << 20) + b"{}", 413),
    ):
        sent = headers | {"Content-Type": kind}
        answer = desk.client.put("/styles/land.plan", content=body, headers=sent)
        assert answer.status_code == status, (kind, answer.text[:100])


def test_a_style_of_a_hidden_layer_is_not_there(desk: Desk) -> None:
    document = plain(layers=[{"id": "b", "type": "background"}], sources={})
    assert put(desk, "/styles/inner.plan", document).status_code == 201
    for style in ("inner", "inner.plan"):
        for more in ("", "/metadata", "/legend"):
            hidden = desk.client.get(f"/styles/{style}{more}")
            missing = desk.client.get(f"/styles/nope{more}")
            assert hidden.status_code == missing.status_code == 404
            assert hidden.text.replace(style, "nope") == missing.text
    assert "inner" not in desk.client.get("/styles").text
    assert "inner.plan" in desk.client.get("/styles", headers=desk.editor).text


def test_what_names_a_hidden_field_is_left_out(desk: Desk) -> None:
    """Its names and codes would tell of what is internal; whoever sees it gets the whole."""
    only = {"filter": ["==", ["get", "note"], "in dispute"]}
    document = plain()
    [fill] = document["layers"]
    document["layers"] = [fill, fill | {"id": "b"} | only]
    made = put(desk, "/styles/land.plan", document)
    assert made.status_code == 201
    seen = desk.client.get("/styles/land.plan")
    assert [layer["id"] for layer in seen.json()["layers"]] == ["a"]
    for path in (
        "/styles/land.plan?f=sld11",
        "/styles/land.plan/legend",
        "/styles/land.plan?f=html",
    ):
        answer = desk.client.get(path)
        assert answer.status_code == 200
        assert "in dispute" not in answer.text
    whole = desk.client.get("/styles/land.plan", headers=desk.editor)
    assert whole.json() == document
    assert whole.headers["etag"] != seen.headers["etag"]
    # Public fields alone are seen by this publisher: nothing is written over what they do not see.
    blind = desk.granted(Terms(Role.PUBLISHER, fields=("public",)))
    refused = desk.client.put("/styles/land.plan", json=plain(), headers=blind)
    assert refused.status_code == 403
    assert desk.client.get("/styles/land.plan", headers=desk.editor).json() == document


def test_a_style_of_fields_that_are_gone_can_be_mended(desk: Desk) -> None:
    """A schema may lose a field: who publishes the layer still changes what names it."""
    record = desk.store.styles.write(
        NewStyle("land.old", Title("t", "t"), named("gone")),
        Writer("test"),
        Reader.everything(),
        lambda found: None,
    )
    assert record.id == "land.old"
    assert desk.client.get("/styles/land.old").json()["layers"] == []
    assert put(desk, "/styles/land.old", plain()).status_code == 204
    gone = desk.client.delete("/styles/land.old", headers=publisher(desk))
    assert gone.status_code == 204


def test_two_who_create_at_once_both_get_a_name(desk: Desk) -> None:
    def create(_: int) -> tuple[int, str]:
        path, headers = "/styles?collection=land", publishing
        answer = desk.client.post(path, json=plain(name="Plan"), headers=headers)
        return answer.status_code, answer.json().get("id", answer.text)

    publishing = publisher(desk)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(create, range(6)))
    assert {status for status, _ in made} == {201}
    assert len({style_id for _, style_id in made}) == 6


def test_who_wrote_a_style_is_said_to_those_who_see_who_wrote_the_layer(desk: Desk) -> None:
    put(desk, "/styles/land.plan", plain())
    page = "/styles/land.plan?f=html"
    assert "作者" in desk.client.get(page, headers=publisher(desk)).text
    assert "作者" not in desk.client.get(page).text


def test_the_audit_says_who_wrote_a_style(desk: Desk) -> None:
    put(desk, "/styles/land.plan", plain())
    desk.client.delete("/styles/land.plan", headers=publisher(desk))
    administrator = desk.granted(Terms(Role.ADMINISTRATOR))
    kept = desk.get("/admin/audit?action=style", administrator)["entries"]
    assert [e["layer"] for e in kept] == ["land", "land"]
    assert [e["detail"]["style"] for e in kept] == ["land.plan", "land.plan"]
    assert all(re.fullmatch(r"key:\w+", e["actor"]) for e in kept)


ROADS = b"""<?xml version="1.0"?>
<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld"
  xmlns:ogc="http://www.opengis.net/ogc"><NamedLayer><Name>land</Name><UserStyle>
  <Name>By use</Name><FeatureTypeStyle>
  <Rule><Title>field</Title>
    <ogc:Filter><ogc:PropertyIsEqualTo><ogc:PropertyName>use</ogc:PropertyName>
      <ogc:Literal>01</ogc:Literal></ogc:PropertyIsEqualTo></ogc:Filter>
    <PolygonSymbolizer><Fill><CssParameter name="fill">#00ff00</CssParameter></Fill>
      </PolygonSymbolizer></Rule>
  <Rule><Name>near</Name><ogc:Filter><ogc:DWithin/></ogc:Filter>
    <PolygonSymbolizer><Fill/></PolygonSymbolizer></Rule>
  </FeatureTypeStyle></UserStyle></NamedLayer></StyledLayerDescriptor>"""


def test_an_sld_is_taken_and_says_what_is_left_out(desk: Desk) -> None:
    sent = publisher(desk) | XML
    tried = desk.client.put("/styles/land.use?validate=only", content=ROADS, headers=sent)
    assert tried.status_code == 200
    assert tried.json()["warnings"] == [
        "rule 2 (near): the rule is left out: DWithin can't be said in a style"
    ]
    made = desk.client.post("/styles?collection=land", content=ROADS, headers=sent)
    assert (made.status_code, made.json()["id"]) == (201, "land.by-use")
    assert made.json()["warnings"] == tried.json()["warnings"]
    document = desk.client.get("/styles/land.by-use").json()
    fill = next(layer for layer in document["layers"] if layer["type"] == "fill")
    assert fill["paint"] == {"fill-color": "#00ff00"}
    assert ["==", ["get", "use"], "01"] in fill["filter"]
    entries = desk.client.get("/styles/land.by-use/legend?f=json").json()["entries"]
    assert [(e["title"]["zh"], e["colour"]) for e in entries[:1]] == [("field", "#00ff00")]
    # What counts features is ours, and told as in every style.
    assert {e["title"]["zh"].partition("：")[0] for e in entries[1:]} == {"聚合要素"}


def test_entity_bombs_are_refused(desk: Desk) -> None:
    bomb = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;">]>
        <StyledLayerDescriptor version="1.0.0"><Name>&c;</Name></StyledLayerDescriptor>"""
    outside = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>
        <StyledLayerDescriptor version="1.0.0"><Name>&b;</Name></StyledLayerDescriptor>"""
    for body in (bomb, outside):
        answer = desk.client.put("/styles/land.plan", content=body, headers=publisher(desk) | XML)
        assert answer.status_code == 400
        assert "document type" in answer.json()["detail"]


def test_the_city_keeps_its_styles_apart(keyed_doors: Doors) -> None:
    """A key of one layer's publisher says nothing to another's."""
    own = keyed_doors.granted(Terms(Role.PUBLISHER, "layer:grids"))
    document = {"version": 8, "sources": {}, "layers": [{"id": "b", "type": "background"}]}
    for layer, status in (("grids", 204), ("parcels", 403)):
        path = f"/styles/{layer}.plan?validate=only"
        assert keyed_doors.client.put(path, json=document, headers=own).status_code == status
