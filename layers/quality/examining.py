"""The rules of a schema asked of a stage: faults counted, rows left out, the whole refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

import numpy as np
import shapely
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.model import Outcome, Rule, Schema
from layers.quality.around import Beside, read_beside
from layers.quality.asking import OF_ALL, OF_NODES, OF_PAIRS, OF_ROWS, Asked, ask, why_not
from layers.quality.rows import Staged, joined, read_staged
from layers.quality.strips import lay, lay_one
from layers.report import PLACED_CORNERS, PLACED_FAULTS, Broken, Fault, Findings
from layers.writing.staging import Stage, ahead, some
from spatial.checks.faults import Faults


@dataclass
class _Seen:
    """What a rule found so far: its faults by their names, and the rows at fault."""

    rule: Rule
    hidden: bool
    beside: Beside | None = None
    broken: dict[str, Broken] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    asked: int = 0
    placed: list[Fault] = field(default_factory=list)
    corners: int = 0

    def take(self, rows: Staged, all_faults: Sequence[Faults], asked: int | None = None) -> None:
        """Enter the faults of some rows, of which so many were not looked at before."""
        self.asked += len(rows) if asked is None else asked
        for faults in all_faults:
            if not len(faults):
                continue
            broken = self._broken(faults)
            pairs = faults.rows.reshape(len(faults), -1)
            # Of two at odds it is the later that the earlier ones did not expect.
            of_nodes = "number" in self.rule.params
            at_fault = rows.numbers[pairs[:, 0] if of_nodes else pairs.max(axis=1)].tolist()
            self.rows.update(at_fault)
            causes = self._causes(rows, faults)
            for row, cause in zip(at_fault, causes, strict=True):
                broken.rows.add(row, cause)
            self._place(rows, faults, at_fault, causes)

    def take_nodes(self, ids: Sequence[str], all_faults: Sequence[Faults]) -> None:
        """Enter the faults of another layer's features, which are no rows of the source."""
        self.asked += len(ids)
        for faults in all_faults:
            for k, m in zip(faults.rows.tolist(), faults.measured.tolist(), strict=True):
                self.rows.add(k)
                self._broken(faults).rows.add(0, f"{faults.rule} {ids[k]}: {m:.6g}")
            for k, m, place in zip(faults.rows, faults.measured, faults.places, strict=True):
                if len(self.placed) < PLACED_FAULTS:
                    said = f"{faults.rule} {ids[k]}: {m:.6g}"
                    own = (None, float(m), faults.limits, faults.unit, place)
                    self.placed.append(Fault(self.rule.id, None, said, *own))

    def _place(
        self, rows: Staged, faults: Faults, at_fault: Sequence[int], causes: Sequence[str]
    ) -> None:
        """Keep the faults with their places, or those of their rows, while there is room."""
        pairs = faults.rows.reshape(len(faults), -1)
        of_nodes = "number" in self.rule.params
        for k in range(min(len(faults), PLACED_FAULTS - len(self.placed))):
            if self.corners > PLACED_CORNERS:
                break
            at = pairs[k, 0] if of_nodes else pairs[k].max()
            place = faults.places[k]
            both = [] if of_nodes else sorted(int(rows.numbers[j]) for j in pairs[k] if j >= 0)
            measured = float(faults.measured[k])
            where = rows.shapes[at] if place is None else place
            self.corners += int(shapely.get_num_coordinates(where))
            self.placed.append(
                Fault(
                    self.rule.id,
                    at_fault[k],
                    causes[k],
                    both[0] if len(both) > 1 else None,
                    None if self.hidden or np.isnan(measured) else measured,
                    "" if self.hidden else faults.limits,
                    faults.unit,
                    where,
                )
            )

    def _broken(self, faults: Faults) -> Broken:
        empty = Broken(self.rule.id, faults.rule, self.rule.outcome.value)
        return self.broken.setdefault(faults.rule, empty)

    def _causes(self, rows: Staged, faults: Faults) -> list[str]:
        pairs = faults.rows.reshape(len(faults), -1)
        if "number" in self.rule.params:
            pairs = pairs[:, :1]  # the other one is a node
        others = [
            [int(rows.numbers[k]) for k in sorted(pair) if k >= 0][:-1] for pair in pairs.tolist()
        ]
        said = [f"{faults.rule} with row {o[0]}" if o else faults.rule for o in others]
        if self.hidden:
            return said
        unit = "" if faults.unit == "1" else f" {faults.unit}"
        limits = f" (allowed: {faults.limits})" if faults.limits else ""
        return [
            words if np.isnan(m) else f"{words}: {m:.6g}{unit}{limits}"
            for words, m in zip(said, faults.measured.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Part:
    """What of a layer a stage is, and what its rules may look at beside it.

    Attributes
    ----------
    adds : bool
        Whether the rows are added to others of the layer.
    partly : bool
        Whether they are a part of the layer, so or by their scope.
    around : frozenset of str
        The other layers that whoever publishes may know all of.
    """

    adds: bool = False
    partly: bool = False
    around: frozenset[str] = frozenset()


def examine(
    connection: Connection, stage: Stage, findings: Findings, part: Part
) -> tuple[str, ...]:
    """Ask the layer's rules of staged rows, take out those that one leaves out, and say all of it.

    Parameters
    ----------
    connection : Connection
        Of the publishing transaction.
    stage : Stage
        With ids given and repeats settled.
    findings : Findings
        Where faults are entered, and rules that could not be asked.
    part : Part
        What of the layer the rows are.

    Returns
    -------
    tuple of str
        The features of rows that were left out, so that they are not taken for gone.

    Notes
    -----
    Where more rows are at fault than a rule allows, that is entered as a refusal: whoever
    publishes is to see the whole report before the publish ends.
    """
    seen = _askable(connection, stage.schema, findings, part)
    _ask_all(connection, stage, seen)
    for one in seen:
        findings.broken += one.broken.values()
        findings.faults += one.placed[: PLACED_FAULTS - len(findings.faults)]
        findings.refusals += _refusals(one)
    out = set[int]().union(*(one.rows for one in seen if one.rule.outcome is Outcome.ROW))
    findings.rows_refused += len(out)
    if not out:
        return ()
    raw = stage.raw
    gone = sa.delete(raw).where(raw.c._row == sa.func.any(sa.literal(sorted(out), _ROWS)))
    return tuple(connection.scalars(gone.returning(raw.c._key)))


_ROWS = sa.ARRAY(sa.BigInteger)


def _askable(connection: Connection, schema: Schema, findings: Findings, part: Part) -> list[_Seen]:
    beside = _read_around(connection, schema, part)
    seen = []
    for rule in schema.rules:
        other = rule.beside
        found = None if other is None else beside[other]
        reason = found if isinstance(found, str) else why_not(rule, schema, part.adds, part.partly)
        if reason is not None:
            findings.unasked.append(f"rule {rule.id} was not asked: {reason}")
        elif not isinstance(found, str):
            seen.append(_Seen(rule, _hidden(rule, schema), found))
    return seen


def _read_around(connection: Connection, schema: Schema, part: Part) -> dict[str, Beside | str]:
    found: dict[str, Beside | str] = {}
    for other in dict.fromkeys(rule.beside for rule in schema.rules):
        if other is None:
            continue
        rules = [rule for rule in schema.rules if rule.beside == other]
        if other in part.around:
            found[other] = read_beside(connection, rules, other, schema)
        else:
            found[other] = f"it looks at the layer {other}, which is another's to publish"
    return found


def _ask_all(connection: Connection, stage: Stage, seen: Sequence[_Seen]) -> None:
    """Ask each rule of as many rows at a time as it must see, and of no more."""
    if not seen:
        return
    names = sorted({field_id for one in seen for field_id in one.rule.fields.values()})
    pairs = [one.rule for one in seen if one.rule.check in OF_PAIRS]
    whole = any(one.rule.check in OF_ALL for one in seen)
    parted = bool(pairs) and not whole
    strips = lay(connection, stage, pairs) if parted else lay_one(connection, stage)
    with (
        closing(read_staged(connection, stage, names, strips)) as parts,
        # The next rows are read while these are asked about.
        closing(ahead(_gathered(parts) if pairs or whole else parts)) as coming,
    ):
        for rows in coming:
            _ask_of(rows, stage.schema, seen)


def _gathered(parts: Iterator[Staged]) -> Iterator[Staged]:
    """Yield all rows of a strip at once."""
    for _, of_one in groupby(parts, attrgetter("strip")):
        yield joined(list(of_one))


def _ask_of(rows: Staged, schema: Schema, seen: Sequence[_Seen]) -> None:
    """Ask all rules of the rows of a strip."""
    own = rows.own
    current = own.current
    for one in seen:
        check = one.rule.check
        if check in OF_ROWS:
            for some in own.batches():
                one.take(some, ask(Asked(one.rule, schema, some)))
        elif check in OF_PAIRS:
            beside = rows.current
            found = ask(Asked(one.rule, schema, beside))
            one.take(beside, [_met_here(beside, faults) for faults in found], len(current))
        elif one.beside is not None and check in OF_NODES:
            found = ask(Asked(one.rule, schema, current, one.beside))
            one.take_nodes(one.beside.ids.tolist(), found)
        else:
            one.take(current, ask(Asked(one.rule, schema, current, one.beside)))


def _met_here(rows: Staged, faults: Faults) -> Faults:
    """Return the pairs that share no strip before this one: the others were told of there."""
    met = rows.strips[faults.rows].max(axis=1) if len(faults) else np.empty(0)
    return faults.only(met == rows.strip)


def _hidden(rule: Rule, schema: Schema) -> bool:
    """Whether what was measured tells of a restricted field: the report stands in logs."""
    fields = [schema.find(field_id) for field_id in rule.fields.values()]
    return any(f is not None and f.is_restricted for f in fields)


def _refusals(one: _Seen) -> list[str]:
    rule = one.rule
    if rule.outcome is Outcome.SAY or len(one.rows) <= rule.share * one.asked:
        return []
    first = next(iter(one.broken.values())).rows.named[0][1]
    return [
        f"{len(one.rows)} of {one.asked} rows break the rule {rule.id} ({rule.title.en} · "
        f"{rule.title.zh}): rows {some(sorted(one.rows))}; the first: {first}. Mend them, or "
        "change the rule's outcome or share (shikong layer schema)"
    ]
