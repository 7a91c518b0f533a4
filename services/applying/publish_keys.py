"""Which options of ``shikong publish`` a description may state of a source, and how."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.applying.values import flag_at, mapping_at, text_at, texts_at
from services.errors import BadParameter

# What a run is told, and not a source; and what stands beside them under names of its own.
_NOT_SAID = frozenset("help source layer schema dry_run yes json faults html table".split())
# FIELD=VALUE on the command line, names and values in a file.
_PAIRS = frozenset({"scope", "map"})


@dataclass(frozen=True)
class PublishKey:
    """One option: a text, a list of texts, names and values, or true."""

    name: str
    kind: str
    count: int | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: Any, where: str) -> Any:
        """Return a value as the command line would have it.

        Raises
        ------
        BadParameter
            Naming the place, and what may stand there.
        """
        if self.kind == "flag":
            return flag_at(value, where)
        if self.kind == "pairs":
            pairs = mapping_at(value, where)
            return [f"{k}={text_at(v, f'{where}.{k}')}" for k, v in pairs.items()]
        if self.kind == "text":
            text = text_at(value, where)
            self._check(text, where)
            return text
        texts = texts_at(value, where)
        if self.count is not None and len(texts) != self.count:
            raise BadParameter(f"{where} = {texts}; {self.count} of them are needed")
        for text in texts:
            self._check(text, where)
        return texts

    def _check(self, text: str, where: str) -> None:
        if self.choices and text not in self.choices:
            raise BadParameter(f"{where} = {text!r}; one of {', '.join(self.choices)}")


@dataclass(frozen=True)
class PublishKeys:
    """All of them by their names, and what a publish is told where nothing is said."""

    keys: Mapping[str, PublishKey]
    unsaid: Mapping[str, Any]


def keys_of(parser: argparse.ArgumentParser) -> PublishKeys:
    """Return the options of a parser as keys, so that no option of a publish is left behind.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--axes", choices=("a", "b"))
    >>> keys_of(parser).keys["axes"].choices
    ('a', 'b')
    """
    keys = {key.name: key for key in _keys(parser)}
    unsaid = {action.dest: action.default for action in parser._actions if action.dest != "help"}
    return PublishKeys(keys, unsaid | {"table": False})


def _keys(parser: argparse.ArgumentParser) -> Iterator[PublishKey]:
    for action in parser._actions:
        if action.dest in _NOT_SAID:
            continue
        kind = "flag" if action.nargs == 0 else "text" if action.nargs is None else "list"
        if action.dest in _PAIRS:
            kind = "pairs"
        count = action.nargs if isinstance(action.nargs, int) and action.nargs else None
        yield PublishKey(action.dest, kind, count, tuple(map(str, action.choices or ())))
