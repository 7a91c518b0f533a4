"""Pieces of OpenAPI 3.0 that the doors describe themselves with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.reading.cql2 import LANGUAGES
from services.formats import ITEM, ITEMS
from services.openapi_tiles import TILE_PARAMETERS

PARAMETERS: dict[str, dict[str, Any]] = {
    **TILE_PARAMETERS,
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
    "f-items": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise. Formats but json, html "
        "and jsonfg are streams of all that there is, unless a limit is asked · 输出格式",
        "schema": {"type": "string", "enum": [found.name for found in ITEMS]},
    },
    "f-item": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise",
        "schema": {"type": "string", "enum": [found.name for found in ITEM]},
    },
    "f-versions": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise",
        "schema": {"type": "string", "enum": ["json", "html", "link-format"]},
    },
    "f-changes": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer: a stream of lines, a page of JSON, or a page",
        "schema": {"type": "string", "enum": ["ndjson", "json", "html"]},
    },
    "profile": {
        "name": "profile",
        "in": "query",
        "description": "How several versions of one feature stand in the answer, which says which "
        "it took: versions-as-features-unique-ids, versions-as-features, features-with-time-slices",
        "explode": False,
        "style": "form",
        "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "from": {
        "name": "from",
        "in": "query",
        "description": "The revision after which changes begin; 0, before all, where absent",
        "schema": {"type": "integer", "minimum": 0},
    },
    "to": {
        "name": "to",
        "in": "query",
        "description": "The revision up to which changes go; the newest where absent",
        "schema": {"type": "integer", "minimum": 0},
    },
    "datetime-changes": {
        "name": "datetime",
        "in": "query",
        "description": "Changes between the two revisions as seen at this instant; of an interval, "
        "between its start and its end · 有效时间",
        "schema": {"type": "string"},
    },
    "crs-changes": {
        "name": "crs",
        "in": "query",
        "description": "Of the geometries: CRS84, or the layer's own, in which nothing is rounded",
        "schema": {"type": "string"},
    },
    "limit-changes": {
        "name": "limit",
        "in": "query",
        "description": "Changes at most; of a stream all where absent, of a page 100",
        "explode": False,
        "style": "form",
        "schema": {"type": "integer", "minimum": 1},
    },
    "limit-log": {
        "name": "limit",
        "in": "query",
        "description": "Entries in a page",
        "explode": False,
        "style": "form",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    },
    "limit-instants": {
        "name": "limit",
        "in": "query",
        "description": "Instants, or periods, in a page",
        "explode": False,
        "style": "form",
        "schema": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000},
    },
    "axis": {
        "name": "axis",
        "in": "query",
        "description": "valid: when the world changed. recorded: when what is known of it changed",
        "schema": {"type": "string", "enum": ["valid", "recorded"], "default": "valid"},
    },
    "by": {
        "name": "by",
        "in": "query",
        "description": "A property: a number for each of its values · 分组字段",
        "schema": {"type": "string"},
    },
    "period": {
        "name": "period",
        "in": "query",
        "description": "A number for each period, in the layer's time zone · 周期",
        "schema": {"type": "string", "enum": ["year", "month", "week", "day"]},
    },
    "commitId": {
        "name": "commitId",
        "in": "path",
        "required": True,
        "description": "Number of a commit · 提交编号",
        "schema": {"type": "string"},
    },
    "revisionNumber": {
        "name": "number",
        "in": "path",
        "required": True,
        "description": "Number of a revision · 版本号",
        "schema": {"type": "integer", "minimum": 1},
    },
    "f-geojson": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer: GeoJSON",
        "schema": {"type": "string", "enum": ["json"]},
    },
    "f-api": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer: OpenAPI 3.0, a page, or OpenAPI 3.1",
        "schema": {"type": "string", "enum": ["json", "html", "oas31"]},
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
    "bbox-crs": {
        "name": "bbox-crs",
        "in": "query",
        "description": "Reference system of bbox, one that the collection lists · bbox 的坐标系",
        "schema": {"type": "string"},
    },
    "crs": {
        "name": "crs",
        "in": "query",
        "description": "Reference system of the answer, one that the collection lists · 坐标系",
        "schema": {"type": "string"},
    },
    "sortby": {
        "name": "sortby",
        "in": "query",
        "description": "Sortable properties with commas between, -name descends · 排序",
        "schema": {"type": "string"},
    },
    "properties": {
        "name": "properties",
        "in": "query",
        "description": "The properties wanted, with commas between · 所需属性",
        "schema": {"type": "string"},
    },
    "exclude-properties": {
        "name": "exclude-properties",
        "in": "query",
        "description": "The properties not wanted, with commas between · 排除属性",
        "schema": {"type": "string"},
    },
    "skipGeometry": {
        "name": "skipGeometry",
        "in": "query",
        "description": "Whether geometries are left out · 不含几何",
        "schema": {"type": "boolean", "default": False},
    },
    "ids": {
        "name": "ids",
        "in": "query",
        "description": "Ids of the features wanted, with commas between · 要素标识",
        "schema": {"type": "string"},
    },
    "q": {
        "name": "q",
        "in": "query",
        "description": "Phrases, with commas between; one stands in some text · 全文检索",
        "schema": {"type": "string"},
    },
    "offset": {
        "name": "offset",
        "in": "query",
        "description": "Features passed over; next links are quicker · 偏移",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10000000, "default": 0},
    },
    "count": {
        "name": "count",
        "in": "query",
        "description": "exact: count all that match, however long it takes · 精确计数",
        "schema": {"type": "string", "enum": ["exact"]},
    },
    "filter": {
        "name": "filter",
        "in": "query",
        "description": "What must hold of a feature, in CQL2 · 过滤条件",
        "schema": {"type": "string"},
    },
    "filter-lang": {
        "name": "filter-lang",
        "in": "query",
        "description": "The language of the filter; cql-text is what GDAL writes · 过滤语言",
        "schema": {
            "type": "string",
            "enum": list(LANGUAGES),
            "default": "cql2-text",
        },
    },
    "filter-crs": {
        "name": "filter-crs",
        "in": "query",
        "description": "Reference system of the filter's geometries; CRS84 where absent · 坐标系",
        "schema": {"type": "string", "format": "uri"},
    },
    "property": {
        "name": "property",
        "in": "query",
        "description": "Any property of the collection's queryables, by its own name: the value "
        "that it must have · 按字段值过滤",
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
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
    "datetime-extent": {
        "name": "datetime",
        "in": "query",
        "description": "An instant or interval that the temporal extent of the collection meets, "
        "as it is now · 时间范围",
        "explode": False,
        "style": "form",
        "schema": {"type": "string"},
    },
    "limit-collections": {
        "name": "limit",
        "in": "query",
        "description": "Collections in a page",
        "explode": False,
        "style": "form",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000},
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
    "message": {
        "name": "message",
        "in": "query",
        "description": "What the change is, for the log · 变更说明",
        "schema": {"type": "string"},
    },
    "document": {
        "name": "document",
        "in": "query",
        "description": "Id of the legal document behind the change · 依据文号",
        "schema": {"type": "string"},
    },
    "dry-run": {
        "name": "dry-run",
        "in": "query",
        "description": "Work it out, and write nothing · 试运行",
        "schema": {"type": "boolean", "default": False},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "ETag of the feature as it was read: 412 where it is another since",
        "schema": {"type": "string"},
    },
    "If-Unmodified-Since": {
        "name": "If-Unmodified-Since",
        "in": "header",
        "description": "Last-Modified of the feature as it was read: 412 where it changed since",
        "schema": {"type": "string"},
    },
    "Content-Crs": {
        "name": "Content-Crs",
        "in": "header",
        "description": "Reference system of the body, one that the collection lists · 坐标系",
        "schema": {"type": "string"},
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "return=representation or return=minimal; handling=strict",
        "schema": {"type": "string"},
    },
    "OGC-Mutation-Datetime": {
        "name": "OGC-Mutation-Datetime",
        "in": "header",
        "description": "From when on it is no more, in the world; now where absent · 有效时间",
        "schema": {"type": "string"},
    },
}
TIME = ("datetime", "revision", "recorded", "commit")
SEE_OTHER: dict[str, Any] = {"description": "Go on to the page that Location names"}
# Of the control routes, which FastAPI describes.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": "What was wrong"} for code in (400, 401, 404, 406, 422, 429)
}
PROBLEM = {
    "description": "What was wrong, and the remedy. 503 of a collection may say that it is paused, "
    "for reading and for writing, and who starts it again · 503 可表示图层已暂停",
    "headers": {
        "Retry-After": {
            "description": "Of 429, and of 503 where a collection is paused: seconds to wait",
            "schema": {"type": "integer"},
        }
    },
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
                    "report": {
                        "type": "object",
                        "description": "Of an upload that a rule, a limit or a missing consent "
                        "refuses: what was found in it, as a publish tells it · 入库报告",
                    },
                },
            }
        },
        "text/html": {"schema": {"type": "string"}},
    },
}


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

    >>> operation("getIt", "It", "things", parameters=["f"])["parameters"]
    [{'$ref': '#/components/parameters/f'}]
    """
    content = {t: {"schema": dict(schema or {"type": "object"})} for t in media_types}
    for t in content:
        if t == "text/html":
            content[t] = {"schema": {"type": "string"}}
        elif not t.partition(";")[0].endswith("json"):
            content[t] = {"schema": {"type": "string", "format": "binary"}}
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": content},
        "304": {"description": "Not modified"},
    }
    responses |= {str(code): {"$ref": "#/components/responses/Problem"} for code in (*errors, 429)}
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "parameters": [{"$ref": f"#/components/parameters/{p}"} for p in parameters],
        "responses": responses,
    }


_DONE = {
    200: "Done, with what was asked for; or worked out, where nothing was to be written",
    201: "Created",
    204: "Done",
}
_REFUSED = (400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 428, 429)


def change(
    name: str,
    summary: str,
    *,
    parameters: Sequence[str],
    body: Sequence[str] = (),
    done: Sequence[int] = (200,),
    schema: Mapping[str, Any] | None = None,
    tag: str = "features",
) -> dict[str, Any]:
    """Return the operation object of a change: its body, what it answers, and its refusals.

    Parameters
    ----------
    body : sequence of str
        Media types of it; none where there is no body.
    schema : mapping, optional
        Of the body; any object where absent.

    Examples
    --------
    >>> list(change("a", "b", parameters=(), done=(204,))["responses"])[:3]
    ['204', '400', '401']
    """
    responses: dict[str, Any] = {}
    for code in done:
        responses[str(code)] = {"description": _DONE[code]}
        if code != 204:
            told = {"schema": {"type": "object"}}
            kinds = ("application/json", "application/geo+json")
            responses[str(code)]["content"] = dict.fromkeys(kinds, told)
    problems = {str(c): {"$ref": "#/components/responses/Problem"} for c in _REFUSED}
    described: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "parameters": [{"$ref": f"#/components/parameters/{p}"} for p in parameters],
        "responses": responses | problems,
        "security": [{"key": []}],
    }
    if body:
        content = {kind: {"schema": dict(schema or {"type": "object"})} for kind in body}
        described["requestBody"] = {"required": True, "content": content}
    return described


def choices(name: str, summary: str, parameters: Sequence[str]) -> dict[str, Any]:
    """Return the operation object of OPTIONS: which methods there are, for whoever asks."""
    refused = (400, 401, 404, 429)
    problems = {str(c): {"$ref": "#/components/responses/Problem"} for c in refused}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["features"],
        "parameters": [{"$ref": f"#/components/parameters/{p}"} for p in parameters],
        "responses": {"200": {"description": "Allow, Accept-Post, Accept-Patch"}} | problems,
    }
