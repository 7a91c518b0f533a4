"""What a publish found and did: shown before writing, and kept with the revision."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from layers.model import Schema
from layers.readings import ReadAs
from spatial.placement import Placed, Points

if TYPE_CHECKING:
    import shapely

# The counts are always whole; of the rows themselves so many are named.
NAMED_ROWS = 1000
# Of faults with their places so many are kept, for whoever downloads them as a layer.
PLACED_FAULTS = 50_000
# And, of each rule, places of so many corners together.
PLACED_CORNERS = 5_000_000


@dataclass
class Rows:
    """Rows of a source that share a finding: how many, and the first of them with the cause."""

    count: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, cause: str) -> None:
        """Count a row, and name it while there is room."""
        self.count += 1
        if len(self.named) < NAMED_ROWS:
            self.named.append((row, cause))

    def add_to(self, row: int, cause: str) -> None:
        """Say more of a row that is counted, where it is named."""
        for n in range(len(self.named) - 1, -1, -1):
            if self.named[n][0] == row:
                self.named[n] = (row, f"{self.named[n][1]}; {cause}")
                return

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"count": self.count, "rows": [{"row": r, "cause": c} for r, c in self.named]}


@dataclass
class RepeatedKey:
    """Rows that share a key, what became of them, and the fields in which they differ."""

    id: str
    rows: list[int]
    outcome: str
    differing: list[str]


@dataclass
class Broken:
    """Rows of a source that break a rule of the schema in one way, and what becomes of them."""

    rule: str
    fault: str
    outcome: str
    rows: Rows = field(default_factory=Rows)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        said = {"rule": self.rule, "fault": self.fault, "outcome": self.outcome}
        return said | self.rows.document()


@dataclass(frozen=True)
class Mapped:
    """Which column of a source became which field, and who said so.

    Attributes
    ----------
    name : str
        Under which the mapping is, or would be, kept with the layer.
    names : mapping of str to str
        Field to column.
    origin : str
        ``names``, ``stated`` or ``saved``.
    constants : mapping of str to str
        Field to what every row has in it.
    recoded : mapping of str to mapping of str to str
        Field to the codes that stand for values of its column.
    stated : mapping of str to mapping
        What was said beyond names; kept with the layer where it was said now.
    columns : tuple of str
        Of the source.
    """

    name: str
    names: Mapping[str, str]
    origin: str = "names"
    constants: Mapping[str, str] = field(default_factory=dict)
    recoded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stated: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    author: str | None = None
    written_at: datetime | None = None
    note: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it: names, and no values of rows."""
        return {
            "name": self.name,
            "origin": self.origin,
            "author": self.author,
            "written_at": None if self.written_at is None else self.written_at.isoformat(),
            "columns": dict(self.names),
            "constants": dict(self.constants),
            "recoded": sorted(self.recoded),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A column that may be a field.

    Attributes
    ----------
    score : float
        0 to 1; the same for the same source and schema.
    reasons : tuple of str
        What speaks for it.
    values : mapping of str to str
        Of its values that are titles of codes, to the codes.
    """

    field: str
    column: str
    score: float
    reasons: tuple[str, ...]
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "field": self.field,
            "column": self.column,
            "score": self.score,
            "reasons": list(self.reasons),
            "values": dict(self.values),
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in its place, as whoever publishes downloads it.

    Attributes
    ----------
    rule : str
        Id of the schema's rule; or ``repaired``, ``without-geometry``, ``without-key``.
    row, other_row : int or None
        In the source, from 1; None where a fault is of another layer's feature.
    measured : float or None
        None where nothing was measured, or where it would tell of a restricted field.
    place : Geometry or None
        In the layer's system.
    """

    rule: str
    row: int | None
    message: str
    other_row: int | None = None
    measured: float | None = None
    allowed: str = ""
    unit: str = ""
    place: shapely.Geometry | None = None


@dataclass
class Findings:
    """What was found in the rows before anything was compared with the store.

    Attributes
    ----------
    points : Points
        To stand for all coordinates, where they had to be moved.
    faults : list of Fault
        The first of those that rules found, with their places; no part of what is kept.
    refusals : list of str
        Why the whole is refused; empty where it is not.
    """

    rows_read: int = 0
    rows_refused: int = 0
    points: Points = field(default_factory=Points)
    repaired: Rows = field(default_factory=Rows)
    without_geometry: Rows = field(default_factory=Rows)
    without_key: Rows = field(default_factory=Rows)
    repeated: list[RepeatedKey] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    reserved: list[str] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What a publish would do, or did.

    Attributes
    ----------
    layer : str
        The layer.
    findings : Findings
        About the source's rows.
    revision, commit : int or None
        None where nothing was written: an unchanged source, or a dry run.
    created, changed, retired, unchanged : int
        Features, over the open fields.
    mapped : Mapped or None
        How columns became fields.
    suggested : tuple of Suggestion
        Which columns may be the fields that are lacking, where that was asked; none is taken.
    inferred : Schema or None
        The schema, where none was given and the layer is new.
    named : tuple of str
        Of a list of edits the ids of their features, edit by edit; supersessions are left out.
    read_as : tuple of ReadAs
        Which encoding and separator were stated or found, of sources that leave them open.
    placed : Placed or None
        How coordinates came into the layer's system; None where none were stated.
    kept_shapes : int
        Features whose new geometry is within the tolerance of the current one, which was kept.
    crs : str
        The layer's system, where a source was published.
    difference : tuple of (str, Geometry)
        Of some features what becomes of them (created, changed, retired) and their outlines or
        boxes in the layer's system, where the publish was asked for a picture.
    """

    layer: str
    source: str
    findings: Findings
    dry_run: bool = False
    revision: int | None = None
    commit: int | None = None
    created: int = 0
    changed: int = 0
    retired: int = 0
    unchanged: int = 0
    kept_shapes: int = 0
    restricted_only: int = 0
    placed: Placed | None = None
    read_as: tuple[ReadAs, ...] = ()
    inferred: Schema | None = None
    mapped: Mapped | None = None
    suggested: tuple[Suggestion, ...] = ()
    notes: list[str] = field(default_factory=list)
    named: tuple[str, ...] = ()
    crs: str = ""
    difference: tuple[tuple[str, shapely.Geometry], ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        """Whether the source says just what the store believes."""
        return not (self.created or self.changed or self.retired or self.restricted_only)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON has it; no value of a restricted field is in it."""
        found = self.findings
        return {
            "source": self.source,
            "read_as": {one.what: one.document() for one in self.read_as},
            "rows_read": found.rows_read,
            "rows_refused": found.rows_refused,
            "reference_system": None if self.placed is None else self.placed.document(),
            "repaired": found.repaired.document(),
            "without_geometry": found.without_geometry.document(),
            "without_key": found.without_key.document(),
            "repeated_keys": {
                "count": len(found.repeated),
                "keys": [vars(k) for k in found.repeated[:NAMED_ROWS]],
            },
            "mapping": None if self.mapped is None else self.mapped.document(),
            "suggested": [one.document() for one in self.suggested],
            "columns_left_out": found.left_out,
            "fields_lacking": found.lacking,
            "reserved_names": found.reserved,
            "rules_broken": [broken.document() for broken in found.broken],
            "rules_unasked": found.unasked,
            "created": self.created,
            "changed": self.changed,
            "retired": self.retired,
            "unchanged": self.unchanged,
            "kept_shapes": self.kept_shapes,
            "notes": self.notes,
        }
