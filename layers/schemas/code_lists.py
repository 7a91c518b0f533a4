"""Code lists as files of their own: replaceable data, one row a code."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layers.errors import BadSchema

_COLUMNS = ("code", "zh", "en")


def with_code_lists(document: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return a schema's document with every code list that is named as a file read in.

    Parameters
    ----------
    document : mapping
        As read from a schema file; what is wrong with it otherwise is left as it is.
    folder : Path
        The schema file's, to which the lists' paths are relative.

    Raises
    ------
    BadSchema
        Where a list is missing or is no code list.
    """
    fields = document.get("fields")
    if not isinstance(fields, list):
        return document
    return {**document, "fields": [_with_codes(item, folder) for item in fields]}


def read_codes(path: Path) -> dict[str, dict[str, str]]:
    """Read a code list: a CSV in UTF-8 with the columns code, zh, en, and any others.

    Returns
    -------
    dict of str to dict of str
        Code to its title, ``{"en": ..., "zh": ...}``, in the order of the file.

    Raises
    ------
    BadSchema
        Where the file is missing, is no such table, or names a code twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            absent = [c for c in _COLUMNS if c not in (rows.fieldnames or ())]
            if absent:
                raise BadSchema(f"{path} has no column {absent[0]!r}; it needs code, zh and en")
            return _codes(path, rows)
    except OSError as error:
        raise BadSchema(
            f"{path}: {error.strerror or error}; codes = names a file beside the schema file"
        ) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadSchema(f"{path} is no CSV in UTF-8: {error}; save it as one") from None


def _codes(path: Path, rows: csv.DictReader[str]) -> dict[str, dict[str, str]]:
    codes: dict[str, dict[str, str]] = {}
    for row in rows:
        code, zh, en = ((row[c] or "").strip() for c in _COLUMNS)
        if not code or not (zh or en):
            raise BadSchema(f"{path}, line {rows.line_num}: a code and a title are needed")
        if code in codes:
            raise BadSchema(f"{path}, line {rows.line_num}: code {code!r} is there twice; keep one")
        codes[code] = {"en": en or zh, "zh": zh or en}
    if not codes:
        raise BadSchema(f"{path} has no codes; fill it in, or leave codes = out")
    return codes


def _with_codes(item: Any, folder: Path) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("codes"), str):
        return item
    return {**item, "codes": read_codes(folder / item["codes"])}
