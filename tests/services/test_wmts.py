"""WMTS: capabilities, tiles by parameters and by addresses, and what is refused in XML."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from urllib.parse import urlencode

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from services.wmts_documents import report

WMTS = "{http://www.opengis.net/wmts/1.0}"
OWS = "{http://www.opengis.net/ows/1.1}"
HREF = "{http://www.w3.org/1999/xlink}href"
CAPABILITIES = "/wmts/1.0.0/WMTSCapabilities.xml"
MVT = "application/vnd.mapbox-vector-tile"
TILE = "/collections/parcels/tiles/WebMercatorQuad/14/6060/4956"
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w"]
ASKED = {
    "SERVICE": "WMTS",
    "REQUEST": "GetTile",
    "VERSION": "1.0.0",
    "LAYER": "parcels",
    "STYLE": "default",
    "FORMAT": MVT,
    "TILEMATRIXSET": "WebMercatorQuad",
    "TILEMATRIX": "14",
    "TILEROW": "6060",
    "TILECOL": "4956",
}


def capabilities(client: TestClient) -> ET.Element:
    return ET.fromstring(client.get(CAPABILITIES).content)


def text(element: ET.Element, path: str) -> str:
    found = element.findtext(path)
    assert found is not None, path
    return found


def fault(answer: Response) -> tuple[str, str | None, str]:
    """The code, the parameter and the words of a report."""
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["cache-control"] == "no-store"
    root = ET.fromstring(answer.content)
    assert root.tag == f"{OWS}ExceptionReport"
    assert root.get("version") == "1.0.0"
    [found] = root.findall(f"{OWS}Exception")
    return found.get("exceptionCode", ""), found.get("locator"), text(found, f"{OWS}ExceptionText")


def by_parameters(client: TestClient, **changed: str | None) -> Response:
    asked = {k: v for k, v in (ASKED | changed).items() if v is not None}
    return client.get(f"/wmts?{urlencode(asked)}")


def test_the_landing_page_leads_to_it(client: TestClient) -> None:
    there = [x for x in client.get("/").json()["links"] if x["rel"] == "service"]
    answer = client.get(there[0]["href"])
    assert answer.headers["content-type"] == there[0]["type"] == "application/xml"
    assert ET.fromstring(answer.content).tag == f"{WMTS}Capabilities"
    again = client.get(there[0]["href"], headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "query",
    [
        "service=WMTS&request=GetCapabilities",
        "SERVICE=WMTS&REQUEST=GetCapabilities&VERSION=1.0.0",
        "Service=wmts&Request=getcapabilities&AcceptVersions=2.0.0,1.0.0&someVendors=own",
    ],
)
def test_capabilities_by_parameters_are_the_same(client: TestClient, query: str) -> None:
    assert client.get(f"/wmts?{query}").content == client.get(CAPABILITIES).content


def _mercator(longitude: float, latitude: float) -> tuple[float, float]:
    """EPSG:3857 by its formula."""
    radius = 6378137.0
    y = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    return radius * math.radians(longitude), radius * y


def test_every_layer_in_every_set(client: TestClient) -> None:
    contents = capabilities(client).find(f"{WMTS}Contents")
    assert contents is not None
    layers = contents.findall(f"{WMTS}Layer")
    listed = {c["id"]: c for c in client.get("/collections").json()["collections"]}
    assert [text(layer, f"{OWS}Identifier") for layer in layers] == list(listed)
    for layer in layers:
        about = listed[text(layer, f"{OWS}Identifier")]
        assert text(layer, f"{OWS}Title") == about["title"]
        corners = [text(layer, f"{OWS}WGS84BoundingBox/{OWS}{c}Corner") for c in ("Lower", "Upper")]
        box = [float(n) for n in " ".join(corners).split()]
        assert box == about["extent"]["spatial"]["bbox"][0]
        metres = [text(layer, f"{OWS}BoundingBox/{OWS}{c}Corner") for c in ("Lower", "Upper")]
        mercator = [*_mercator(*box[:2]), *_mercator(*box[2:])]
        assert [float(n) for n in " ".join(metres).split()] == pytest.approx(mercator, abs=1e-3)
        linked = layer.findall(f"{WMTS}TileMatrixSetLink/{WMTS}TileMatrixSet")
        assert [link.text for link in linked] == SETS
        assert [f.text for f in layer.findall(f"{WMTS}Format")] == [MVT]
        time = layer.find(f"{WMTS}Dimension")
        assert time is not None
        assert (text(time, f"{OWS}Identifier"), text(time, f"{WMTS}Default")) == ("Time", "current")


def test_the_sets_are_those_of_the_definitions(client: TestClient) -> None:
    systems = {
        "WebMercatorQuad": "urn:ogc:def:crs:EPSG::3857",
        "WorldCRS84Quad": "urn:ogc:def:crs:OGC:1.3:CRS84",
        "CGCS2000Quad": "urn:ogc:def:crs:EPSG::4490",
        "Tianditu_c": "urn:ogc:def:crs:EPSG::4490",
        "Tianditu_w": "urn:ogc:def:crs:EPSG::3857",
    }
    found = capabilities(client).findall(f"{WMTS}Contents/{WMTS}TileMatrixSet")
    assert [text(one, f"{OWS}Identifier") for one in found] == SETS
    for one in found:
        name = text(one, f"{OWS}Identifier")
        assert text(one, f"{OWS}SupportedCRS") == systems[name]
        known = client.get(f"/tileMatrixSets/{name}").json()["tileMatrices"]
        offered = client.get(f"/collections/parcels/tiles/{name}").json()["tileMatrixSetLimits"]
        matrices = one.findall(f"{WMTS}TileMatrix")
        assert len(matrices) == len(offered)
        for matrix, definition in zip(matrices, known, strict=False):
            assert text(matrix, f"{OWS}Identifier") == definition["id"]
            scale = float(text(matrix, f"{WMTS}ScaleDenominator"))
            assert scale == definition["scaleDenominator"]
            corner = [float(n) for n in text(matrix, f"{WMTS}TopLeftCorner").split()]
            assert corner == definition["pointOfOrigin"]
            for tag, name_of in (
                ("TileWidth", "tileWidth"),
                ("TileHeight", "tileHeight"),
                ("MatrixWidth", "matrixWidth"),
                ("MatrixHeight", "matrixHeight"),
            ):
                assert int(text(matrix, f"{WMTS}{tag}")) == definition[name_of]
    # Latitude first, where the authority has it first.
    corners = {
        text(one, f"{OWS}Identifier"): text(one, f"{WMTS}TileMatrix/{WMTS}TopLeftCorner")
        for one in found
    }
    assert [float(n) for n in corners["Tianditu_c"].split()] == [90, -180]
    assert [float(n) for n in corners["WorldCRS84Quad"].split()] == [-180, 90]
    named = {
        text(x, f"{OWS}Identifier"): x.findtext(f"{WMTS}WellKnownScaleSet")
        for x in found
        if x.findtext(f"{WMTS}WellKnownScaleSet")
    }
    assert named == {"WebMercatorQuad": "urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible"}


def test_a_tile_by_parameters_is_the_tile(client: TestClient) -> None:
    own = client.get(TILE)
    answer = by_parameters(client)
    assert (answer.status_code, answer.content) == (200, own.content)
    assert answer.headers["content-type"] == MVT
    assert answer.headers["etag"] == own.headers["etag"]
    assert answer.headers["content-revision"] == own.headers["content-revision"]
    lowered = {k.lower(): v for k, v in ASKED.items()} | {"style": "", "time": "current"}
    assert client.get(f"/wmts?{urlencode(lowered)}").content == own.content
    again = client.get(f"/wmts?{urlencode(ASKED)}", headers={"If-None-Match": own.headers["etag"]})
    assert again.status_code == 304


def test_time_is_the_datetime(client: TestClient) -> None:
    then = client.get(f"{TILE}?datetime=2013-06-01").content
    assert then != client.get(TILE).content
    assert by_parameters(client, TIME="2013-06-01").content == then
    assert by_parameters(client, TIME="current").content == client.get(TILE).content
    [template] = {
        r.get("template", "")
        for r in capabilities(client).findall(f".//{WMTS}ResourceURL")
        if "/parcels/" in r.get("template", "")
    }
    values = {
        "Style": "default",
        "TileMatrixSet": "WebMercatorQuad",
        "TileMatrix": "14",
        "TileRow": "6060",
        "TileCol": "4956",
    }
    assert client.get(template.format(Time="2013-06-01", **values)).content == then
    assert client.get(template.format(Time="current", **values)).content == client.get(TILE).content


def test_an_empty_tile_is_204(client: TestClient) -> None:
    assert by_parameters(client, TILEROW="0", TILECOL="0").status_code == 204


@pytest.mark.parametrize(
    ("changed", "code", "locator"),
    [
        ({"SERVICE": None}, "MissingParameterValue", "service"),
        ({"SERVICE": "WMS"}, "InvalidParameterValue", "service"),
        ({"REQUEST": None}, "MissingParameterValue", "request"),
        ({"REQUEST": "GetFeatureInfo"}, "OperationNotSupported", "request"),
        ({"VERSION": "2.0.0"}, "InvalidParameterValue", "version"),
        ({"LAYER": None}, "MissingParameterValue", "layer"),
        ({"LAYER": "nowhere"}, "InvalidParameterValue", "layer"),
        ({"STYLE": "night"}, "InvalidParameterValue", "style"),
        ({"FORMAT": None}, "MissingParameterValue", "format"),
        ({"FORMAT": "image/png"}, "InvalidParameterValue", "format"),
        ({"TILEMATRIXSET": "nowhere"}, "InvalidParameterValue", "tilematrixset"),
        ({"TILEMATRIX": "a"}, "InvalidParameterValue", None),
        ({"TILEMATRIX": "23"}, "TileOutOfRange", None),
        ({"TILECOL": "16384"}, "TileOutOfRange", None),
        ({"TILEROW": ""}, "MissingParameterValue", "tilerow"),
        ({"TIME": "2013-01-01/2014-01-01"}, "InvalidParameterValue", None),
        ({"TIME": "soon"}, "InvalidParameterValue", None),
        ({"layer": "grids"}, "InvalidParameterValue", "layer"),
    ],
)
def test_what_is_refused_by_parameters(
    client: TestClient, changed: dict[str, str | None], code: str, locator: str | None
) -> None:
    answer = by_parameters(client, **changed)
    assert answer.status_code == 400
    found = fault(answer)
    assert found[:2] == (code, locator)
    assert len(found[2]) > 5


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("nowhere/default/current/WebMercatorQuad/14/6060/4956", 404, "InvalidParameterValue"),
        ("parcels/default/current/nowhere/14/6060/4956", 404, "InvalidParameterValue"),
        ("parcels/default/current/WebMercatorQuad/14/6060/99999", 404, "TileOutOfRange"),
        ("parcels/default/soon/WebMercatorQuad/14/6060/4956", 400, "InvalidParameterValue"),
        ("parcels/night/current/WebMercatorQuad/14/6060/4956", 400, "InvalidParameterValue"),
        (
            "parcels/default/current/WebMercatorQuad/14/6060/4956?f=gif",
            406,
            "InvalidParameterValue",
        ),
        (
            "parcels/default/current/WebMercatorQuad/14/6060/4956?f=png",
            400,
            "InvalidParameterValue",
        ),
        ("parcels/default/current/WebMercatorQuad/14/6060/4956?x=1", 400, "InvalidParameterValue"),
        ("WMTSCapabilities.xml?x=1", 400, "InvalidParameterValue"),
    ],
)
def test_what_is_refused_of_addresses(
    client: TestClient, address: str, status: int, code: str
) -> None:
    answer = client.get(f"/wmts/1.0.0/{address}")
    assert answer.status_code == status
    assert fault(answer)[0] == code


def test_versions_are_agreed_upon(client: TestClient) -> None:
    answer = client.get("/wmts?service=WMTS&request=GetCapabilities&acceptversions=2.0.0")
    assert answer.status_code == 400
    assert fault(answer)[0] == "VersionNegotiationFailed"


@pytest.mark.parametrize("asked", ["<&>\"'", "]]>", "%01%0B", "%EF%BF%BE", "%ED%A0%80", "测试"])
def test_whatever_is_asked_the_answer_is_xml(client: TestClient, asked: str) -> None:
    for query in (f"layer={asked}", f"request={asked}", f"tilematrix={asked}"):
        name = query.partition("=")[0]
        rest = {k.lower(): v for k, v in ASKED.items() if k.lower() != name}
        answer = client.get(f"/wmts?{urlencode(rest)}&{query}")
        assert answer.status_code == 400
        fault(answer)


def test_characters_that_no_xml_holds_are_replaced() -> None:
    root = ET.fromstring(report("a", "b", "x\x00\x0b\ud800\ufffe<y>\U0001f600"))
    assert root.findtext(f"{OWS}Exception/{OWS}ExceptionText") == "x����<y>\U0001f600"
