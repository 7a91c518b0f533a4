"""A file of YAML or TOML as plain values, and at which of its lines each stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from services.errors import BadParameter

ENDINGS = (".yaml", ".yml", ".toml")
_LARGEST = 1_000_000
_PLACE = re.compile(r"\w[^\s:]*")


@dataclass(frozen=True)
class Document:
    """What a file says.

    Attributes
    ----------
    lines : mapping of str to int
        Of places such as ``sources[0].path``; of TOML nobody tells them.
    """

    path: Path
    told: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)

    def located(self, error: Exception | str) -> str:
        """Return what an error says after the file, and the line of the place that it names."""
        found = _PLACE.match(str(error))
        place = found[0] if found else ""
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        line = f":{self.lines[place]}" if place else ""
        return f"{self.path}{line}: {error}"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Takes plain words as texts: 010 is a code, and a field may be called no.

    A key said twice, of which others take the last, is refused; so are aliases, by which a short
    file becomes one without end.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return a node that is none of before."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            line = event.start_mark.line + 1
            raise BadParameter(f"line {line}: *{event.anchor}: write out what it stands for")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping of which each key is said once."""
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadParameter(f"line {line}: a key is one word")
            if key.value in seen:
                raise BadParameter(f"line {line}: {key.value} is said twice; leave one out")
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("~|null|$"), ["~", "n", ""])


def read_document(path: Path) -> Document:
    """Read a file, by the ending of its name.

    Raises
    ------
    BadParameter
        Where there is none, or it says nothing that can be read.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BadParameter("more than 1 MB is no description; divide it")
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".toml":
            return Document(path, tomllib.loads(text))
        told, lines = _read_yaml(text)
    except OSError as error:
        raise BadParameter(f"{error.strerror or error}; name a file that exists") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        words = " ".join(str(error).split()) or "nested too deep"
        raise BadParameter(f"can't be read: {words}; see docs/apply.md") from None
    if told is None:
        told = {}
    if not isinstance(told, Mapping):
        raise BadParameter(f"the file: names and values are needed, not {str(told)[:60]!r}")
    return Document(path, told, lines)


def _read_yaml(text: str) -> tuple[Any, dict[str, int]]:
    # A safe loader: plain values, and no objects.
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        return loader.construct_document(node), dict(_lines(node, ""))
    finally:
        loader.dispose()


def _lines(node: Any, place: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = f"{place}.{key.value}" if place else key.value
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            here = f"{place}[{number}]"
            yield here, value.start_mark.line + 1
            yield from _lines(value, here)
