"""Styles (OGC API Styles): how layers are drawn, in each format, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.store import PublishedLayer
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.languages import told
from services.links import address, base_url, link, self_links
from services.negotiation import (
    HTML_PAGE,
    JSON,
    Format,
    answer_bytes,
    check_format,
    choose_format,
    quality,
)
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names
from services.routes.collections import find_layer
from services.style_documents import (
    Found,
    addressed,
    find_style,
    own_style,
    stored_style,
    style_tag,
)
from spatial.periods import format_instant
from tiles.styling.legend_pictures import MEDIA_TYPE as SVG_TYPE
from tiles.styling.sld.writing import write_sld

STYLE = "application/vnd.mapbox.style+json"
SLD = "application/vnd.ogc.sld+xml"
STYLE_JSON = Format("json", STYLE, "MapLibre style · MapLibre 样式", ".json", also=(JSON,))
SLD_10 = Format("sld10", f"{SLD};version=1.0", "SLD 1.0", ".sld")
SLD_11 = Format("sld11", f"{SLD};version=1.1", "SLD 1.1", ".sld", by_name=True)
FORMATS = (STYLE_JSON, SLD_10, SLD_11, HTML_PAGE)
_SPECIFICATIONS = {
    "json": ("MapLibre", "8", "https://maplibre.org/maplibre-style-spec/"),
    "sld10": ("OGC SLD", "1.0", "https://www.ogc.org/standards/sld/"),
    "sld11": ("OGC SLD", "1.1", "https://www.ogc.org/standards/sld/"),
}


async def styles(request: Request) -> Response:
    """Answer all styles of the layers that the reader sees."""
    check_format(request)
    check_names(request, ("f",))
    found = await run_in_threadpool(_read_all, request.state.admitted)
    document = {
        "styles": [_summary(request, style) for style in found],
        "links": self_links(request, JSON, "styles"),
    }
    return respond(request, document, "styles.html", layer=None)


async def styles_of_layer(request: Request) -> Response:
    """Answer the styles of one layer, and which it is drawn by."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    found = await run_in_threadpool(_read, request.state.admitted, layer)
    chosen = (style.id for style in found if style.stored and style.stored.chosen)
    document = {
        "styles": [_summary(request, style) for style in found],
        "default": next(chosen, layer.record.id),
        "links": self_links(request, JSON, "collections", layer.record.id, "styles"),
    }
    return respond(request, document, "styles.html", layer=layer.record)


async def style(request: Request) -> Response:
    """Answer one style: as MapLibre has it, as an SLD where one can say it, or as a page."""
    check_names(request, ("f",))
    chosen = _choose(request)
    found = await find(request)
    tag = style_tag(request, found, chosen.name)
    if chosen.name in ("sld10", "sld11"):
        version = "1.0.0" if chosen is SLD_10 else "1.1.0"
        written = await run_in_threadpool(write_sld, found.document, found.id, found.title, version)
        return answer_bytes(request, written, chosen.media_type, _links(request, found), etag=tag)
    document = addressed(found.document, base_url(request))
    sayable = False
    if chosen is HTML_PAGE:
        await run_in_threadpool(found.layer.extent)
        sayable = await run_in_threadpool(found.can_be_sld)
    return respond(
        request,
        document,
        "style.html",
        media_type=chosen.media_type,
        headers=_links(request, found),
        etag=tag,
        as_page=chosen is HTML_PAGE,
        style=found,
        sayable=sayable,
        layer=found.layer.record,
        links=_formats(request, found),
    )


async def metadata(request: Request) -> Response:
    """Answer what there is to say of a style."""
    check_format(request)
    check_names(request, ("f",))
    found = await find(request)
    here = ("styles", found.id, "metadata")
    record = found.layer.record
    sayable = await run_in_threadpool(found.can_be_sld)
    sheets = (STYLE_JSON, SLD_10, SLD_11) if sayable else (STYLE_JSON,)
    document: dict[str, Any] = {
        "id": found.id,
        "title": told(found.title, None),
        "titles": {"zh": found.title.zh, "en": found.title.en},
        "scope": "style",
        "collection": record.id,
        "stylesheets": [_stylesheet(request, found, sheet) for sheet in sheets],
        "layers": [_layer(request, found.layer)],
        "links": [
            *self_links(request, JSON, *here),
            link(address(request, "styles", found.id, "legend"), "preview", SVG_TYPE, "Legend"),
        ],
    }
    if record.schema.attribution:
        document["attribution"] = record.schema.attribution
    if found.stored is not None:
        document["updated"] = format_instant(found.stored.written_at)
    return respond(request, document, "style_metadata.html", layer=record)


def _choose(request: Request) -> Format:
    """The format of a style; the two versions of SLD differ in a parameter of their type."""
    chosen = choose_format(request, FORMATS)
    if chosen is SLD_10 and "f" not in request.query_params:
        return _sld_of(", ".join(request.headers.getlist("accept")))
    return chosen


def _sld_of(accept: str) -> Format:
    """The version of SLD that an Accept header likes best; 1.0 where it names none."""
    weights = {SLD_10: 0.0, SLD_11: 0.0}
    for part in accept.lower().replace('"', "").split(","):
        kind, *parameters = (p.strip() for p in part.split(";"))
        for version, named in (("version=1.0", SLD_10), ("version=1.1", SLD_11)):
            if kind == SLD and any(p.startswith(version) for p in parameters):
                weights[named] = max(weights[named], quality(parameters))
    return SLD_11 if weights[SLD_11] > weights[SLD_10] else SLD_10


async def find(request: Request) -> Found:
    """Return the style of the path, as whoever asks sees it."""
    admitted: Admitted = request.state.admitted
    return await run_in_threadpool(find_style, admitted, request.path_params["styleId"])


def _read(admitted: Admitted, layer: PublishedLayer) -> list[Found]:
    stored = admitted.styles(layer.record.id)
    return [own_style(layer), *(stored_style(layer, found) for found in stored)]


def _read_all(admitted: Admitted) -> list[Found]:
    layers = sorted(admitted.published(), key=lambda layer: layer.record.id)
    stored = admitted.styles()
    found: list[Found] = []
    for layer in layers:
        found.append(own_style(layer))
        found += [stored_style(layer, s) for s in stored if s.layer == layer.record.id]
    return found


def _summary(request: Request, found: Found) -> dict[str, Any]:
    here = ("styles", found.id)
    return {
        "id": found.id,
        "title": told(found.title, None),
        "links": [
            *_formats(request, found),
            link(address(request, *here, "metadata"), "describedby", JSON, "Metadata · 元数据"),
            link(address(request, *here, "legend"), "preview", SVG_TYPE, "Legend · 图例"),
        ],
    }


def _formats(request: Request, found: Found) -> list[dict[str, str]]:
    """Links to a style in the formats that any can be had in."""
    here = ("styles", found.id)
    page = link(address(request, *here, f="html"), "alternate", "text/html", "As a page")
    return [link(address(request, *here), "stylesheet", STYLE, STYLE_JSON.title), page]


def _links(request: Request, found: Found) -> dict[str, str]:
    there = address(request, "styles", found.id, "metadata")
    return {"Link": f'<{there}>; rel="describedby"; type="{JSON}"'}


def _stylesheet(request: Request, found: Found, offered: Format) -> dict[str, Any]:
    title, version, specification = _SPECIFICATIONS[offered.name]
    href = address(request, "styles", found.id, f=offered.name)
    return {
        "title": title,
        "version": version,
        "specification": specification,
        "native": offered is STYLE_JSON,
        "link": link(href, "stylesheet", offered.link_type),
    }


def _layer(request: Request, layer: PublishedLayer) -> dict[str, Any]:
    record = layer.record
    shape = record.schema.geometry.removesuffix("Z").removeprefix("Multi")
    kind = {"Point": "point", "LineString": "line", "Polygon": "polygon"}.get(shape, "geometry")
    kind = "raster" if record.schema.raster else kind
    there = address(request, "collections", record.id)
    return {"id": record.id, "type": kind, "sampleData": link(there, "data", JSON)}


def _conformance(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{CLASSES}{name}" for name in names)


CLASSES = "http://www.opengis.net/spec/ogcapi-styles-1/0.0/conf/"
_STYLE = "/styles/{styleId}"
DOORS = (
    Door(
        "/styles",
        "GET",
        styles,
        operation(
            "getStyles",
            "Styles · 样式",
            "styles",
            parameters=("f",),
            errors=(400, 401, 406),
        ),
        _conformance(("core", "html")),
        rule=Rule.CATALOGUE,
    ),
    Door(
        _STYLE,
        "GET",
        style,
        operation(
            "getStyle",
            "One style · 单个样式",
            "styles",
            parameters=("styleId", "f-style"),
            media_types=(STYLE, JSON, SLD_10.media_type, SLD_11.media_type, "text/html"),
        ),
        _conformance(("mapbox-style", "sld-10", "sld-11")),
        rule=Rule.CATALOGUE,
    ),
    Door(
        _STYLE + "/metadata",
        "GET",
        metadata,
        operation(
            "getStyleMetadata",
            "What there is to say of a style · 样式元数据",
            "styles",
            parameters=("styleId", "f"),
        ),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/collections/{collectionId}/styles",
        "GET",
        styles_of_layer,
        operation(
            "getCollectionStyles",
            "Styles of a collection · 图层的样式",
            "styles",
            parameters=("collectionId", "f"),
        ),
        rule=Rule.LAYER,
    ),
)
