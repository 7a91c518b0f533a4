"""A layer in the store and its naive model, fed the same and asked the same."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import geopandas as gpd
import naive_model as naive
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa

from layers import catalog, tables
from layers.commits import Change
from layers.database import Database
from layers.edits import Edit, Revert
from layers.errors import LayersError
from layers.keeping.verify import verify
from layers.model import Mode, Schema
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.features import Moment, Query, select_features
from layers.reading.outputs import as_wkb
from layers.report import Report
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer
from spatial.periods import Interval

EVERYTHING, WRITER = Reader.everything(), Writer("property test")
MICROSECOND = timedelta(microseconds=1)
DAY0 = datetime(2020, 1, 1, tzinfo=UTC)
# Of the moments of an example, so many are selected; `check_tables` holds them all to the model.
SELECTS = 40
POINTS = [None, *(shapely.Point(x, 1) for x in range(3))]
OPEN = ("no", "zone", "a", "b", "n", "geometry")
EVENT_OPEN = ("no", "reported", "a", "b", "geometry")
STATE_SCHEMA = {
    "kind": "state",
    "title": "State",
    "geometry": "Point",
    "time_zone": "UTC",
    "fields": [
        {"id": "no", "role": "key"},
        {"id": "zone"},
        {"id": "a"},
        {"id": "b"},
        {"id": "n", "type": "integer"},
        {"id": "since", "type": "instant", "role": "valid-from"},
        {"id": "until", "type": "instant", "role": "valid-to"},
        {"id": "secret", "visibility": "restricted"},
        {"id": "phone", "visibility": "restricted"},
    ],
}
EVENT_SCHEMA = {
    "kind": "event",
    "title": "Event",
    "geometry": "Point",
    "time_zone": "UTC",
    "fields": [
        {"id": "no", "role": "key"},
        {"id": "reported", "type": "instant", "role": "event-start"},
        {"id": "a"},
        {"id": "b"},
        {"id": "since", "type": "instant", "role": "valid-from"},
        {"id": "until", "type": "instant", "role": "valid-to"},
        {"id": "secret", "visibility": "restricted"},
    ],
}
INSTANTS = ("since", "until", "reported")


@dataclass(frozen=True)
class Step:
    """One publish of an example; days count from DAY0, `since` and `until` may be None."""

    rows: tuple[dict[str, Any], ...]
    reload: bool = True
    columns: frozenset[str] = frozenset()
    zone: str | None = None
    valid_from: float | None = None
    advance: float = 0.0


@dataclass(frozen=True)
class History:
    """An example: the kind of layer, what it does with repeated keys, and its publishes."""

    steps: tuple[Step, ...]
    event: bool = False
    duplicates: str = "first"
    probes: tuple[int, ...] = field(default=(0, 7, 23, 41))


def day(number: float) -> datetime:
    return DAY0 + timedelta(days=number)


class Pair:
    """A layer in the store and its model, fed the same."""

    def __init__(self, store: Store, layer_id: str, history: History) -> None:
        document = EVENT_SCHEMA if history.event else STATE_SCHEMA
        self.schema: Schema = parse_schema(document | {"duplicates": history.duplicates})
        open_fields = EVENT_OPEN if history.event else OPEN
        restricted = [f.id for f in self.schema.restricted]
        self.model = naive.NaiveLayer(
            open_fields, restricted, event=history.event, duplicates=history.duplicates
        )
        self.store, self.id = store, layer_id
        self.now = day(2)
        self.writer = WRITER
        self.recorded: list[datetime] = []

    def publish(self, step: Step) -> None:
        self.now += timedelta(days=step.advance)
        columns = step.columns | {"no", "since"}
        if not self.model.head:
            columns |= {"geometry", "reported"}
        if step.reload:
            columns |= {"geometry", "reported"}
        columns &= {f.id for f in self.schema.fields} | {"geometry"}
        valid_from = None if step.valid_from is None else day(step.valid_from)
        scope = {} if step.zone is None else {"zone": step.zone}
        report = self._store(step, columns, valid_from, scope)
        try:
            counts = self.model.commit(
                naive.Publish(
                    tuple(self._model_row(r, columns) for r in step.rows),
                    self.now,
                    step.reload,
                    valid_from,
                    scope,
                )
            )
        except naive.Refused as refusal:
            self._refused(refusal, report)
            return
        self._compare(counts, report)

    def edit(self, edits: Sequence[Edit], same: Sequence[naive.Edit]) -> bool:
        """Commit edits, and the same to the model; False where both refused."""
        report = self._commit(edits)
        try:
            counts = self.model.edit(same, self.now)
        except naive.Refused as refusal:
            self._refused(refusal, report)
            return False
        self._compare(counts, report)
        return True

    def revert(self, revision: int, *, force: bool) -> bool:
        """Undo a revision in both; False where both refused."""
        report = self._commit(Revert(revision, force))
        try:
            counts = self.model.revert(revision, force=force)
        except naive.Refused as refusal:
            self._refused(refusal, report)
            return False
        self._compare(counts, report)
        with self.store.database.inspect() as connection:
            self.schema = catalog.read_layer(connection, self.id, EVERYTHING).schema
        return True

    def change_schema(
        self, schema: Schema, open_fields: Sequence[str], restricted: Sequence[str]
    ) -> bool:
        """Give both other fields; False where both refused."""
        report = self._commit(SchemaChange(schema))
        try:
            changed = self.model.change_schema(open_fields, restricted)
        except naive.Refused as refusal:
            self._refused(refusal, report)
            return False
        self._compare(naive.Counts() if changed else None, report)
        self.schema = schema
        return True

    def _refused(self, refusal: naive.Refused, report: Report | LayersError) -> None:
        if not isinstance(report, LayersError):
            pytest.fail(f"{refusal}, and the store took it")

    def _compare(self, counts: naive.Counts | None, report: Report | LayersError) -> None:
        assert isinstance(report, Report), f"the store refused: {report}"
        if counts is None:
            assert report.revision is None, "nothing changed, and the store made a revision"
        else:
            assert report.revision == self.model.head
            found = (report.created, report.changed, report.retired)
            assert found == (counts.created, counts.changed, counts.retired)

    def _store(
        self,
        step: Step,
        columns: frozenset[str],
        valid_from: datetime | None,
        scope: dict[str, str],
    ) -> Report | LayersError:
        reload = Reload(
            FrameSource(frame_of(step.rows, columns)),
            # Who may not publish the whole of a layer can't state what it is.
            schema=self.schema if self.writer.permits is None else None,
            mode=Mode.RELOAD if step.reload else Mode.UPSERT,
            scope=scope,
            valid_from=valid_from,
            consent=True,
        )
        return self._commit(reload)

    def _commit(self, change: Change) -> Report | LayersError:
        clock = self.store.with_clock(lambda: self.now)
        try:
            done = clock.commit({self.id: change}, self.writer, "step")
        except LayersError as error:
            return error
        if done.recorded_at is not None:
            assert done.recorded_at >= self.now
            assert done.recorded_at > max(self.recorded, default=day(-1))
            self.recorded.append(done.recorded_at)
        return done.reports[self.id]

    def _model_row(self, row: dict[str, Any], columns: frozenset[str]) -> Any:
        # A field that was replaced goes by its type as well.
        tokens = {n.partition(":")[0]: n for n in self.model.open_fields}
        values = {tokens.get(n, n): row.get(n) for n in columns if n not in ("since", "until")}
        if values.get("reported") is not None:
            values["reported"] = day(values["reported"])
        if "geometry" in values:
            values["geometry"] = values["geometry"] or None
        until = row["until"] if "until" in columns else None
        start = None if row["since"] is None else day(row["since"])
        return naive.Row(row["no"], start, None if until is None else day(until), values)


def frame_of(rows: Sequence[dict[str, Any]], columns: frozenset[str]) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for name in sorted(columns - {"geometry"}):
        values = [r.get(name) for r in rows]
        if name in INSTANTS:
            at = [pd.NaT if v is None else day(v) for v in values]
            data[name] = pd.Series(at, dtype="datetime64[us, UTC]")
        elif name == "n" and not any(isinstance(v, str) for v in values):
            data[name] = pd.Series(values, dtype="Int64")
        else:
            data[name] = pd.Series(values, dtype=object)
    if "geometry" not in columns:
        return pd.DataFrame(data)
    shapes = [POINTS[r["geometry"]] for r in rows]
    return gpd.GeoDataFrame(data, geometry=gpd.GeoSeries(shapes, crs="OGC:CRS84"))


def plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def shape_number(shape: Any) -> int | None:
    return None if shape is None else POINTS.index(shape)


def versions_in(frame: gpd.GeoDataFrame, fields: Sequence[str]) -> list[tuple[str, Any]]:
    found = []
    for key, row in frame.iterrows():
        content = []
        for name in fields:
            value = row[name.partition(":")[0]]
            content.append((name, shape_number(value) if name == "geometry" else plain(value)))
        end = plain(row["valid_to"]) or naive.FOREVER
        found.append((str(key), naive.Version(plain(row["valid_from"]), end, tuple(content))))
    return found


def boundaries(pair: Pair) -> list[datetime]:
    """Every start and end that was ever believed, and the microseconds beside them."""
    found = {day(-1), day(100), *pair.recorded}
    for belief in pair.model.opens:
        for versions in belief.values():
            for v in versions:
                found |= {v.start, v.end}
    found.discard(naive.FOREVER)
    return sorted({t + n * MICROSECOND for t in found for n in (-1, 0, 1)})


def check_no_overlap(pair: Pair) -> None:
    for belief in (*pair.model.opens, *pair.model.restricteds):
        for versions in belief.values():
            for one, next_one in itertools.pairwise(sorted(versions, key=lambda v: v.start)):
                assert one.end <= next_one.start


def check_tables(pair: Pair) -> None:
    """Both faces, every revision, every version: from the tables themselves."""
    with pair.store.database.inspect() as connection:
        record = catalog.read_layer(connection, pair.id, EVERYTHING)
        families = tables.tables_of(record).families
        for family, beliefs in zip(
            families, (pair.model.opens, pair.model.restricteds), strict=False
        ):
            rows = [
                (t.schema, r._mapping)
                for t in (family.live, family.history)
                for r in connection.execute(_finite(t))
            ]
            for revision, belief in enumerate(beliefs):
                expected = sorted(
                    (key, v.start, v.end) for key, versions in belief.items() for v in versions
                )
                believed = sorted(
                    (
                        r["_fid"],
                        r["_valid_from"],
                        (r["end"] if r["_rev_closed"] <= revision else None) or naive.FOREVER,
                    )
                    for _, r in rows
                    if r["_rev_from"] <= revision < r["_rev_to"]
                )
                only = sorted(set(believed) ^ set(expected))
                assert believed == expected, f"{family.live.schema} at {revision}: {only[:8]}"
            head = len(beliefs) - 1
            live = [r for place, r in rows if place == family.live.schema]
            assert all(r["_rev_to"] > head for r in live), "a retracted row is live"
            _check_restricted_values(pair, family, beliefs[-1], rows)


def _finite(table: sa.Table) -> sa.Select[Any]:
    columns = [c.label(c.key) for c in table.c if c.name not in ("_geom", "_valid_to")]
    end = sa.func.nullif(table.c._valid_to, tables.FOREVER, type_=tables.INSTANT)
    return sa.select(*columns, end.label("end"))


def _check_restricted_values(pair: Pair, family: Any, belief: Any, rows: list[Any]) -> None:
    if family.spatial:
        return
    names = pair.model.restricted_fields
    found = {
        (r["_fid"], r["_valid_from"], tuple((n, r[n]) for n in names))
        for _, r in rows
        if r["_rev_to"] == tables.OPEN_REVISION
    }
    expected = {
        (k, v.start, tuple((n, dict(v.content).get(n)) for n in names))
        for k, vs in belief.items()
        for v in vs
    }
    assert found == expected


def check_reads(pair: Pair, probes: Sequence[int]) -> None:
    """Snapshots about every boundary, in one connection; some through the public interface."""
    instants, model = boundaries(pair), pair.model
    layer = pair.store.with_clock(lambda: pair.now).layer(pair.id, EVERYTHING)
    assert layer.record.head == model.head
    pairs = [(r, t) for r in range(1, model.head + 1) for t in instants]
    with layer.reading() as (connection, record):
        for revision, t in pairs[:: max(1, len(pairs) // SELECTS)]:
            select = select_features(record, EVERYTHING, Moment(revision, t, t), Query())
            rows = connection.execute(as_wkb(select)).all()
            found = sorted((r._fid, r._valid_from, r._valid_to or naive.FOREVER) for r in rows)
            expected = sorted((k, v.start, v.end) for k, v in model.at(revision, t).items())
            assert found == expected, (revision, t)
    for probe in probes:
        revision, t = pairs[probe % len(pairs)]
        frame = layer.at(t, revision=revision).read()
        found = versions_in(frame, model.fields_at(revision))
        assert dict(found) == model.at(revision, t), (revision, t)
        assert layer.at(t, revision=revision).count() == len(frame)
        check_interval(pair, layer, revision, t, probe)
        check_diff(pair, layer, (revision, t), pairs[(probe * 7 + 3) % len(pairs)])
        check_diff(pair, layer, (revision, t), (probe % model.head + 1, t))


def check_interval(pair: Pair, layer: Any, revision: int, first: datetime, probe: int) -> None:
    last = first + timedelta(days=probe % 4)
    snapshot = layer.at(Interval(first, last), revision=revision)
    found = versions_in(snapshot.read(), pair.model.fields_at(revision))
    assert snapshot.count() == len(found)
    if pair.schema.kind == "event":
        expected = pair.model.reported(revision, first, last, pair.now, "reported")
        assert dict(found) == expected
        assert len(found) == len(expected)
    else:
        expected = pair.model.during(revision, first, last)
        assert set(found) == expected
        assert len(found) == len(expected)


def check_diff(
    pair: Pair, layer: Any, old: tuple[int, datetime], new: tuple[int, datetime]
) -> None:
    before, after = (layer.at(t, revision=r) for r, t in (old, new))
    found = {c.id: (c.kind, c.fields) for c in layer.diff(before, after)}
    expected = pair.model.diff(old, new)
    plainly = {
        k: (how, tuple(n.partition(":")[0] for n in names)) for k, (how, names) in expected.items()
    }
    assert found == plainly, (old, new)


def check_changes(pair: Pair) -> None:
    """Rule 8: replayed from the first, the changes give what is believed at every revision."""
    layer, model = pair.store.layer(pair.id, EVERYTHING), pair.model
    believed: dict[tuple[str, datetime, datetime], Any] = {}
    changes = itertools.groupby(layer.changes(0), key=lambda change: change.revision)
    by_revision = {revision: list(group) for revision, group in changes}
    assert list(by_revision) == sorted(by_revision)
    for revision in range(1, model.head + 1):
        for change in by_revision.get(revision, []):
            version = change.version
            period = (version.id, version.valid_from, version.valid_to or naive.FOREVER)
            if change.kind == "retracted":
                del believed[period]
                continue
            assert period not in believed
            shape = None if version.geometry is None else shapely.from_wkb(version.geometry)
            values = {**version.properties, "geometry": shape_number(shape)}
            fields = model.fields_at(revision)
            believed[period] = tuple((n, values[n.partition(":")[0]]) for n in fields)
        belief = model.opens[revision]
        assert believed.keys() == {(k, v.start, v.end) for k, vs in belief.items() for v in vs}
        asserted = {
            (k, v.start, v.end): v.content
            for k, vs in belief.items()
            for v in vs
            if v not in model.opens[revision - 1].get(k, [])
        }
        fields = model.fields_at(revision)
        for period, content in asserted.items():
            said = dict(content)
            expected = tuple((n, said.get(n)) for n in fields)
            assert believed[period] == expected, (revision, period)


def check_touched(pair: Pair) -> None:
    """What each revision did to which features; the counts of the log agree."""
    layer = pair.store.layer(pair.id, EVERYTHING)
    log = {r.number: r for r in layer.revisions()}
    for revision in range(1, pair.model.head + 1):
        found = dict(layer.touched(revision))
        assert found == pair.model.touched(revision)
        kinds = list(found.values())
        r = log[revision]
        counted = (r.n_created, r.n_changed, r.n_retired)
        assert counted == tuple(kinds.count(k) for k in ("created", "changed", "retired"))


def check_lineage(pair: Pair) -> None:
    layer, model = pair.store.layer(pair.id, EVERYTHING), pair.model
    keys = sorted({n.ancestor for n in model.links} | {n.descendant for n in model.links})[:6]
    for key, revision in itertools.product(keys, {1, model.head // 2 + 1, model.head}):
        for until in (day(3), day(100)):
            found = layer.lineage(key, revision=revision, until=until)
            told = tuple({(n.ancestor, n.descendant, n.at, n.revision) for n in ns} for ns in found)
            assert told == model.lineage(key, revision, until)


def check_history(store: Store, layer_id: str, history: History) -> Pair:
    pair = Pair(store, layer_id, history)
    for step in history.steps:
        pair.publish(step)
    check_no_overlap(pair)
    if pair.model.head:
        check_tables(pair)
        check_reads(pair, history.probes)
        check_log(pair)
        check_changes(pair)
        check_touched(pair)
    return pair


def check_log(pair: Pair) -> None:
    layer = pair.store.layer(pair.id, EVERYTHING)
    log = layer.revisions()
    assert [r.number for r in log] == list(range(pair.model.head, 0, -1))
    assert [r.commit.recorded_at for r in reversed(log)] == pair.recorded
    for r in log:
        assert r.n_live == len(pair.model.at(r.number, r.commit.recorded_at))
    assert [str(fault) for fault in verify(pair.store.database)] == []


def forget_all(database: Database) -> None:
    """Empty the store, so that an example's recorded times do not follow another's."""
    with database.own() as connection:
        ids = connection.scalars(sa.select(tables.layer.c.id)).all()
        for layer_id, schema in itertools.product(ids, tables.LAYER_SCHEMAS):
            connection.execute(sa.text(f'DROP TABLE IF EXISTS {schema}."{layer_id}"'))
        # The audit is never emptied but by somebody who may alter the table itself.
        connection.execute(sa.text("ALTER TABLE shikong.audit DISABLE TRIGGER ALL"))
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(sa.delete(table))
        again = "ALTER TABLE shikong.audit ENABLE ALWAYS TRIGGER audit_only_added_to"
        connection.execute(sa.text(again))
