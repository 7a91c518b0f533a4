"""A source into a layer: read, check, compare, write; within a transaction that the commit owns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import sqlalchemy as sa
from pyproj import CRS
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers import beliefs, catalog, placing, tables
from layers.beliefs import Scope
from layers.errors import (
    BadPeriod,
    BadSource,
    Forbidden,
    LayersError,
    LimitPassed,
    NeedsConsent,
    RuleBroken,
    SchemaConflict,
)
from layers.limits import limits_passed
from layers.mapping import saved
from layers.mapping.stated import NOTHING, Stated
from layers.model import Duplicates, Field, Kind, Layer, Mode, Outcome, Role, Schema
from layers.rasters.sources import RasterSource, scene_schema
from layers.report import Findings, Mapped, Report, Suggestion
from layers.rows.columns import DEFAULT_REMEDIES, Conversion, check_scope
from layers.schemas import replacing
from layers.schemas.documents import RESERVED, schema_document
from layers.schemas.inference import Choices, infer_schema, with_choices
from layers.sources import Source
from layers.territories import Territory
from layers.writing import identity, outdated, staging
from layers.writing.differences import draw, place_rows
from layers.writing.plans import Planned, count
from layers.writing.staging import Progress, Stage
from layers.writing.versions import plan_family
from spatial.placement import Declared
from spatial.repairs import Remedy

# A reload that retires more than this share of its scope is more likely a wrong file.
CONSENT_SHARE = 0.2


@dataclass(frozen=True)
class Reload:
    """A source as the new truth of a scope (mode reload), or as an addition (mode upsert).

    Parameters
    ----------
    source : Source
        What is read; see `layers.sources.open_source`.
    schema : Schema, optional
        Of the layer; inferred at the first publish where absent.
    mode : Mode, optional
        Reload is the default for state layers, upsert for event layers.
    scope : mapping of str to str
        Equality on schema fields; nothing outside is touched.
    valid_from : datetime or date, optional
        From when the source's content is so; a date begins in the layer's time zone.
    crs : CRS, optional
        Of the source, where it states none.
    declared : Declared
        What else the publisher says of its coordinates: shifted, on a datum, north before east.
    choices : Choices
        Roles and policies that the publisher states beside the schema.
    consent : bool
        Whether a reload may retire more than a fifth of its scope.
    territories : tuple of Territory
        Only features that lie in one of these are touched; anywhere where empty.
    kept : frozenset of str
        Restricted fields that the source may not state; features keep what they have in them.
    around : frozenset of str
        Other layers that rules may look at: those that whoever publishes may know all of.
    mapping : Stated
        Which column is which field, beyond those of one name; the one kept with the layer where
        nothing is said.
    leave_unknown : bool
        Whether rows of a table without geometry that are of no feature are left out, and named;
        else they refuse the whole.
    pictured : bool
        Whether the report is to have outlines of what differs.
    remedies : frozenset of Remedy
        What may be done to shapes; an invalid one is refused where it may not be made valid.
    suggesting : bool
        Whether it is to say which columns may be the fields that are lacking.
    """

    source: Source
    schema: Schema | None = None
    mode: Mode | None = None
    scope: Mapping[str, str] = field(default_factory=dict)
    valid_from: datetime | date | None = None
    crs: CRS | None = None
    declared: Declared = field(default_factory=Declared)
    choices: Choices = field(default_factory=Choices)
    consent: bool = False
    territories: tuple[Territory, ...] = ()
    kept: frozenset[str] = frozenset()
    around: frozenset[str] = frozenset()
    mapping: Stated = NOTHING
    leave_unknown: bool = False
    pictured: bool = False
    remedies: frozenset[Remedy] = DEFAULT_REMEDIES
    suggesting: bool = False

    @property
    def whole_scope(self) -> Scope:
        """The scope as stated, narrowed to the territories of whoever publishes."""
        return Scope(self.scope, self.territories)


def plan(
    connection: Connection, layer_id: str, reload: Reload, now: datetime, say: Progress
) -> Planned:
    """Stage a source and work out what it would write; the layer must be locked.

    Raises
    ------
    LayersError
        One of its kinds for whatever is wrong with the source, its schema, scope or period.
    """
    record = catalog.find_layer(connection, layer_id)
    crs = placing.system_of(connection, record, reload.source, reload.crs, reload.declared)
    schema = _schema(layer_id, record, reload, crs)
    if record is not None:
        schema = replacing.after(record.schema, schema, now)
    _check_rasters(layer_id, schema, reload)
    mode = mode_of(reload, schema.kind)
    check_scope(schema, reload.scope)
    effective = _effective(record, schema, reload, now)
    if record is None:
        placing.check_storage(schema.crs)
        record = catalog.create_layer(connection, layer_id, schema)
    else:
        _refuse_other_schema(record, schema)
    mapped = saved.find(connection, layer_id, schema, reload.source, reload.mapping)
    conversion = _conversion(schema, reload, mapped, crs, effective)
    _check_columns(record, schema, reload, conversion, mode)
    _check_key(connection, record, reload, conversion, mode)
    _check_kept(record, reload, conversion)
    stage = staging.create_stage(connection, record)
    staging.copy_rows(connection, stage, reload.source, conversion, say)
    if not conversion.findings.rows_read:
        raise BadSource(f"{reload.source.name} has no rows; nothing was written")
    stage, kept, spared = _settle(connection, stage, reload, schema, conversion, mode, say)
    say("compare", conversion.findings.rows_read, conversion.findings.rows_read)
    absences = None
    if mode is Mode.RELOAD and record.head:
        absences = _find_absences(connection, stage, reload.whole_scope, effective, spared)
    families = tuple(
        plan_family(connection, stage, f, absences, stated=_states(reload, f))
        for f in stage.tables.families
    )
    report = Report(layer_id, reload.source.name, conversion.findings, kept_shapes=kept)
    report.mapped = mapped
    if reload.suggesting and not schema.raster:
        report.suggested = tuple(_suggest(schema, reload.source, mapped))
    # Few sources leave anything open of how they are read.
    report.read_as = getattr(reload.source, "read_as", ())
    report.crs = schema.crs
    report.placed = conversion.placed(by_publisher=reload.source.crs is None)
    count(connection, families, report)
    report.unchanged = max(_features(connection, stage) - report.created - report.changed, 0)
    report.inferred = schema if reload.schema is None and not record.head else None
    place_rows(connection, stage, report.findings)
    if reload.pictured:
        draw(connection, stage, families[0], report)
    _refuse(report, schema)
    if mode is Mode.RELOAD and not reload.consent:
        _ask_consent(connection, stage, reload, report, effective)
    return Planned(record, report, now, families)


def _suggest(schema: Schema, source: Source, mapped: Mapped) -> list[Suggestion]:
    # Who is asked for no suggestions loads nothing that makes them.
    from layers.mapping.suggesting import suggest

    return suggest(schema, source, mapped)


def _refuse(report: Report, schema: Schema) -> None:
    """Refuse the whole for its rules and limits, once all that is to be said of it is known."""
    found = report.findings
    passed = limits_passed(found, schema.limits)
    error: LayersError | None = None
    if found.refusals:
        error = RuleBroken(found.refusals[0])
    elif passed:
        error = LimitPassed(passed[0])
    if error is not None:
        found.refusals += passed
        error.report = report
        raise error


def _states(reload: Reload, family: tables.Family) -> bool:
    """Whether a source says anything of a family: not where it may state none of its fields."""
    return family.spatial or not family.fields or not {f.id for f in family.fields} <= reload.kept


def mode_of(reload: Reload, kind: Kind) -> Mode:
    """Return the mode of a reload, as it is stated or as the kind of its layer has it.

    A raster is one scene beside others, and hardly ever all that its layer has.
    """
    adds = kind is Kind.EVENT or isinstance(reload.source, RasterSource)
    return reload.mode or (Mode.UPSERT if adds else Mode.RELOAD)


def _settle(
    connection: Connection,
    stage: Stage,
    reload: Reload,
    schema: Schema,
    conversion: Conversion,
    mode: Mode,
    say: Progress,
) -> tuple[Stage, int, tuple[str, ...]]:
    found = conversion.findings
    identity.give_ids(connection, stage, reload.whole_scope, found)
    if mode is Mode.RELOAD and stage.record.head and reload.kept:
        staging.fill_lacking(connection, stage, set(reload.kept))
    if mode is Mode.UPSERT and stage.record.head:
        lacking = set(found.lacking) | (set() if reload.source.has_geometry else {"_geom"})
        staging.fill_lacking(connection, stage, lacking)
        if not reload.source.has_geometry:
            leave = reload.leave_unknown
            identity.settle_strangers(connection, stage, found, leave=leave)
    stage = staging.without_repeats(connection, stage)
    if not stage.single:
        # Before any row is dropped: a wrong one must not go unseen.
        staging.check_periods(connection, stage)
        policy = _policy(reload, schema)
        identity.settle_repeats(connection, stage, policy, found, conversion.names)
    staging.check_rows(connection, stage, reload.scope)
    spared = outdated.check_codes(connection, stage, found)
    if stage.schema.rules:
        # Who only answers loads none of what measures.
        from layers.quality.examining import Part, examine

        adds = mode is Mode.UPSERT and stage.record.head > 0
        part = Part(adds, adds or bool(reload.whole_scope), reload.around)
        spared += examine(connection, stage, found, part)
    say("hash", found.rows_read, found.rows_read)
    kept = staging.make_ready(connection, stage)
    staging.check_ids_in_scope(connection, stage, reload.whole_scope)
    return stage, kept, spared


def _policy(reload: Reload, schema: Schema) -> Duplicates:
    policy = reload.choices.duplicates or schema.duplicates
    # Of a table without shapes there is nothing to merge: one row's values would stand for all.
    shapeless = policy is Duplicates.MERGE and not reload.source.has_geometry
    return Duplicates.REFUSE if shapeless else policy


def _schema(layer_id: str, record: Layer | None, reload: Reload, crs: CRS | None) -> Schema:
    # What becomes of repeated keys is settled publish by publish; it is no part of the layer.
    lasting = dataclasses.replace(reload.choices, duplicates=None)
    if reload.schema is not None:
        return with_choices(reload.schema, lasting)
    if record is not None:
        if with_choices(record.schema, lasting) != record.schema:
            raise SchemaConflict(
                f"layer {record.id} has its kind, key and period fields already; "
                "leave --kind, --key, --valid-from-field and --valid-to-field out"
            )
        return record.schema
    if isinstance(reload.source, RasterSource):
        return with_choices(scene_schema(layer_id, reload.source), lasting)
    storage = placing.storage_of(reload.crs, crs, reload.declared)
    return infer_schema(layer_id, reload.source, reload.choices, storage)


def _check_rasters(layer_id: str, schema: Schema, reload: Reload) -> None:
    """Refuse rasters in a layer of features, and features that no raster stands behind."""
    raster = isinstance(reload.source, RasterSource)
    if raster and not schema.raster:
        raise BadSource(
            f"{reload.source.name} is a raster, and {layer_id} is a layer of {schema.geometry} "
            "features; publish it to another layer, or with --schema raster:scenes"
        )
    if schema.raster and not raster:
        raise BadSource(
            f"{reload.source.name} is no GeoTIFF, and {layer_id} is a raster layer; publish it to "
            "another layer"
        )


def _told(schema: Schema) -> dict[str, Any]:
    """What a schema says of the data: not how it is presented, nor what is kept to find it."""
    fields = tuple(_told_of(f) for f in schema.fields)
    document = schema_document(dataclasses.replace(schema, fields=fields))
    presented = (
        "visibility title description attribution theme owner license value_range rules "
        "update_cycle default_datetime backdating paused limits".split()
    )
    return {k: v for k, v in document.items() if k not in presented}


def _told_of(f: Field) -> Field:
    """A field without what is only said of it: an index, whose list it is, which code is above."""
    terms = {
        code: tuple(dataclasses.replace(term, parent=None) for term in terms)
        for code, terms in f.terms.items()
    }
    own: dict[str, Any] = {"indexed": False, "codes_source": "", "outdated": Outcome.REFUSE}
    return dataclasses.replace(f, terms=terms, **own)


def _refuse_other_schema(record: Layer, schema: Schema) -> None:
    ours, theirs = _told(record.schema), _told(schema)
    if ours != theirs:
        differing = ", ".join(k for k in ours if ours.get(k) != theirs.get(k)) or "tolerance"
        raise SchemaConflict(
            f"the schema differs from that of layer {record.id} in: {differing}; "
            "publish without --schema, change it first (shikong layer schema), or publish to "
            "another layer"
        )


def _effective(record: Layer | None, schema: Schema, reload: Reload, now: datetime) -> datetime:
    """The instant from which the source speaks, for rows that do not say it themselves."""
    given = reload.valid_from
    if isinstance(given, datetime):
        return given
    if given is not None:
        return datetime.combine(given, time(), schema.zone)
    stated = schema.with_role(Role.VALID_FROM) or schema.kind is Kind.EVENT
    if record is None and not stated:
        raise BadPeriod(
            "a first publish must say from when it is valid: --valid-from DATE, "
            "or --valid-from-field FIELD"
        )
    return now


def _conversion(
    schema: Schema, reload: Reload, mapped: Mapped, crs: CRS | None, effective: datetime
) -> Conversion:
    source, names = reload.source, mapped.names
    scope = {k: v for k, v in reload.scope.items() if k not in names}
    constants = scope | dict(mapped.constants)
    findings = Findings()
    used = {*names.values(), *(schema.coordinates or ())}
    findings.left_out = [name for name in source.types if name not in used]
    findings.lacking = [f.id for f in schema.fields if f.id not in names and f.id not in constants]
    findings.reserved = [f.id for f in schema.stored if f.id in RESERVED]
    placement = None
    if crs is not None:
        placement = placing.placement_of(crs, schema.crs, reload.declared)
    own = (crs, findings, effective, placement, mapped.recoded, reload.remedies)
    return Conversion(schema, names, constants, *own)


def _check_columns(
    record: Layer, schema: Schema, reload: Reload, conversion: Conversion, mode: Mode
) -> None:
    """Refuse sources that can't be what was meant: no geometry, or no time of report."""
    adds = mode is Mode.UPSERT and record.head > 0
    if not reload.source.has_geometry and not adds:
        raise BadSource(
            f"{reload.source.name} has no geometry; state coordinates = [x, y] in the schema, "
            "or use --mode upsert to change fields of features that exist"
        )
    if reload.choices.duplicates is Duplicates.SUM and reload.source.has_geometry:
        raise BadSource(
            f"{reload.source.name} has shapes, of which there is no sum; choose --duplicates "
            "merge, or sum a table without geometry"
        )
    starts = [f.id for f in schema.with_role(Role.EVENT_START)]
    if starts and starts[0] in conversion.findings.lacking and not adds:
        raise BadSource(f"{reload.source.name} has no column for {starts[0]}, when it was reported")


def _check_kept(record: Layer, reload: Reload, conversion: Conversion) -> None:
    for name in sorted(reload.kept):
        if name not in conversion.findings.lacking:
            raise Forbidden(f"field {name} of {record.id} is not yours to write; leave it out")


def _check_key(
    connection: Connection, record: Layer, reload: Reload, conversion: Conversion, mode: Mode
) -> None:
    """Refuse a source without the key where features of its scope are known by theirs."""
    schema, source = record.schema, reload.source
    lacking = [f.id for f in schema.keys if f.id in conversion.findings.lacking]
    if not lacking:
        return
    live = tables.tables_of(record).open.live.c
    inside = reload.whole_scope.condition(live, record)
    keyed = sa.exists().where(inside, sa.not_(live._fid.like("~%")))
    if mode is Mode.UPSERT or (record.head and connection.scalar(sa.select(keyed))):
        raise BadSource(
            f"{source.name} has no column for the key {lacking[0]}; it has: "
            f"{', '.join(source.types)}"
        )


def _features(connection: Connection, stage: Stage) -> int:
    counted = sa.select(sa.func.count(stage.ready.c._fid.distinct()))
    if stage.single:
        counted = sa.select(sa.func.count()).select_from(stage.raw)
    return connection.scalar(counted) or 0


def _find_absences(
    connection: Connection,
    stage: Stage,
    scope: Scope,
    effective: datetime,
    spared: tuple[str, ...],
) -> sa.Select[tuple[str, datetime, datetime]]:
    """Find once what each family is going to ask for."""
    absent = tables.temporary_table(
        f"absent_{stage.record.id}",
        sa.Column("_fid", sa.Text),
        sa.Column("_s", tables.INSTANT),
        sa.Column("_e", tables.INSTANT),
    )
    connection.execute(CreateTable(absent))
    found = _absences(stage, scope, effective)
    if spared:
        # Their rows were left out by a rule: what they were goes on.
        keys = sa.literal(list(spared), sa.ARRAY(sa.Text))
        found = found.where(found.selected_columns[0] != sa.func.all(keys))
    connection.execute(sa.insert(absent).from_select(list(absent.c), found))
    return sa.select(absent.c._fid, absent.c._s, absent.c._e)


def _absences(
    stage: Stage, scope: Scope, effective: datetime
) -> sa.Select[tuple[str, datetime, datetime]]:
    """Where a version of the scope goes on, from when a reload speaks, and it is not stated."""
    names = ("_fid", "_valid_from", "_valid_to", *scope.names(stage.record))
    was = beliefs.believed(stage.tables.open, names).subquery("was")
    since: Any = sa.func.greatest(was.c._valid_from, effective)
    period = sa.func.tstzrange(since, was.c._valid_to)
    inside = scope.condition(was.c, stage.record)
    ready = stage.ready.c
    # Most versions lie within one row of the source, and leave nothing to be worked out.
    covered = sa.exists().where(
        ready._fid == was.c._fid, ready._s <= since, ready._e >= was.c._valid_to
    )
    features = (
        sa.select(was.c._fid, sa.func.range_agg(period).label("had"))
        .where(was.c._valid_to > effective, inside, sa.not_(covered))
        .group_by(was.c._fid)
        .cte("features")
    )
    stated = (
        sa.select(ready._fid, sa.func.range_agg(sa.func.tstzrange(ready._s, ready._e)).label("has"))
        .where(ready._fid.in_(sa.select(features.c._fid)))
        .group_by(ready._fid)
        .subquery("stated")
    )
    nothing = sa.func.coalesce(stated.c.has, sa.func.tstzmultirange())
    gaps = (
        sa.select(features.c._fid, sa.func.unnest(features.c.had.op("-")(nothing)).label("gap"))
        .select_from(features.outerjoin(stated, stated.c._fid == features.c._fid))
        .subquery("gaps")
    )
    return sa.select(gaps.c._fid, sa.func.lower(gaps.c.gap), sa.func.upper(gaps.c.gap))


def _ask_consent(
    connection: Connection, stage: Stage, reload: Reload, report: Report, effective: datetime
) -> None:
    if not report.retired:
        return
    scope_asked = reload.whole_scope
    names = ("_valid_from", "_valid_to", *scope_asked.names(stage.record))
    was = beliefs.believed(stage.tables.open, names).subquery("was")
    inside = scope_asked.condition(was.c, stage.record)
    there = sa.select(sa.func.count()).select_from(was)
    there = there.where(inside, was.c._valid_from <= effective, was.c._valid_to > effective)
    scope = connection.scalar(there) or 0
    if report.retired > CONSENT_SHARE * scope:
        error = NeedsConsent(
            f"{reload.source.name} would retire {report.retired} of the {scope} features in its "
            "scope; say --yes (consent=true over HTTP) if that is right, or narrow the scope"
        )
        report.findings.refusals.append(str(error))
        error.report = report
        raise error
