"""Code lists as files of their own: replaceable data, one row a code and period."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from layers.errors import BadSchema
from layers.model import Field, Term, Title
from layers.schemas.terms import Terms, in_order, joined, read_day, term_document

# What a column, or a line before the table, may be called; the first is its own name.
_COLUMNS = {
    "code": ("代码", "编码"),
    "title": ("zh", "title_zh", "名称"),
    "title_en": ("en", "英文名称"),
    "parent": ("上级代码", "上级"),
    "valid_from": ("启用日期", "生效日期"),
    "valid_to": ("停用日期", "废止日期", "失效日期"),
    "source": ("来源",),
    "edition": ("版本",),
}
_NAMES = {said: name for name, others in _COLUMNS.items() for said in (name, *others)}
# GB18030 reads what its forerunners write, and what they lack.
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030", "utf-8": "utf-8-sig"}
_Rows = Iterator[tuple[int, list[str]]]


@dataclass(frozen=True)
class CodeList:
    """A list as it was read.

    Attributes
    ----------
    terms : mapping of str to tuple of Term
        Of each code, in the order of the file.
    source : str
        Where it is from, as the file says.
    since : date or None
        From when on it holds, as a whole.
    """

    terms: Mapping[str, Terms]
    source: str = ""
    since: date | None = None

    def of(self, f: Field) -> Field:
        """Return a field with this list for its own."""
        codes = {code: terms[-1].title for code, terms in self.terms.items()}
        terms = {code: said for code, said in self.terms.items() if said != (Term(codes[code]),)}
        return replace(
            f, codes=codes, terms=terms, codes_source=self.source, codes_since=self.since
        )


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


def read_codes(path: Path, encoding: str = "UTF-8", since: date | None = None) -> CodeList:
    """Read a code list: a CSV with the columns code and title, and others that say more.

    Parameters
    ----------
    encoding : str
        Of the file; UTF-8 may begin with a byte-order mark.
    since : date, optional
        From when on the list holds, whatever the file says.

    Raises
    ------
    BadSchema
        Where the file is missing, is no such table, or says of a code what can't be.
    """
    rows = _read(path, encoding)
    try:
        said, header = _head(path, rows)
        return _listed(path, rows, header, said, since)
    except csv.Error as error:
        raise BadSchema(f"{path} is no CSV in {encoding}: {error}; save it as one") from None


def write_codes(codes: Mapping[str, tuple[Term, ...]], source: str) -> str:
    """Return a code list as the text of a file that `read_codes` reads.

    Examples
    --------
    >>> print(write_codes({"1": (Term(Title("Lamp", "路灯")),)}, "ours"), end="")
    # source: ours
    code,title,title_en,parent,valid_from,valid_to
    1,路灯,Lamp,,,
    """
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    if source:
        write([f"# source: {source}"])
    write(["code", "title", "title_en", "parent", "valid_from", "valid_to"])
    for code, terms in codes.items():
        for t in terms:
            days = [day.isoformat() if day else "" for day in (t.valid_from, t.valid_to)]
            write([code, t.title.zh, t.title.en, t.parent or "", *days])
    return text.getvalue()


def _with_codes(item: Any, folder: Path) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("codes"), str):
        return item
    found = {k: v for k, v in item.items() if k != "codes_encoding"}
    where = f"field {item.get('id', '')}: codes_since"
    since = read_day(item.get("codes_since"), where)
    listed = read_codes(folder / item["codes"], str(item.get("codes_encoding", "UTF-8")), since)
    codes = {code: [term_document(t) for t in terms] for code, terms in listed.terms.items()}
    found |= {"codes": codes, "codes_source": item.get("codes_source", listed.source)}
    return found | ({} if listed.since is None else {"codes_since": listed.since.isoformat()})


def _read(path: Path, encoding: str) -> _Rows:
    """The rows of a file that are not empty, each with the number of its line."""
    try:
        name = codecs.lookup(encoding).name
        text = path.read_bytes().decode(_WIDER.get(name, name))
    except LookupError:
        raise BadSchema(f"{path}: {encoding!r} is no encoding; write UTF-8 or GB18030") from None
    except OSError as error:
        raise BadSchema(
            f"{path}: {error.strerror or error}; codes = names a file beside the schema file"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadSchema(
            f"{path}, line {line}, is no CSV in {encoding}: {error.reason}; save it as UTF-8, or "
            'say what it is: codes_encoding = "GB18030" (--encoding GB18030)'
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    return ((line, row) for line, row in rows if any(row))


def _head(path: Path, rows: _Rows) -> tuple[dict[str, str], dict[str, int]]:
    """What the lines before the table say, and which column is where."""
    said: dict[str, str] = {}
    for _, row in rows:
        if row[0].startswith("#"):
            key, _, value = (
                ", ".join(c for c in row if c).lstrip("# ").replace("：", ":").partition(":")
            )
            said[_NAMES.get(key.strip().casefold(), "")] = value.strip()
            continue
        places = [(_NAMES.get(c.casefold(), c), n) for n, c in enumerate(row)]
        header = dict(reversed(places))
        break
    else:
        header = {}
    for name in ("code", "title"):
        if name not in header:
            others = ", ".join(_COLUMNS[name])
            raise BadSchema(
                f"{path} has no column {name!r} (or {others}); it needs code and title, and may "
                "have title_en, parent, valid_from, valid_to and source"
            )
    return said, header


def _listed(
    path: Path,
    rows: _Rows,
    header: Mapping[str, int],
    said: Mapping[str, str],
    since: date | None,
) -> CodeList:
    stated = read_day(said.get("valid_from"), f"{path}: # valid_from")
    since = since or stated
    until = read_day(said.get("valid_to"), f"{path}: # valid_to")
    terms: dict[str, list[Term]] = {}
    sources: dict[str, None] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        one = {name: row[n] if n < len(row) else "" for name, n in header.items()}
        code, zh, en = one["code"], one["title"], one.get("title_en", "")
        if not code or not (zh or en):
            raise BadSchema(f"{where}: a code and a title are needed; fill them in")
        start, end = (read_day(one.get(k), f"{where}: {k}") for k in ("valid_from", "valid_to"))
        # What has an end of its own and no start was there before the list.
        start = start or (since if end is None else None)
        term = Term(Title(en or zh, zh or en), start, end or until, one.get("parent") or None)
        terms.setdefault(code, []).append(term)
        in_order(terms[code], f"{where}: code {code!r}")
        sources[one.get("source", "")] = None
    if not terms:
        raise BadSchema(f"{path} has no codes; fill it in, or leave codes = out")
    source = ", ".join(filter(None, (said.get("source"), said.get("edition"))))
    ordered = {code: joined(in_order(found, code)) for code, found in terms.items()}
    return CodeList(ordered, source or "; ".join(filter(None, sources)), since)
