"""A mapping as its publisher states it: read from TOML or options, checked, and written again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layers.errors import BadMapping
from layers.model import Field, Schema

_KEYS = ("column", "constant", "values")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values of one field come from: a column, or the same for every row.

    Attributes
    ----------
    values : mapping of str to str
        Of the column, to the code that each stands for.
    """

    column: str | None = None
    constant: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as TOML and JSON have it."""
        said = {"column": self.column, "constant": self.constant, "values": dict(self.values)}
        return {k: v for k, v in said.items() if v not in (None, {})}


@dataclass(frozen=True, slots=True)
class Stated:
    """What is said of the columns of a source; fields that are not named go by their names.

    Attributes
    ----------
    name : str or None
        Under which it is kept, or was kept where no field is named; the source's where absent.
    """

    fields: Mapping[str, Origin] = field(default_factory=dict)
    name: str | None = None


NOTHING = Stated()


def parse_pairs(pairs: Iterable[str]) -> dict[str, Origin]:
    """Return what ``FIELD=COLUMN ...`` says.

    Raises
    ------
    BadMapping
        Where one is no such pair, or a field has two columns.

    Examples
    --------
    >>> parse_pairs(["no=编号"])["no"].column
    '编号'
    """
    found: dict[str, Origin] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (equals and name and column):
            raise BadMapping(f"--map {pair!r}: write FIELD=COLUMN")
        if name in found:
            raise BadMapping(
                f"--map: field {name} has two columns, {found[name].column} and {column}; "
                "name the one that it is"
            )
        found[name] = Origin(column)
    return found


def read_mapping(path: Path) -> Stated:
    """Read a mapping from a TOML file.

    Raises
    ------
    BadMapping
        Where it is missing, no TOML, or says something that no mapping says.
    """
    try:
        return parse_mapping(tomllib.loads(path.read_text(encoding="utf-8-sig")), path.name)
    except OSError as error:
        raise BadMapping(f"{path}: {error.strerror or error}; check --mapping") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMapping(f"{path} is no TOML in UTF-8: {error}") from None


def parse_mapping(document: Mapping[str, Any], called: str = "mapping") -> Stated:
    """Return the mapping that a document states.

    Raises
    ------
    BadMapping

    Examples
    --------
    >>> stated = parse_mapping({"fields": {"use": {"column": "地类", "values": {"水田": "0101"}}}})
    >>> stated.fields["use"].values["水田"]
    '0101'
    """
    fields, name = document.get("fields", {}), document.get("name")
    strange = [key for key in document if key not in ("name", "fields")]
    if strange or not isinstance(fields, Mapping):
        raise BadMapping(f"{called}: {strange[:1] or 'fields'}: write name and [fields.FIELD]")
    if name is not None and (not isinstance(name, str) or not name):
        raise BadMapping(f"{called}: name = {name!r}: write a text")
    return Stated({key: _origin(item, key, called) for key, item in fields.items()}, name)


def _origin(item: Any, name: str, called: str) -> Origin:
    where = f"{called}, [fields.{name}]"
    if not isinstance(item, Mapping) or set(item) - set(_KEYS):
        raise BadMapping(f"{where}: write column or constant, and values = {{VALUE = CODE}}")
    column, constant, values = (item.get(key) for key in _KEYS)
    if isinstance(column, list):
        named = " and ".join(map(str, column))
        raise BadMapping(f"{where}: a field has one column, not {named}; name the one that it is")
    if (column is None) == (constant is None):
        raise BadMapping(f"{where}: write either column or constant")
    texts = [column if constant is None else constant]
    if values is not None:
        if not isinstance(values, Mapping) or column is None:
            raise BadMapping(f"{where}: values = {{VALUE = CODE}} belong to a column")
        texts += values.values()
    for text in texts:
        if not isinstance(text, str) or not text:
            raise BadMapping(f'{where}: {text!r} is no text; write it in quotes: "{text}"')
    return Origin(column, constant, dict(values or {}))


def check_mapping(stated: Stated, schema: Schema, columns: Sequence[str]) -> None:
    """Raise where a mapping names fields, columns or codes that are not there.

    Raises
    ------
    BadMapping
        Naming what is not there, and what is.
    """
    for name, origin in stated.fields.items():
        f = schema.find(name)
        if f is None:
            known = ", ".join(f.id for f in schema.fields)
            raise BadMapping(f"mapping: the layer has no field {name!r}; it has {known}")
        if origin.column is not None and origin.column not in columns:
            raise BadMapping(
                f"mapping of {name}: the source has no column {origin.column!r}; it has "
                f"{', '.join(columns) or 'none'}"
            )
        _check_codes(f, origin)


def _check_codes(f: Field, origin: Origin) -> None:
    named = [*origin.values.values(), *([] if origin.constant is None else [origin.constant])]
    if named and f.is_restricted:
        raise BadMapping(
            f"mapping of {f.id}: it is restricted, and a mapping is not; give it a column, and "
            "put values into the source"
        )
    unknown = [code for code in named if f.codes and code not in f.codes]
    if unknown:
        known = ", ".join(list(f.codes)[:10]) + (" ..." if len(f.codes) > 10 else "")
        raise BadMapping(
            f"mapping of {f.id}: its code list has no {unknown[0]!r}; it has {known}; mend the "
            "mapping, or add the code to the list"
        )


def write_mapping(stated: Stated) -> str:
    """Return a mapping as TOML.

    Examples
    --------
    >>> print(write_mapping(Stated({"no": Origin("编号")})), end="")
    [fields.no]
    column = "编号"
    """
    parts = [] if stated.name is None else [f"name = {quote(stated.name)}\n"]
    parts += [write_origin(name, origin) for name, origin in stated.fields.items()]
    return "\n".join(parts)


def write_origin(name: str, origin: Origin) -> str:
    """Return the table of one field."""
    lines = [f"[fields.{quote(name) if not _is_bare(name) else name}]"]
    if origin.column is not None:
        lines.append(f"column = {quote(origin.column)}")
    if origin.constant is not None:
        lines.append(f"constant = {quote(origin.constant)}")
    if origin.values:
        pairs = ", ".join(f"{quote(k)} = {quote(v)}" for k, v in origin.values.items())
        lines.append(f"values = {{ {pairs} }}")
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """Return a text as a basic string of TOML, whose escapes are JSON's but for one sign."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_bare(name: str) -> bool:
    return name.isascii() and name.replace("_", "").replace("-", "").isalnum()
