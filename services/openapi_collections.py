"""What OpenAPI says of each collection that the caller sees: its queryables as parameters.

The path with a template says what all collections have, and that any queryable is a parameter. A
client that looks for a certain one (GDAL, QGIS) finds it only at the path of the collection itself,
which OpenAPI matches before the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from layers.model import Field
from layers.store import PublishedLayer
from services.languages import told
from services.queries import OWN
from services.schema_documents import TYPES, Purpose, seen_fields

ITEMS = "/collections/{collectionId}/items"
_PARAMETERS = "#/components/parameters/"
# Of the template only: the collection is named, and so are its properties.
_TEMPLATE = tuple({"$ref": f"{_PARAMETERS}{name}"} for name in ("collectionId", "property"))


def with_collections(
    document: Mapping[str, Any], layers: Iterable[PublishedLayer]
) -> dict[str, Any]:
    """Return an OpenAPI document, of either version, with a path for each of some layers.

    What is the same for all of them stands in the components, or a hundred layers would make the
    document ten times as long.
    """
    template: Mapping[str, Any] = document["paths"][ITEMS]
    responses = dict(document["components"]["responses"])
    shared: dict[str, Any] = {}
    for method, described in template.items():
        shared[method] = described | {"responses": {}}
        for code, response in described["responses"].items():
            if "$ref" not in response:
                name = f"{described['operationId']}-{code}"
                responses[name] = response
                response = {"$ref": f"#/components/responses/{name}"}
            shared[method]["responses"][code] = response
        stated = described["parameters"]
        shared[method]["parameters"] = [p for p in stated if p not in _TEMPLATE]
    paths = {
        ITEMS.replace("{collectionId}", layer.record.id): _path_item(shared, layer)
        for layer in layers
    }
    return {
        **document,
        "paths": {**document["paths"], **paths},
        "components": {**document["components"], "responses": responses},
    }


def _path_item(shared: Mapping[str, Any], layer: PublishedLayer) -> dict[str, Any]:
    record = layer.record
    title = f"{record.schema.title.zh} · {record.schema.title.en}"
    found = {
        method: described
        | {"operationId": f"{described['operationId']}-{record.id}", "summary": title}
        for method, described in shared.items()
    }
    own = _queryables(seen_fields(Purpose.FILTERS, layer, record))
    found["get"]["parameters"] = [*found["get"]["parameters"], *own]
    return found


def _queryables(fields: Iterable[Field]) -> Iterator[dict[str, Any]]:
    """Fields as parameters; one that is called as another parameter is reached by ``filter``."""
    for f in fields:
        if f.id not in OWN:
            yield {
                "name": f.id,
                "in": "query",
                "description": told(f.title, None),
                # As OpenAPI has it anyway but for lists; QGIS takes no parameter without.
                "style": "form",
                "explode": False,
                "schema": TYPES[f.type],
            }
