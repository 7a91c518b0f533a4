"""A batch's columns as the schema wants them: matched by name, typed, in the storage CRS."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from layers.batches import Batch
from layers.errors import BadScope, BadSource, BadValue
from layers.model import Field, FieldType, Role, Schema
from layers.report import Findings
from layers.rows.unlisted import note_unlisted
from layers.rows.wkb import ready_wkb
from layers.schemas.patterns import find_misfits
from spatial.antimeridian import split_at_antimeridian
from spatial.crs import parse_crs
from spatial.errors import AroundPole, SpatialError
from spatial.placement import Placed, Placement, place
from spatial.repairs import Mended, Remedy, drop_repeated
from spatial.shapes import Repair, as_multi, repair

ARROW_TYPES = {
    FieldType.TEXT: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.INSTANT: pa.timestamp("us", "UTC"),
}
# What a publisher did not have to choose.
DEFAULT_REMEDIES = frozenset({Remedy.VALID})
# So many rows that do not fit a pattern are named.
_NAMED = 10
_TRUE = frozenset(("1", "true", "t", "yes", "y", "是"))
_FALSE = frozenset(("0", "false", "f", "no", "n", "否"))


@dataclass(frozen=True)
class Conversion:
    """How the columns of one source become the fields of one schema.

    Parameters
    ----------
    schema : Schema
        What the layer wants.
    names : mapping of str to str
        Field id to the source's column, for the fields that the source has.
    constants : mapping of str to str
        Field id to the value that every row takes: the scope, where the source lacks the field.
    crs : CRS or None
        Of the source's geometries.
    start : datetime, optional
        Of the rows that state none.
    placement : Placement, optional
        From the source's coordinates to the layer's; by `crs` alone where absent.
    recoded : mapping of str to mapping of str to str
        Field id to the codes that stand for the source's values; other values stay as they are.
    remedies : frozenset of Remedy
        What may be done to shapes, and is told of each.
    """

    schema: Schema
    names: Mapping[str, str]
    constants: Mapping[str, str]
    crs: CRS | None
    findings: Findings = field(default_factory=Findings)
    start: datetime | None = None
    placement: Placement | None = None
    recoded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    remedies: frozenset[Remedy] = DEFAULT_REMEDIES

    def table(self, batch: Batch) -> pa.Table:
        """Return the batch as a table whose columns the stage has, the geometry as WKB."""
        table = self.attributes(batch)
        told = frozenset(row for row, _ in batch.repaired)
        shapes = self.shapes(batch.geometries, batch.wkb, table["_row"].to_numpy(), told)
        return table.append_column("_geom", shapes)

    def attributes(self, batch: Batch) -> pa.Table:
        """Return the batch without its geometry; what the source had to repair is noted."""
        for row, cause in batch.repaired:
            self.findings.repaired.add(row, cause)
        rows = np.arange(batch.first_row, batch.first_row + len(batch), dtype=np.int64)
        columns = {f.id: self._column(f, batch) for f in self.schema.fields}
        for f in self.schema.fields:
            if f.codes:
                note_unlisted(columns[f.id], f, rows, self.findings)
        staged: dict[str, pa.Array] = {
            "_row": pa.array(rows),
            "_key": self._keys(columns, len(batch)),
            "_s": self._starts(columns, len(batch)),
            "_e": self._instant(Role.VALID_TO, columns, len(batch)),
        }
        for f in (*self.schema.stored, *self.schema.restricted):
            staged[f.id] = columns[f.id]
        return pa.table(staged)

    @property
    def keeps_coordinates(self) -> bool:
        """Whether the source is in the storage CRS."""
        stays = self.placement is None or self.placement.stays
        return stays and self.crs == parse_crs(self.schema.crs)

    def placed(self, *, by_publisher: bool) -> Placed | None:
        """Return what a report tells of the coordinates, once rows were read."""
        if self.placement is None:
            return None
        return self.placement.explain(self.findings.points.kept, by_publisher=by_publisher)

    def shapes(
        self,
        geometries: NDArray[np.object_] | None,
        wkb: pa.Array | None,
        rows: NDArray[np.int64],
        told: frozenset[int] = frozenset(),
    ) -> pa.Array:
        """Return geometries as WKB of the layer's type, repaired, in the storage CRS.

        Parameters
        ----------
        geometries : ndarray of shapely geometries, shape (n,), or None
        wkb : pyarrow.Array of bytes, shape (n,), optional
            The same as the source has them.
        rows : ndarray of int, shape (n,)
            Their numbers in the source, for the findings.
        told : frozenset of int
            Rows that are counted as repaired already.

        Raises
        ------
        BadValue, BadSource
            Where one is of another type, or where it can't be; where it needs a remedy that was
            not chosen.
        """
        if geometries is None:
            return pa.nulls(len(rows), pa.binary())
        shapes = self._in_storage_crs(geometries)
        mended = self._mended(shapes, rows)
        if parse_crs(self.schema.crs).is_geographic:
            _check_degrees(mended.geoms, rows)
        fixed = repair(mended.geoms)
        if Remedy.VALID not in self.remedies:
            _refuse_invalid(mended.geoms, fixed.repaired, rows)
        self._report(fixed, mended, rows, told)
        sound = ~(fixed.empty | fixed.non_finite)
        others = fixed.geoms.copy()
        others[~sound] = None
        if shapes is not geometries or wkb is None:
            return self._encoded(others, rows)
        ready = ready_wkb(wkb, self.schema.geometry, sound & ~fixed.repaired & ~mended.changed)
        others[ready.is_valid().to_numpy(zero_copy_only=False)] = None
        if shapely.is_missing(others).all():
            return ready
        return pc.coalesce(ready, self._encoded(others, rows))

    def _column(self, f: Field, batch: Batch) -> pa.Array:
        kind = ARROW_TYPES[f.type]
        if f.id in self.names:
            values = batch.columns[self.names[f.id]]
            if f.id in self.recoded:
                values = recode(values, self.recoded[f.id])
            return convert(values, f, self.schema, batch.first_row)
        if f.id in self.constants:
            text = pa.array([self.constants[f.id]] * len(batch), pa.string())
            return convert(text, f, self.schema, batch.first_row)
        return pa.nulls(len(batch), kind)

    def _keys(self, columns: Mapping[str, pa.Array], count: int) -> pa.Array:
        parts = [_key_text(columns[f.id], self.schema) for f in self.schema.keys]
        if not parts:
            return pa.nulls(count, pa.string())
        return pc.binary_join_element_wise(*parts, ":")

    def _starts(self, columns: Mapping[str, pa.Array], count: int) -> pa.Array:
        stated = self._instant(Role.VALID_FROM, columns, count)
        if self.start is None:
            return stated
        return pc.fill_null(stated, pa.scalar(self.start, ARROW_TYPES[FieldType.INSTANT]))

    def _instant(self, role: Role, columns: Mapping[str, pa.Array], count: int) -> pa.Array:
        fields = self.schema.with_role(role)
        if not fields and role is Role.VALID_FROM:
            # An event without developments is so from the moment that it was reported.
            fields = self.schema.with_role(Role.EVENT_START)
        if not fields:
            return pa.nulls(count, ARROW_TYPES[FieldType.INSTANT])
        column = columns[fields[0].id]
        if fields[0].type is FieldType.DATE:
            from spatial.instants import clean_instants

            instants = clean_instants(column.to_pandas(), self.schema.zone)
            return pa.array(instants, ARROW_TYPES[FieldType.INSTANT], from_pandas=True)
        return column

    def _in_storage_crs(self, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
        target = parse_crs(self.schema.crs)
        if self.crs is not None and not self.keeps_coordinates:
            self._note_points(shapes)
            placement = self.placement or place(self.crs, target)
            try:
                shapes = placement.move(shapes)
            except SpatialError as error:
                raise BadSource(str(error)) from None
        return shapes

    def _mended(self, shapes: NDArray[np.object_], rows: NDArray[np.int64]) -> Mended:
        """Apply the remedies that are not for what is invalid: they may be what makes it so."""
        mended = Mended(shapes, np.full(len(shapes), None, dtype=object))
        if Remedy.POINTS in self.remedies:
            mended = mended.then(drop_repeated)
        if Remedy.ANTIMERIDIAN in self.remedies and parse_crs(self.schema.crs).is_geographic:
            try:
                mended = mended.then(split_at_antimeridian)
            except AroundPole as error:
                raise BadValue(f"row {rows[error.position]} {error}") from None
        return mended

    def _note_points(self, shapes: NDArray[np.object_]) -> None:
        """Note the first coordinates of a batch's first shape and of its last."""
        there = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
        for shape in (*there[:1], *there[1:][-1:]):
            x, y = shapely.get_coordinates(shape)[0].tolist()
            self.findings.points.add((x, y))

    def _report(
        self, fixed: Repair, mended: Mended, rows: NDArray[np.int64], told: frozenset[int]
    ) -> None:
        repaired = self.findings.repaired
        for i in np.flatnonzero(fixed.repaired | mended.changed):
            causes = [str(c) for c in (mended.done[i], fixed.reasons[i]) if c is not None]
            say = repaired.add_to if int(rows[i]) in told else repaired.add
            say(int(rows[i]), "; ".join(causes))
        for i in np.flatnonzero(fixed.empty | fixed.non_finite):
            cause = "non-finite coordinates" if fixed.non_finite[i] else "no geometry"
            self.findings.without_geometry.add(int(rows[i]), cause)

    def _encoded(self, shapes: NDArray[np.object_], rows: NDArray[np.int64]) -> pa.Array:
        """Return shapes as WKB of the layer's own type and dimension."""
        has_z = self.schema.geometry.endswith("Z")
        if not has_z:
            shapes = shapely.force_2d(shapes)
        if self.schema.is_multi:
            shapes = as_multi(shapes, self.schema.geometry.removesuffix("Z"))
        self._check_types(shapes, rows)
        wkb = shapely.to_wkb(shapes, output_dimension=3 if has_z else 2, flavor="iso")
        return pa.array(wkb, pa.binary(), from_pandas=True)

    def _check_types(self, shapes: NDArray[np.object_], rows: NDArray[np.int64]) -> None:
        wanted = self.schema.geometry.removesuffix("Z")
        here = np.flatnonzero(~shapely.is_missing(shapes))
        for i in here[[shapes[i].geom_type != wanted for i in here]][:1]:
            raise BadValue(
                f"row {rows[i]} is a {shapes[i].geom_type}, the layer holds {wanted}; "
                "publish it to a layer of that geometry"
            )
        if self.schema.geometry.endswith("Z") and not shapely.has_z(shapes[here]).all():
            raise BadValue(
                f"the layer holds {self.schema.geometry}, but the source has no heights; "
                "give them, or publish to a layer without Z"
            )


def _refuse_invalid(
    shapes: NDArray[np.object_], invalid: NDArray[np.bool_], rows: NDArray[np.int64]
) -> None:
    found = np.flatnonzero(invalid)
    if found.size:
        named = ", ".join(str(row) for row in rows[found[:_NAMED]])
        more = " ..." if found.size > _NAMED else ""
        raise BadValue(
            f"row {named}{more}: {shapely.is_valid_reason(shapes[found[0]])}; mend it, or leave "
            "--repair none out, and it is made valid"
        )


def _check_degrees(shapes: NDArray[np.object_], rows: NDArray[np.int64]) -> None:
    """Refuse longitudes and latitudes that are none: metres, or the axes the wrong way round."""
    west, south, east, north = shapely.bounds(shapes).T
    # What is not finite is told of apart; a hair beyond the edge is rounding.
    wrong = (west < -180.001) | (east > 180.001) | (south < -90.001) | (north > 90.001)
    wrong &= np.isfinite(west + south + east + north)
    for i in np.flatnonzero(wrong)[:1]:
        # The farther ones: a shape may begin where it should.
        x, y = max(west[i], east[i], key=abs), max(south[i], north[i], key=abs)
        beyond = abs(x) <= 360 and abs(y) <= 90
        more = ", or say --repair antimeridian for what goes on beyond 180 degrees"
        raise BadValue(
            f"row {rows[i]} lies at {x:.10g} {y:.10g}, which is no longitude and latitude; "
            f"state the source's --crs, or mind the order of the axes{more if beyond else ''}"
        )


def match_names(schema: Schema, available: Sequence[str]) -> dict[str, str]:
    """Return for each field of the schema the source's column, where the source has one.

    Names are compared to the letter first, then without regard to case.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> match_names(parse_schema({"title": "t", "geometry": "Point", "fields": [
    ...     {"id": "no", "source": ["NR", "No"]}, {"id": "width"}]}), ["WIDTH", "No", "NOTE"])
    {'no': 'No', 'width': 'WIDTH'}
    """
    folded = {name.casefold(): name for name in reversed(available)}
    exact = set(available)
    found = {}
    for f in schema.fields:
        for wanted in (*f.source, f.id):
            name = wanted if wanted in exact else folded.get(wanted.casefold())
            if name is not None:
                found[f.id] = name
                break
    return found


def check_scope(schema: Schema, scope: Mapping[str, str]) -> None:
    """Raise where a scope names something else than stored fields and values they can have.

    Raises
    ------
    BadScope
        Naming the field and those that there are.
    """
    for name in scope:
        if schema.find(name) not in schema.stored:
            known = ", ".join(f.id for f in schema.stored)
            raise BadScope(f"--scope {name}=...: the schema has no field {name!r}; it has {known}")
        _check_scope_value(schema, name, scope[name])


def _check_scope_value(schema: Schema, name: str, value: str) -> None:
    f = schema.find(name)
    assert f is not None  # noqa: S101 - the scope's names were checked
    try:
        converted = convert(pa.array([value], pa.string()), f, schema, 1)
    except BadValue:
        fit = f" that fits {f.pattern}" if f.pattern else ""
        raise BadScope(f"--scope {name}={value}: {value!r} is no {f.type}{fit}") from None
    if converted.null_count:
        raise BadScope(f"--scope {name}={value}: the value counts as missing; name another")


def convert(values: pa.Array, f: Field, schema: Schema, first_row: int) -> pa.Array:
    """Return a source column in the type of its field.

    Raises
    ------
    BadValue
        Naming the field, the first row and the value that does not fit.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> schema = parse_schema({"title": "t", "geometry": "Point",
    ...     "fields": [{"id": "n", "type": "integer", "missing": ["-"]}]})
    >>> convert(pa.array(["7", "-"]), schema.fields[0], schema, 1).to_pylist()
    [7, None]
    """
    values = _plain(values)
    if f.missing:
        as_text = values.cast(pa.string())
        missing = pc.is_in(as_text, pa.array(f.missing, pa.string()))
        values = pc.if_else(missing, pa.scalar(None, values.type), values)
    try:
        converted = _CONVERTERS[f.type](values, f, schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, SpatialError, ValueError) as error:
        raise BadValue(_explain(values, f, schema, first_row, error)) from None
    if f.pattern is not None:
        _check_pattern(converted, f, f.pattern, first_row)
    return converted


def recode(values: pa.Array, codes: Mapping[str, str]) -> pa.Array:
    """Return a source column as text, with codes in place of the values that have one.

    Values are compared without the spaces around them; whole numbers as they are written.

    Examples
    --------
    >>> recode(pa.array([1.0, 2.0, None]), {"1": "GOOD"}).to_pylist()
    ['GOOD', '2', None]
    """
    values = _plain(values)
    text = values.cast(pa.string())
    if pa.types.is_floating(values.type):
        text = pc.replace_substring_regex(text, r"\.0$", "")
    found = pc.index_in(pc.utf8_trim_whitespace(text), pa.array(list(codes), pa.string()))
    return pc.coalesce(pc.take(pa.array(list(codes.values()), pa.string()), found), text)


def _check_pattern(values: pa.Array, f: Field, pattern: str, first_row: int) -> None:
    misfits = find_misfits(values, pattern)
    if misfits:
        rows = ", ".join(str(first_row + n) for n in misfits[:_NAMED])
        more = " ..." if len(misfits) > _NAMED else ""
        shown = "the value" if f.is_restricted else reprlib.repr(values[misfits[0]].as_py())
        raise BadValue(
            f"row {rows}{more}, field {f.id}: {shown} does not fit the pattern {pattern}; "
            "mend it, or list it in the schema's missing = [...]"
        )


def _explain(values: pa.Array, f: Field, schema: Schema, first_row: int, error: Exception) -> str:
    for offset, value in enumerate(values):
        try:
            _CONVERTERS[f.type](pa.array([value.as_py()], values.type), f, schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, SpatialError, ValueError):
            # Messages end in logs, where the value of a restricted field may not stand.
            shown = "the value" if f.is_restricted else reprlib.repr(value.as_py())
            where = f"row {first_row + offset}, field {f.id}: {shown} is no {f.type}"
            return f"{where}; mend it, or list it in the schema's missing = [...]"
    return f"field {f.id}: {'a value' if f.is_restricted else error} can't be read as {f.type}"


def _plain(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    return values


def _to_text(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    if pa.types.is_floating(values.type):
        # 7.0 in a column that GDAL made floating because of its gaps is the text "7".
        numbers: Any = values.to_pandas()
        if (numbers.dropna() % 1 == 0).all():
            values = values.cast(pa.int64())
    if pa.types.is_binary(values.type) or pa.types.is_list(values.type):
        raise ValueError("no text")
    text = values.cast(pa.string())
    if pc.any(pc.match_substring(text, "\x00")).as_py():
        raise ValueError("a NUL character")
    return text


def _to_number(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
    numbers = values.cast(pa.float64())
    if not pc.all(pc.is_finite(numbers)).as_py() and numbers.null_count < len(numbers):
        raise ValueError("not finite")
    return numbers


def _to_integer(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.utf8_trim_whitespace(values)
    return values.cast(pa.int64())


def _to_boolean(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return values
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(values.cast(pa.string())))
    true, false = (pc.is_in(texts, pa.array(sorted(words))) for words in (_TRUE, _FALSE))
    if not pc.all(pc.or_(pc.or_(true, false), pc.is_null(texts))).as_py():
        raise ValueError("neither true nor false")
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.bool_()), true)


def _to_instant(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    from spatial.instants import clean_instants

    instants = clean_instants(values.to_pandas(), schema.zone, f.format)
    return pa.array(instants, ARROW_TYPES[FieldType.INSTANT], from_pandas=True)


def _to_date(values: pa.Array, f: Field, schema: Schema) -> pa.Array:
    if pa.types.is_date(values.type):
        return values.cast(pa.date32())
    from spatial.instants import clean_instants

    instants = clean_instants(values.to_pandas(), schema.zone, f.format)
    # A number counts milliseconds from 1970 in UTC; text is of the layer's own day.
    zone = schema.zone if pa.types.is_string(values.type) else UTC
    local = instants.dt.tz_convert(zone).dt.tz_localize(None)
    return pa.array(local, pa.timestamp("us"), from_pandas=True).cast(pa.date32(), safe=False)


_CONVERTERS = {
    FieldType.TEXT: _to_text,
    FieldType.INTEGER: _to_integer,
    FieldType.NUMBER: _to_number,
    FieldType.BOOLEAN: _to_boolean,
    FieldType.INSTANT: _to_instant,
    FieldType.DATE: _to_date,
}


def _key_text(column: pa.Array, schema: Schema) -> pa.Array:
    """Return a key column as text, NULL for a placeholder, escaped for joining one to one."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    absent = pc.is_in(text, pa.array(["", *schema.placeholder_keys], pa.string()))
    text = pc.if_else(absent, pa.scalar(None, pa.string()), text)
    if len(schema.keys) > 1:
        text = pc.replace_substring(pc.replace_substring(text, "%", "%25"), ":", "%3A")
    # A leading ~ is the mark of ids that were made for rows without a key.
    return pc.replace_substring_regex(text, "^~", "%7E")
