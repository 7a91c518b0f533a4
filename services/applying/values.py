"""What stands at a place of a description, as the kind of value that is needed there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from services.errors import BadParameter


def mapping_at(value: Any, where: str) -> Mapping[str, Any]:
    """Return names and values.

    Raises
    ------
    BadParameter
        Naming the place, as all of these do.
    """
    if not isinstance(value, Mapping):
        raise BadParameter(f"{where}: names and values are needed, not {value!r}")
    return value


def texts_at(value: Any, where: str) -> list[str]:
    """Return a list of texts."""
    if not isinstance(value, list):
        raise BadParameter(f"{where} = {value!r}; a list of names, such as [a, b]")
    return [text_at(item, where) for item in value]


def text_at(value: Any, where: str) -> str:
    """Return a text; a number or a date as it is written."""
    if value is None or isinstance(value, bool | list | dict):
        raise BadParameter(f"{where} = {value!r}; a text is needed; quote it where it is one")
    return str(value)


def flag_at(value: Any, where: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise BadParameter(f"{where} = {value!r}; true or false")
    return value


def number_at(value: Any, where: str) -> float:
    """Return a number, which YAML has as a text here."""
    try:
        return float(text_at(value, where))
    except ValueError:
        raise BadParameter(f"{where} = {value!r}; a number is needed, such as 0.01") from None


def check_keys(told: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
    """Refuse a key that there is not, with those that there are."""
    for key in told:
        if key not in known:
            place = f"{where}.{key}" if where else str(key)
            raise BadParameter(f"{place}: no such key; there are {', '.join(sorted(known))}")
