"""Sources as a description has them: an address, a layer, and what a publish is told."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from layers.errors import LayersError
from services import commands
from services.applying.publish_keys import PublishKeys
from services.applying.values import check_keys, mapping_at, text_at, texts_at
from services.errors import BadParameter, ServicesError
from services.remote_sources import is_remote
from services.repairs import check_repairs
from spatial.errors import SpatialError

_OWN = frozenset({"path", "url", "layer"})
# They are the schema's, where there is one.
_ROLES = ("kind", "key", "valid_from_field", "valid_to_field")


@dataclass(frozen=True)
class SourceState:
    """A source that shall be published.

    Attributes
    ----------
    place : str
        Where the file says it.
    name : str
        What the plan calls it: the address as it is written.
    addresses : tuple of str
        Files, absolute, or one address of a database or a server.
    said : mapping of str to value
        What is said of it, as it is written.
    options : Namespace
        As `shikong publish` has them.
    files : tuple of Path
        All of which the digest of its content is made; empty where it must be asked.
    """

    place: str
    name: str
    layer: str
    addresses: tuple[str, ...]
    said: Mapping[str, Any]
    options: argparse.Namespace
    files: tuple[Path, ...]

    @property
    def is_digested(self) -> bool:
        """Whether its content is known by a digest, and is read only where that differs."""
        return bool(self.files) and all(path.is_file() for path in self.files)

    def is_apart(self, other: SourceState) -> bool:
        """Return whether two sources can't touch the same features: by layer, or by scope."""
        ours, theirs = self.said.get("scope") or {}, other.said.get("scope") or {}
        return self.layer != other.layer or any(
            str(theirs[k]) != str(v) for k, v in ours.items() if k in theirs
        )


def read_source(
    number: int, said: Any, folder: Path, with_schema: set[str], known: PublishKeys
) -> SourceState:
    """Return a source as a file says it; paths in it begin at the folder.

    Raises
    ------
    BadParameter
        Naming the place in the file, and what may stand there.
    """
    where = f"sources[{number}]"
    told = dict(mapping_at(said, where))
    check_keys(told, _OWN | known.keys.keys(), where)
    layer = told.pop("layer", None)
    if not isinstance(layer, str) or not layer:
        raise BadParameter(f"{where}.layer: name the layer that it is published to")
    name, addresses = _addresses(told, folder, where)
    options = dict(known.unsaid)
    for key, value in told.items():
        if key in _ROLES and layer in with_schema:
            raise BadParameter(f"{where}.{key}: the schema of layers.{layer} says it; leave it out")
        options[key] = known.keys[key].read(value, f"{where}.{key}")
    files = [] if is_remote(addresses[0]) else [Path(a) for a in addresses]
    if str(options["mapping"]).endswith(".toml"):
        mapping = (folder / options["mapping"]).resolve()
        if not mapping.is_file():
            raise BadParameter(
                f"{where}.mapping: {mapping} does not exist; paths begin at the file"
            )
        options["mapping"] = str(mapping)
        files += [mapping] if files else []
    stated = argparse.Namespace(**options | {"source": list(addresses), "layer": layer})
    _check(stated, where)
    return SourceState(where, name, layer, addresses, told, stated, tuple(files))


def refuse_twins(sources: tuple[SourceState, ...]) -> None:
    """Refuse the same source said twice of a layer.

    Raises
    ------
    BadParameter
    """
    seen: dict[tuple[str, str, str], str] = {}
    for source in sources:
        key = (source.layer, source.name, repr(sorted(source.said.items())))
        if key in seen:
            raise BadParameter(f"{source.place} is {seen[key]} again; leave one out")
        seen[key] = source.place


def _check(options: argparse.Namespace, where: str) -> None:
    if options.valid_from is not None and options.valid_from_field is not None:
        raise BadParameter(f"{where}.valid_from_field: valid_from is said too; leave one out")
    try:
        check_repairs(options.repair)
    except BadParameter as error:
        raise BadParameter(f"{where}.repair: {error}") from None
    try:
        commands.check_stated(options)
    except (LayersError, ServicesError, SpatialError) as error:
        raise BadParameter(f"{where}: {error}") from None


def _addresses(told: dict[str, Any], folder: Path, where: str) -> tuple[str, tuple[str, ...]]:
    path, url = told.pop("path", None), told.pop("url", None)
    if (path is None) == (url is None):
        raise BadParameter(f"{where}: state path or url, one of them")
    if path is not None:
        several = isinstance(path, list)
        texts = texts_at(path, f"{where}.path") if several else [text_at(path, f"{where}.path")]
        if not texts:
            raise BadParameter(f"{where}.path: name a file")
        return ", ".join(texts), tuple(_file(text, folder, f"{where}.path") for text in texts)
    if not isinstance(url, str) or not is_remote(url):
        raise BadParameter(f"{where}.url: https://... or postgresql://... is needed")
    if urlsplit(url).password or "password=" in url:
        raise BadParameter(
            f"{where}.url: a password stands in it; keep it in a password file (PGPASSFILE)"
        )
    return url, (url,)


def _file(text: str, folder: Path, where: str) -> str:
    if is_remote(text):
        raise BadParameter(f"{where} = {text!r}; a file's path, or state url")
    found = (folder / text).resolve()
    if not found.exists():
        raise BadParameter(f"{where}: {found} does not exist; paths begin at the file")
    return str(found)
