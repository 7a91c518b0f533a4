"""Pieces of OpenAPI 3.0 that the doors describe themselves with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PARAMETERS: dict[str, dict[str, Any]] = {
    "collectionId": {
        "name": "collectionId",
        "in": "path",
        "required": True,
        "description": "Id of a collection · 图层标识",
        "schema": {"type": "string"},
    },
    "featureId": {
        "name": "featureId",
        "in": "path",
        "required": True,
        "description": "Id of a feature, or of one version of it (id.20140514T040000.000000Z)",
        "schema": {"type": "string"},
    },
    "f": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise",
        "schema": {"type": "string", "enum": ["json", "html"]},
    },
    "f-tile": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer",
        "schema": {"type": "string", "enum": ["mvt"]},
    },
    "bbox": {
        "name": "bbox",
        "in": "query",
        "description": "west,south,east,north in degrees (CRS84)",
        "explode": False,
        "style": "form",
        "schema": {
            "type": "array",
            "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
            # Said again: Part 1 states the two here, and its test suite looks nowhere else.
            "minItems": 4,
            "maxItems": 6,
            "items": {"type": "number"},
        },
    },
    "datetime": {
        "name": "datetime",
        "in": "query",
        "description": "Valid time: an RFC 3339 instant, a date in the layer's time zone, or an "
        "interval a/b with .. for open; now where absent · 有效时间",
        "explode": False,
        "style": "form",
        "schema": {"type": "string"},
    },
    "revision": {
        "name": "revision",
        "in": "query",
        "description": "What was known: a revision of the layer; the newest where absent · 版本号",
        "schema": {"type": "integer", "minimum": 1},
    },
    "recorded": {
        "name": "recorded",
        "in": "query",
        "description": "What was known: the newest revision recorded by an instant · 入库时间",
        "schema": {"type": "string"},
    },
    "commit": {
        "name": "commit",
        "in": "query",
        "description": "What was known: the newest revision as of a commit, or its tag · 提交",
        "schema": {"type": "string"},
    },
    "since": {
        "name": "since",
        "in": "query",
        "description": "From this instant on · 起",
        "schema": {"type": "string"},
    },
    "until": {
        "name": "until",
        "in": "query",
        "description": "Before this instant · 止",
        "schema": {"type": "string"},
    },
    "actor": {
        "name": "actor",
        "in": "query",
        "description": "Who: person:ID, key:ID, shell:NAME or anonymous · 何人",
        "schema": {"type": "string"},
    },
    "layer": {
        "name": "layer",
        "in": "query",
        "description": "Id of a layer · 图层",
        "schema": {"type": "string"},
    },
    "action": {
        "name": "action",
        "in": "query",
        "description": "What was done: read, commit, grant ... · 何事",
        "schema": {"type": "string"},
    },
    "number": {
        "name": "number",
        "in": "path",
        "required": True,
        "description": "Number of a grant or an application · 编号",
        "schema": {"type": "integer", "minimum": 1},
    },
    "keyId": {
        "name": "keyId",
        "in": "path",
        "required": True,
        "description": "Id of a key · 密钥标识",
        "schema": {"type": "string"},
    },
    "personId": {
        "name": "personId",
        "in": "path",
        "required": True,
        "description": "Id of a person · 人员标识",
        "schema": {"type": "string"},
    },
    "next": {
        "name": "next",
        "in": "query",
        "description": "The page to go on to: a path of this server · 登录后转到",
        "schema": {"type": "string"},
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "Features in a page",
        "explode": False,
        "style": "form",
        "schema": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 100},
    },
    "token": {
        "name": "token",
        "in": "query",
        "description": "Carried by next links; opaque",
        "schema": {"type": "string"},
    },
    "tileMatrixSetId": {
        "name": "tileMatrixSetId",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": ["WebMercatorQuad"]},
    },
    "tileMatrix": {
        "name": "tileMatrix",
        "in": "path",
        "required": True,
        "description": "Zoom",
        "schema": {"type": "string"},
    },
    "tileRow": {
        "name": "tileRow",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "tileCol": {
        "name": "tileCol",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
TIME = ("datetime", "revision", "recorded", "commit")
PROBLEM = {
    "description": "What was wrong, and the remedy",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        },
        # Where a page was asked for.
        "text/html": {"schema": {"type": "string"}},
    },
}
# What stands before every route may answer: a bad address or credential, too much of something, a
# database that is away.
ANYWHERE = (400, 401, 414, 429, 431, 503)
REFUSED: dict[str, Any] = {"$ref": "#/components/responses/Problem"}
SEE_OTHER: dict[str, Any] = {"description": "Go on to the page that Location names"}


def form(described: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return an operation that takes a form, or a JSON object of texts; its fields explained.

    >>> list(form({}, {"role": "reader ..."})["requestBody"]["content"])
    ['application/x-www-form-urlencoded', 'application/json']
    """
    texts = {name: {"type": "string", "description": told} for name, told in fields.items()}
    schema = {"type": "object", "properties": texts}
    kinds = ("application/x-www-form-urlencoded", "application/json")
    body = {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
    return described | {"requestBody": body}


TERMS = {
    "role": "reader, editor, publisher, reviewer or administrator · 角色",
    "layers": "*, layer:ID or department:NAME · 图层",
    "division": "what codes begin with · 区划代码",
    "area": "a polygon in longitude and latitude, as WKT or GeoJSON · 范围",
    "fields": "public, internal, restricted or ids of fields · 字段",
    "seen_from": "from when on in the world · 数据时间自",
    "seen_to": "until when in the world · 数据时间至",
    "begins": "when the grant begins · 生效",
    "ends": "when the grant ends · 到期",
    "reason": "why · 理由",
}


def operation(
    name: str,
    summary: str,
    tag: str,
    *,
    parameters: Sequence[str] = (),
    media_types: Sequence[str] = ("application/json", "text/html"),
    schema: Mapping[str, Any] | None = None,
    errors: Sequence[int] = (400, 401, 404, 406, 422),
) -> dict[str, Any]:
    """Return an operation object: 200 and 304, the errors, and parameters by their names here.

    What any route may answer (`ANYWHERE`) is added where the document is put together.

    >>> operation("getIt", "It", "things", parameters=["f"])["parameters"]
    [{'$ref': '#/components/parameters/f'}]
    """
    content = {t: {"schema": dict(schema or {"type": "object"})} for t in media_types}
    for t in content:
        if t == "text/html":
            content[t] = {"schema": {"type": "string"}}
        elif t.startswith("application/vnd.mapbox"):
            content[t] = {"schema": {"type": "string", "format": "binary"}}
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": content},
        "304": {"description": "Not modified"},
    }
    responses |= {str(code): REFUSED for code in errors}
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "parameters": [{"$ref": f"#/components/parameters/{p}"} for p in parameters],
        "responses": responses,
    }
