"""The profile's schemas, marked as synthetic: what the city is published by."""

from __future__ import annotations

import dataclasses

from layers.model import Schema, Title
from layers.schemas.profiles import profile_schemas


def synthetic_schemas() -> dict[str, Schema]:
    """Return the schemas of the profile ``cn``, each saying that its data was made up."""
    return {name: _marked(schema) for name, schema in profile_schemas("cn").items()}


def _marked(schema: Schema) -> Schema:
    title = Title(f"{schema.title.en} (synthetic)", f"{schema.title.zh}（合成数据）")
    return dataclasses.replace(schema, title=title, synthetic=True, attribution="Synthetic; 合成")
