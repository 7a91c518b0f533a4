"""The rules of a schema asked of a stage: faults counted, rows left out, the whole refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.errors import RuleBroken
from layers.model import Outcome, Rule, Schema
from layers.quality.asking import OF_ALL, Asked, ask, why_not
from layers.quality.rows import Staged, joined, read_staged
from layers.report import Broken, Findings
from layers.writing.staging import Stage, some
from spatial.checks.faults import Faults


@dataclass
class _Seen:
    """What a rule found so far: its faults by their names, and the rows at fault."""

    rule: Rule
    hidden: bool
    broken: dict[str, Broken] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    asked: int = 0

    def take(self, rows: Staged, all_faults: Sequence[Faults]) -> None:
        """Enter the faults of some rows."""
        self.asked += len(rows)
        for faults in all_faults:
            if not len(faults):
                continue
            empty = Broken(self.rule.id, faults.rule, self.rule.outcome.value)
            broken = self.broken.setdefault(faults.rule, empty)
            pairs = faults.rows.reshape(len(faults), -1)
            # Of two at odds it is the later that the earlier ones did not expect.
            at_fault = rows.numbers[pairs.max(axis=1)].tolist()
            self.rows.update(at_fault)
            for row, cause in zip(at_fault, self._causes(rows, faults), strict=True):
                broken.rows.add(row, cause)

    def _causes(self, rows: Staged, faults: Faults) -> list[str]:
        pairs = faults.rows.reshape(len(faults), -1)
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


def examine(
    connection: Connection, stage: Stage, rules: Sequence[Rule], findings: Findings, adds: bool
) -> tuple[str, ...]:
    """Ask rules of the staged rows, take out those that a rule leaves out, and say all of it.

    Parameters
    ----------
    connection : Connection
        Of the publishing transaction.
    stage : Stage
        With ids given and repeats settled.
    rules : sequence of Rule
        The layer's own.
    findings : Findings
        Where faults are entered, and rules that could not be asked.
    adds : bool
        Whether the rows are added to others of the layer.

    Returns
    -------
    tuple of str
        The features of rows that were left out, so that they are not taken for gone.

    Raises
    ------
    RuleBroken
        Where more rows are at fault than a rule allows.
    """
    asked = _askable(rules, stage.schema, findings, adds)
    seen = _ask_all(connection, stage, asked)
    for one in seen:
        findings.broken += one.broken.values()
    for one in seen:
        _refuse(one)
    out = set[int]().union(*(one.rows for one in seen if one.rule.outcome is Outcome.ROW))
    if not out:
        return ()
    raw = stage.raw
    gone = sa.delete(raw).where(raw.c._row == sa.func.any(sa.literal(sorted(out), _ROWS)))
    return tuple(connection.scalars(gone.returning(raw.c._key)))


_ROWS = sa.ARRAY(sa.BigInteger)


def _askable(rules: Sequence[Rule], schema: Schema, findings: Findings, adds: bool) -> list[Rule]:
    reasons = [(rule, why_not(rule, schema, adds)) for rule in rules]
    findings.unasked += [reason for _, reason in reasons if reason is not None]
    return [rule for rule, reason in reasons if reason is None]


def _ask_all(connection: Connection, stage: Stage, rules: Sequence[Rule]) -> list[_Seen]:
    schema = stage.schema
    seen = [_Seen(rule, _hidden(rule, schema)) for rule in rules]
    names = sorted({field_id for rule in rules for field_id in rule.fields.values()})
    whole = [one for one in seen if one.rule.check in OF_ALL]
    parts: list[Staged] = []
    for rows in read_staged(connection, stage, names) if rules else ():
        for one in seen:
            if one.rule.check not in OF_ALL:
                one.take(rows, ask(Asked(one.rule, schema, rows)))
        if whole:
            parts.append(rows)
    if parts:
        newest = joined(parts).newest()
        for one in whole:
            one.take(newest, ask(Asked(one.rule, schema, newest)))
    return seen


def _hidden(rule: Rule, schema: Schema) -> bool:
    """Whether what was measured tells of a restricted field: the report stands in logs."""
    fields = [schema.find(field_id) for field_id in rule.fields.values()]
    return any(f is not None and f.is_restricted for f in fields)


def _refuse(one: _Seen) -> None:
    rule = one.rule
    if rule.outcome is Outcome.SAY or len(one.rows) <= rule.share * one.asked:
        return
    first = next(iter(one.broken.values())).rows.named[0][1]
    raise RuleBroken(
        f"{len(one.rows)} of {one.asked} rows break the rule {rule.id} ({rule.title.en} · "
        f"{rule.title.zh}): rows {some(sorted(one.rows))}; the first: {first}. Mend them, or "
        "change the rule's outcome or share (shikong layer schema)"
    )
