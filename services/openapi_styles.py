"""The parameters that styles have, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

STYLE_PARAMETERS: dict[str, dict[str, Any]] = {
    "styleId": {
        "name": "styleId",
        "in": "path",
        "required": True,
        "description": "Id of a style: a layer's for its default one, or layer.name · 样式标识",
        "schema": {"type": "string"},
    },
    "spriteFile": {
        "name": "spriteFile",
        "in": "path",
        "required": True,
        "description": "A file of a sheet of symbols: name, @2x for fine screens, .json or .png",
        "schema": {"type": "string"},
    },
    "f-style": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise",
        "schema": {"type": "string", "enum": ["json", "sld10", "sld11", "html"]},
    },
    "f-legend": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise",
        "schema": {"type": "string", "enum": ["svg", "json"]},
    },
    "validate": {
        "name": "validate",
        "in": "query",
        "description": "only: say whether it is a style, and write nothing. (Styles are always "
        "checked) · 仅校验",
        "schema": {"type": "string", "enum": ["yes", "no", "only"], "default": "yes"},
    },
    "default": {
        "name": "default",
        "in": "query",
        "description": "Whether the layer is drawn by it where nobody says otherwise; as it was, "
        "where absent · 设为默认样式",
        "schema": {"type": "boolean"},
    },
    "collection": {
        "name": "collection",
        "in": "query",
        "required": True,
        "description": "Id of the layer that the style is of · 图层标识",
        "schema": {"type": "string"},
    },
}
