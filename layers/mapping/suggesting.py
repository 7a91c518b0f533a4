"""Which column may be which field, from names, titles and values: suggested, never taken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from layers.batches import Batch
from layers.errors import BadValue
from layers.mapping.saved import Columned
from layers.mapping.stated import Origin, Stated, write_mapping, write_origin
from layers.model import Field, FieldType, Schema
from layers.report import Mapped, Suggestion
from layers.rows.columns import convert, recode
from layers.schemas.terms import lasting

# A score is that of the name, and that of the values where a list or a pattern says what fits.
_OF_NAME, _OF_VALUES = 0.6, 0.4
_LEAST = 0.4
# Candidates so near to the best are its rivals: both are named.
_NEAR = 0.35
# Values of so many rows are looked at.
_SAMPLE = 1000
_SHAPEFILE_BYTES = 10
_NOT_SIGNS = re.compile(r"[\W_]+")


class Readable(Columned, Protocol):
    """A source whose first rows are looked at."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows from the first on."""


def suggest(schema: Schema, source: Readable, mapped: Mapped) -> list[Suggestion]:
    """Return for each field without a column those that may be it, the likelier first.

    Parameters
    ----------
    mapped : Mapped
        What has a column already, by its name or because it was said.
    """
    lacking = [f for f in schema.fields if f.id not in {*mapped.names, *mapped.constants}]
    taken = {*mapped.names.values(), *(schema.coordinates or ())}
    free = [column for column in source.types if column not in taken]
    if not lacking or not free:
        return []
    sample = _sample(source)
    found = [_judge(f, c, sample.get(c), schema) for f in lacking for c in free]
    likely = [one for one in found if one.score >= _LEAST]
    best = {f.id: max((s.score for s in likely if s.field == f.id), default=0) for f in lacking}
    near = [one for one in likely if one.score > best[one.field] - _NEAR]
    order = [f.id for f in lacking]
    return sorted(near, key=lambda s: (order.index(s.field), -s.score, s.column))


def write_suggestions(mapped: Mapped, suggestions: list[Suggestion], schema: Schema) -> str:
    """Return a mapping as TOML: what goes by itself, what is suggested, rivals as comments."""
    own = {f: Origin(column, None, mapped.recoded.get(f, {})) for f, column in mapped.names.items()}
    own |= {f: Origin(None, constant) for f, constant in mapped.constants.items()}
    ordered = {f.id: own[f.id] for f in schema.fields if f.id in own}
    text = write_mapping(Stated(ordered, mapped.name))
    return text + "".join(f"\n{_told(one, suggestions)}" for one in suggestions)


def _told(one: Suggestion, suggestions: list[Suggestion]) -> str:
    rivals = [s for s in suggestions if (s.field == one.field) != (s.column == one.column)]
    head = f"# {one.score:.2f}: {', '.join(one.reasons)}"
    table = write_origin(one.field, Origin(one.column, None, one.values))
    if not rivals:
        return f"{head}\n{table}"
    others = " or ".join(f"{s.column!r} as {s.field}" for s in rivals)
    lines = [f"{head}; or {others}: take the # away from the one that it is"]
    return "\n".join(lines + [f"# {line}" for line in table.splitlines()]) + "\n"


def _judge(f: Field, column: str, values: pa.Array | None, schema: Schema) -> Suggestion:
    named, why = _score_name(f, column)
    codes = {} if values is None or f.is_restricted else _codes_by_title(f, values)
    share, fits = _score_values(f, values, schema, codes)
    reasons = tuple(filter(None, (why, fits)))
    if share is None:
        return Suggestion(f.id, column, round(named, 2), reasons, codes)
    if not (f.codes or f.pattern or f.type in (FieldType.DATE, FieldType.INSTANT)):
        # Any number fits a field of numbers: that speaks against a column only where it does not.
        return Suggestion(f.id, column, round(named * share, 2), reasons, codes)
    score = _OF_NAME * named + _OF_VALUES * share if share >= 0.5 else named * share
    return Suggestion(f.id, column, round(score, 2), reasons, codes)


def _score_name(f: Field, column: str) -> tuple[float, str]:
    """Return how near a column's name is to a field's, and in what."""
    name = _folded(column)
    known = {"name": (*f.source, f.id), "title": (f.title.zh, f.title.en)}
    for what, texts in known.items():
        if name and name in {_folded(text) for text in texts}:
            return 1.0, f"the {what} of the field"
    for what, texts in known.items():
        cut = {_folded(part) for text in texts for part in _truncated(text)}
        if name and name in cut:
            return 0.9, f"the {what} of the field, cut to {_SHAPEFILE_BYTES} bytes"
    full, initials = _pinyin(f.title.zh)
    if name and name in (full, full[:_SHAPEFILE_BYTES]):
        return 0.8, "the title of the field in pinyin"
    if len(name) > 1 and name == initials[:_SHAPEFILE_BYTES]:
        return 0.7, "the first letters of the title in pinyin"
    return 0.0, ""


def _folded(text: str) -> str:
    return _NOT_SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _truncated(text: str) -> Iterator[str]:
    """Names as Shapefiles cut them, if they are longer, in the encodings that these have."""
    for encoding in ("utf-8", "gb18030"):
        encoded = text.encode(encoding)
        if len(encoded) > _SHAPEFILE_BYTES:
            yield encoded[:_SHAPEFILE_BYTES].decode(encoding, "ignore")


def _pinyin(title: str) -> tuple[str, str]:
    if title.isascii():
        return "", ""
    from pypinyin import Style, lazy_pinyin  # late: its dictionary is some 60 MB

    full = _folded("".join(lazy_pinyin(title)))
    return full, _folded("".join(lazy_pinyin(title, style=Style.FIRST_LETTER)))


def _sample(source: Readable) -> Mapping[str, pa.Array]:
    """Return values of the first rows, by column; the source is read from its beginning again."""
    batches = source.batches()
    try:
        first = next(batches, None)
    finally:
        if isinstance(batches, Generator):
            batches.close()
    if first is None:
        return {}
    return {name: values.slice(0, _SAMPLE).drop_null() for name, values in first.columns.items()}


def _codes_by_title(f: Field, values: pa.Array) -> dict[str, str]:
    """Return values that are titles of codes, each with its code; not where two have the title."""
    if not f.codes or not len(values):
        return {}
    titled: dict[str, set[str]] = {}
    # What has ceased goes by its title where nothing that goes on has it.
    last = set(lasting(f))
    for codes in (last, f.codes.keys() - last):
        found: dict[str, set[str]] = {}
        for code in codes:
            for text in {f.codes[code].zh, f.codes[code].en}:
                found.setdefault(text, set()).add(code)
        titled = found | titled
    texts = sorted(set(pc.utf8_trim_whitespace(recode(values, {})).to_pylist()))
    return {
        text: min(titled[text])
        for text in texts
        if text not in f.codes and len(titled.get(text, ())) == 1
    }


def _score_values(
    f: Field, values: pa.Array | None, schema: Schema, codes: Mapping[str, str]
) -> tuple[float | None, str]:
    """Return the share of values that the field could hold; None where there are none."""
    if values is None or not len(values):
        return None, ""
    if f.codes:
        texts = pc.utf8_trim_whitespace(recode(values, {})).to_pylist()
        share = sum(text in f.codes or text in codes for text in texts) / len(texts)
        return share, f"{share:.0%} of its values are of the code list" if share else ""
    if f.type in (FieldType.DATE, FieldType.INSTANT) and not _may_be_dates(values):
        return 0.0, ""
    fitting = sum(_fits(f, values.slice(n, 1), schema) for n in range(len(values)))
    share = fitting / len(values)
    what = "the pattern" if f.pattern else f"the type {f.type}"
    return share, f"{share:.0%} of its values fit {what}" if share else ""


def _fits(f: Field, value: pa.Array, schema: Schema) -> bool:
    try:
        return bool(convert(value, f, schema, 1).null_count == 0)
    except BadValue:
        return False


def _may_be_dates(values: pa.Array) -> bool:
    """Plain numbers are not taken for dates, though a field of dates may hold them."""
    kind = values.type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_so(kind) for is_so in (pa.types.is_temporal, *texts))


__all__ = ["Suggestion", "suggest", "write_suggestions"]
