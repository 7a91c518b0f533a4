"""Every question that can be put to the application: made of its routes, and what they say.

Nothing that is sent changes the city: what is to be ended, revoked or decided is not there, and
uploads are dry runs. A path parameter or query parameter that is not known here fails the tests, so
that a new route is asked with values that could make it tell too much.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from secret_city import A_CODE, FIELDS, LAYERS, PLACES, ZONES
from starlette.routing import Route

from services.access.rules import SAFE, Rule, rule_of
from services.app import routes_of
from services.assembly import openapi_document

ASKED_LAYERS = (*LAYERS, "nowhere")
# Of these the first feature is asked for with every parameter; the others only with these.
ASKED_IN_FULL = ("openland", "innerland", "calls", "")
ASKED_EVERYWHERE = ("", "?datetime=..%2F..", "?revision=1")
# Values for path parameters of which the layer makes no difference.
PATHS: Mapping[str, Sequence[str]] = {
    "number": ["1", "2", "4", "999999"],
    "tileMatrixSetId": ["WebMercatorQuad"],
    # Of tiles; who gets which is held in tests/services/test_tile_archives.py.
    "archiveId": ["r1-0123456789abcdef.pmtiles"],
    "style": ["default"],
    "time": ["current"],
    "processID": ["assign-cases-to-grids", "no-such-process"],
    "jobID": ["no-such-job"],
    # The style of each layer is called as the layer is; stored ones are in test_styles.py.
    "styleId": [*LAYERS, "innerland.plan", "no-such-style"],
    "spriteFile": ["shikong.json", "shikong@2x.png", "no-such-sheet.png"],
    "keyId": ["00000000"],
    "personId": ["00000000"],
    # Each layer has commits of its own, the first six one each.
    "commitId": ["1", "2", "3", "4", "5", "8", "11", "999999"],
    # 10.5 50.5 and 12.5 50.5 lie in these; a tile is asked for as a whole.
    "tileMatrix/tileRow/tileCol": ["0/0/0", "5/10/16"],
}
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
# Values for query parameters, each asked alone; what must go together stands in TOGETHER.
QUERIES: Mapping[str, Sequence[str]] = {
    "f": ["html"],
    "datetime": ["2021-06-01", "2023-06-01T00:00:00Z", "../.."],
    "revision": ["1", "2", "3", "6"],
    "recorded": ["2100-01-01T00:00:00Z"],
    "commit": ["1", "TAG-openland"],
    "bbox": ["9,49,14,52"],
    "limit": ["1"],
    "token": [],
    "from": ["0", "1"],
    "to": ["1"],
    "crs": [f"{EPSG}4326"],
    "bbox-crs": [f"{EPSG}3857"],
    "filter": [
        *(f"{letter}_{name} IS NOT NULL" for letter in "oi" for name in ("label", "note", "owner")),
        "c_note LIKE '%' OR c_reporter LIKE '%'",
    ],
    # These two go with a filter; alone they are refused.
    "filter-lang": ["cql2-text"],
    "filter-crs": [f"{EPSG}4326"],
    "offset": ["1"],
    "sortby": ["o_label", "-i_label", "o_note", "i_owner"],
    "properties": ["o_label,o_note", "i_note", "i_owner"],
    "exclude-properties": ["o_label", "i_label"],
    "skipGeometry": ["true"],
    "ids": [",".join(place.id for place in PLACES)[:1900]],
    "q": ["e,a,o"],
    "count": ["exact"],
    "axis": ["recorded"],
    "profile": ["features-with-time-slices"],
    "by": ["o_label", "o_note", "o_owner", "i_label", "i_note", "i_owner", "c_note", "c_reporter"],
    "period": ["year"],
    # Stands for properties by their own names; these are asked in test_probing.py.
    "property": [],
    "document": [f"DOCUMENT-{layer}" for layer in LAYERS],
    "lang": ["zh"],
    "next": ["/collections"],
    "mode": ["reload"],
    "valid-from": ["2024-01-01"],
    "message": ["a message"],
    "dry-run": ["true"],
    "consent": ["true"],
    "since": ["2020-01-01T00:00:00Z"],
    "until": ["2100-01-01T00:00:00Z"],
    "actor": ["anonymous"],
    "action": ["read"],
    "layer": list(LAYERS),
    "collections": [*LAYERS, ",".join(LAYERS), "nowhere"],
    # Of WMTS; these mean something all together alone, and so are asked in WHOLE.
    **dict.fromkeys(("service", "request", "version", "acceptversions", "style", "format"), ()),
    **dict.fromkeys(("time", "tilematrixset", "tilematrix", "tilerow", "tilecol"), ()),
}
# Queries that are asked as they stand.
_TILE = (
    "?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&STYLE=default&TILEMATRIXSET=WebMercatorQuad"
    "&TILEMATRIX=5&TILEROW=10&TILECOL=16&FORMAT=application%2Fvnd.mapbox-vector-tile"
)
WHOLE: Mapping[str, Sequence[str]] = {
    "/wmts": [
        "?service=WMTS&request=GetCapabilities",
        *(
            f"{_TILE}&LAYER={layer}&TIME={time}"
            for layer in ASKED_LAYERS
            for time in ("", "2021-06-01")
        ),
    ],
}
# Changes that can be worked out without being written; of each layer so many features are enough.
DRY = ("/collections/{collectionId}/items", "/transactions")
DRY_RUN = "?dry-run=true"
CHANGED = 3
# Routes by which a right caller changes the city for all; whoever that is does not ask there.
CHANGING = ("/collections/{collectionId}/approval",)
TOGETHER = [
    ("datetime", "../..", "revision"),
    ("revision", "1", "f"),
    ("datetime", "../..", "profile"),
    ("datetime", "2023-06-01", "from"),
    ("period", "year", "by"),
]


@dataclass(frozen=True)
class Question:
    """One request."""

    route: str
    rule: Rule
    method: str
    address: str
    layer: str = ""
    sent: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def wants_html(self) -> bool:
        """Whether a page is asked for."""
        return "f=html" in self.address or "text/html" in str(self.sent.get("headers"))


def questions(app: FastAPI) -> list[Question]:
    """Return every question, route by route."""
    described = openapi_document(app, "http://testserver")
    found: list[Question] = []
    for route in sorted(routes_of(app), key=lambda r: r.path):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            found += _questions(route, method, described)
    assert found
    return found


def _questions(route: Route, method: str, described: Mapping[str, Any]) -> Iterator[Question]:
    rule = rule_of(route.endpoint)
    assert rule is not None, f"{route.path} has no rule; see services/access/rules.py"
    told: list[str] = []
    dry = route.path.startswith(DRY) and method not in SAFE
    for path, layer in _paths(route.path):
        asked = ["", *_queries(route, method, described)] if method == "GET" else [""]
        if dry:
            asked = [DRY_RUN] if told.count(layer) < CHANGED else []
        if layer in told or layer not in ASKED_IN_FULL:
            asked = [query for query in asked if query in (*ASKED_EVERYWHERE, DRY_RUN)]
        told.append(layer)
        for query in asked:
            yield Question(route.path, rule, method, f"{path}{query}", layer)
        if method == "GET":
            page = {"headers": {"Accept": "text/html"}}
            yield Question(route.path, rule, method, path, layer, page)
        for query, sent in _bodies(route.path, method, layer) if asked else ():
            yield Question(route.path, rule, method, f"{path}{query}", layer, sent)


def _paths(template: str) -> Iterator[tuple[str, str]]:
    plain = template.replace(":path}", "}")
    layers = ASKED_LAYERS if "{collectionId}" in plain else ("",)
    for layer in layers:
        path = plain.replace("{collectionId}", layer)
        path = path.replace("{tileMatrix}/{tileRow}/{tileCol}", "{tileMatrix/tileRow/tileCol}")
        names = [part.partition("}")[0] for part in path.split("{")[1:]]
        values = [_values(name, layer, template) for name in names]
        for chosen in itertools.product(*values):
            found = path
            for name, value in zip(names, chosen, strict=True):
                found = found.replace(f"{{{name}}}", value, 1)
            yield found, layer


def _values(name: str, layer: str, template: str) -> Sequence[str]:
    if name == "featureId":
        ids = dict.fromkeys(p.id for p in PLACES if p.layer == layer)
        ids |= dict.fromkeys(z.text for z in ZONES if z.layer == layer and not z.field)
        moved = next((i for i in ids if i.endswith("-m")), None)
        versions = [f"{moved}.20200101T000000.000000Z", f"{moved}.20220101T000000.000000Z"]
        first = [moved] if moved else []
        return list(dict.fromkeys([*first, *ids, *(versions if moved else []), "no-such-thing"]))
    if name == "number" and not layer:
        return ["999999"]
    assert name in PATHS, (
        f"{template} has a path parameter {name!r} that the access tests can't ask with: add "
        "values for it to PATHS in tests/services/access/city_questions.py, some of them of layers "
        "that are not everybody's"
    )
    return PATHS[name]


def _queries(route: Route, method: str, described: Mapping[str, Any]) -> Iterator[str]:
    path = route.path.replace(":path}", "}")
    said = described["paths"].get(path, {}).get(method.lower(), {}).get("parameters", [])
    kept = described["components"]["parameters"]
    every = [kept[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in said]
    yield from WHOLE.get(path, ())
    names = [p["name"] for p in every if p["in"] == "query"]
    for name in names:
        assert name in QUERIES, (
            f"{path} has a parameter {name!r} that the access tests can't ask with: add values for "
            "it to QUERIES in tests/services/access/city_questions.py"
        )
        yield from (f"?{name}={quote(value, safe='')}" for value in QUERIES[name])
    # Every format that a route says it has, so that a new one is looked into as well.
    formats = {f for p in every if p["name"] == "f" for f in p["schema"].get("enum", ())}
    yield from (f"?f={name}" for name in sorted(formats - {"json", *QUERIES["f"]}))
    for first, value, second in TOGETHER:
        if first in names and second in names:
            yield from (
                f"?{first}={quote(value, safe='')}&{second}={other}" for other in QUERIES[second]
            )


def _bodies(path: str, method: str, layer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is sent: nothing that would change anything, as everybody asks the same city."""
    if path.startswith(DRY):
        yield from ((DRY_RUN, sent) for sent in _changes(path, method, layer))
        return
    if method != "POST":
        return
    if path.endswith("/execution"):
        pairs = {("calls", grids) for grids in ASKED_LAYERS}
        for cases, grids in sorted(pairs | {(cases, "zones") for cases in ASKED_LAYERS}):
            yield "", {"json": {"inputs": {"cases": cases, "grids": grids}}}
        return
    if path.endswith("/revisions"):
        yield from (("?dry-run=true", {"content": body}) for body in uploads(layer))
        return
    form = {"decision": "refused", "closed": "true", "key": "sk_00000000_wrong", "days": "1"}
    yield "", {"data": form}
    yield "", {"json": form}


def _changes(path: str, method: str, layer: str) -> Iterator[Mapping[str, Any]]:
    """Bodies that state, or guess, every field of a layer."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/geo+json"
    headers = {"Content-Type": kind}
    if path == "/transactions":
        for one in LAYERS:
            first = _values("featureId", one, path)[0]
            gone = {"action": "delete", "collection": one, "filter": {"ids": [first]}}
            body = json.dumps({"transaction": [gone]}).encode()
            yield {"content": body, "headers": {"Content-Type": "application/json"}}
    elif method == "PATCH":
        for name in FIELDS.get(layer, ()):
            body = json.dumps({"properties": {name: "a guess"}}).encode()
            yield {"content": body, "headers": headers}
    elif method in ("POST", "PUT"):
        # Of each place one body has its key alone, one a field, one all fields.
        for body in itertools.islice(uploads(layer), 3):
            yield {"content": body, "headers": headers}


def uploads(layer: str) -> Iterator[bytes]:
    """Yield bodies of uploads that state every field of every feature of a layer."""
    for place in (p for p in PLACES if p.layer == layer):
        names = [n for n in FIELDS[layer] if not n.endswith(("_code", "_at"))]
        for stated in ([], names[:1], names):
            yield upload(place.id, place.longitude, dict.fromkeys(stated, "a guess"))


def upload(feature: str, longitude: float, properties: Mapping[str, str]) -> bytes:
    """Return the body of an upload of one feature."""
    geometry = {"type": "Point", "coordinates": [longitude, 50.5]}
    own = {"no": feature, **properties}
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": own}).encode()


__all__ = ["A_CODE", "Question", "questions", "upload", "uploads"]
