"""What a commit keeps of a source, so that an apply knows it again: digests of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from layers.store import Store
from services.applying.source_states import SourceState
from services.commands import READER

# They say why, and not what.
_TOLD_ONLY = ("message", "document")
Mark = Mapping[str, str | None]


def mark_of(source: SourceState) -> Mark:
    """Return the digests of what is said of a source, and of its content, if it has one."""
    said = {k: v for k, v in source.said.items() if k not in _TOLD_ONLY}
    told = [source.layer, source.name, said]
    item = json.dumps(told, ensure_ascii=False, sort_keys=True, default=str)
    return {"item": hashlib.sha256(item.encode()).hexdigest(), "content": _content(source)}


def is_newest(store: Store, source: SourceState, mark: Mark) -> bool:
    """Return whether the newest content of a source that was published is what it has now."""
    if mark["content"] is None:
        return False
    for revision in store.log(READER, layer_id=source.layer):
        applied = (revision.commit.provenance or {}).get("applied") or {}
        kept = applied.get(source.layer) or {}
        if kept.get("item") == mark["item"]:
            return bool(kept.get("content") == mark["content"])
    return False


def _content(source: SourceState) -> str | None:
    if not source.is_digested:
        return None
    digest = hashlib.sha256()
    for one in (part for path in source.files for part in _parts(path)):
        with one.open("rb") as file:
            digest.update(one.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _parts(path: Path) -> Iterator[Path]:
    """A file, and those beside it that say where it lies or what it holds."""
    yield path
    if path.suffix.lower() in (".shp", ".tif", ".tiff", ".tab", ".mif"):
        for other in sorted(path.parent.iterdir()):
            if other != path and other.stem.split(".")[0] == path.stem and other.is_file():
                yield other
