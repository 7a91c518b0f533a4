"""A description of layers and sources, read and checked before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.applying.documents import Document, read_document
from services.applying.layer_states import LayerState, read_layer
from services.applying.publish_keys import PublishKeys
from services.applying.source_states import SourceState, read_source, refuse_twins
from services.applying.values import check_keys, mapping_at
from services.errors import BadParameter

_KEYS = frozenset({"layers", "sources"})


@dataclass(frozen=True)
class Description:
    """All that a file describes."""

    document: Document
    layers: tuple[LayerState, ...]
    sources: tuple[SourceState, ...]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.document.path.name

    def find(self, layer_id: str) -> LayerState | None:
        """Return what is said of a layer, None where it is not named."""
        return next((state for state in self.layers if state.id == layer_id), None)


def read_description(path: Path, known: PublishKeys) -> Description:
    """Read a description; paths in it are relative to it.

    Raises
    ------
    BadParameter
        Naming the place in the file, and what may stand there.
    """
    try:
        document = read_document(path)
    except BadParameter as error:
        raise BadParameter(f"{path}: {error}") from None
    try:
        check_keys(document.told, _KEYS)
        every = mapping_at(document.told.get("layers") or {}, "layers")
        layers = tuple(read_layer(str(name), said, path.parent) for name, said in every.items())
        listed = document.told.get("sources") or []
        if not isinstance(listed, list):
            raise BadParameter("sources: a list is needed, each with path (or url) and layer")
        schemas = {layer.id for layer in layers if layer.schema is not None}
        own = (path.parent, schemas, known)
        sources = tuple(read_source(n, said, *own) for n, said in enumerate(listed))
        refuse_twins(sources)
    except BadParameter as error:
        raise BadParameter(document.located(error)) from None
    return Description(document, layers, sources)
