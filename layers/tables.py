"""The tables: the catalogue's, which Alembic owns, and each layer's live and history pair.

A layer's rows stand in four PostgreSQL schemas under the layer's own name: ``live`` (what is
believed now), ``history`` (what was believed, or is over), and ``restricted_live`` and
``restricted_history`` for the fields that never leave the store. The columns are told in
docs/decisions/0001-store.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from geoalchemy2 import Geometry
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from layers.errors import BadSchema
from layers.model import OPEN_REVISION, Field, FieldType, Layer, Schema
from layers.sorting import index_sortables
from spatial.crs import parse_crs

CATALOGUE = "shikong"
LAYER_SCHEMAS = ("live", "history", "restricted_live", "restricted_history")
INSTANT = TIMESTAMP(timezone=True, precision=6)
FOREVER = sa.literal_column("'infinity'::timestamptz", INSTANT)
EARLIEST = sa.literal_column("'-infinity'::timestamptz", INSTANT)

metadata = sa.MetaData(schema=CATALOGUE)

setting = sa.Table(
    "setting",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", JSONB, nullable=False),
)
layer = sa.Table(
    "layer",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("visibility", sa.Text, nullable=False),
    sa.Column("store_format", sa.Integer, nullable=False),
    sa.Column("head", sa.Integer, nullable=False, server_default="0"),
    sa.Column("recorded_at", INSTANT),
    sa.Column("department", sa.Text),
    sa.Column("pending", sa.Boolean, nullable=False, server_default=sa.false()),
)
layer_schema = sa.Table(
    "layer_schema",
    metadata,
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), primary_key=True),
    sa.Column("since_revision", sa.Integer, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
)
commit = sa.Table(
    "commit",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("recorded_at", INSTANT, nullable=False, unique=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("document_id", sa.Text, index=True),
    sa.Column("document_kind", sa.Text),
    sa.Column("document_date", sa.Date),
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("provenance", JSONB, nullable=False),
)
revision = sa.Table(
    "revision",
    metadata,
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("commit_id", sa.ForeignKey(commit.c.id), nullable=False, index=True),
    sa.Column("n_live", sa.BigInteger, nullable=False),
    sa.Column("n_created", sa.BigInteger, nullable=False),
    sa.Column("n_changed", sa.BigInteger, nullable=False),
    sa.Column("n_retired", sa.BigInteger, nullable=False),
    sa.Column("report", JSONB, nullable=False),
)
api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("created_by", sa.Text),
    sa.Column("expires_at", INSTANT),
    sa.Column("revoked_at", INSTANT),
    sa.Column("used_at", INSTANT),
    sa.Column("demo", sa.Boolean, nullable=False, server_default=sa.false()),
)
person = sa.Table(
    "person",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("department", sa.Text),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("seen_at", INSTANT),
    sa.Column("closed_at", INSTANT),
    sa.UniqueConstraint("issuer", "subject"),
)
session = sa.Table(
    "session",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("caller", sa.Text, nullable=False, index=True),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("expires_at", INSTANT, nullable=False),
    sa.Column("used_at", INSTANT, nullable=False),
)
_GRANTED = (
    ("role", sa.Text, False),
    # "*", "layer:ID" or "department:NAME"
    ("layers", sa.Text, False),
    # What of them: rows of a division, or within an area (WKB, CRS84); fields; a time in the world
    ("division", sa.Text, True),
    ("area", sa.LargeBinary, True),
    ("fields", JSONB, False),
    ("seen_from", INSTANT, True),
    ("seen_to", INSTANT, True),
    # When the permission itself holds
    ("begins_at", INSTANT, True),
    ("ends_at", INSTANT, True),
    ("reason", sa.Text, False),
)


def _granted() -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name, kind, nullable in _GRANTED]


application = sa.Table(
    "application",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("applicant", sa.Text, nullable=False, index=True),
    *_granted(),
    sa.Column("made_at", INSTANT, nullable=False),
    sa.Column("decision", sa.Text),
    sa.Column("decided_at", INSTANT),
    sa.Column("decided_by", sa.Text),
    sa.Column("answer", sa.Text),
)
permission = sa.Table(
    "permission",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    # "person:ID", "key:ID" or "department:NAME"
    sa.Column("grantee", sa.Text, nullable=False, index=True),
    *_granted(),
    sa.Column("application_id", sa.ForeignKey(application.c.id)),
    sa.Column("given_at", INSTANT, nullable=False),
    sa.Column("given_by", sa.Text, nullable=False),
    sa.Column("taken_at", INSTANT),
    sa.Column("taken_by", sa.Text),
)
tag = sa.Table(
    "tag",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("commit_id", sa.ForeignKey(commit.c.id), nullable=False),
    sa.Column("tagged_at", INSTANT, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
lineage = sa.Table(
    "lineage",
    metadata,
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), primary_key=True),
    sa.Column("ancestor", sa.Text, primary_key=True),
    sa.Column("descendant", sa.Text, primary_key=True),
    sa.Column("at", INSTANT, primary_key=True),
    sa.Column("rev_from", sa.Integer, primary_key=True),
    sa.Column("rev_to", sa.Integer, nullable=False, server_default=str(OPEN_REVISION)),
    sa.Index("ix_shikong_lineage_descendant", "layer_id", "descendant"),
)
erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), nullable=False),
    sa.Column("feature", sa.Text, nullable=False),
    sa.Column("erased_at", INSTANT, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("versions", sa.Integer, nullable=False),
)
# The files of raster layers, by their SHA-256, in pieces; scenes name them (layers.rasters).
raster = sa.Table(
    "raster",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
)
raster_piece = sa.Table(
    "raster_piece",
    metadata,
    sa.Column("sha256", sa.ForeignKey(raster.c.sha256), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
# Only added to: of the rows of an id the newest is in force.
style = sa.Table(
    "style",
    metadata,
    sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), nullable=False),
    sa.Column("title_zh", sa.Text, nullable=False),
    sa.Column("title_en", sa.Text, nullable=False),
    sa.Column("document", JSONB(none_as_null=True)),
    sa.Column("chosen", sa.Boolean, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("written_at", INSTANT, nullable=False),
    sa.Index("ix_shikong_style_id", "id", "seq"),
    sa.Index("ix_shikong_style_layer", "layer_id", "seq"),
)
# Only added to: of the rows of a layer and name the newest is in force.
mapping = sa.Table(
    "mapping",
    metadata,
    sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("layer_id", sa.ForeignKey(layer.c.id), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", JSONB, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("written_at", INSTANT, nullable=False),
    sa.Index("ix_shikong_mapping_name", "layer_id", "name", "seq"),
)
# Only added to, by the function shikong.audit_append (migration 0004); nothing refers to it, and it
# refers to nothing: what is gone elsewhere stays here.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", INSTANT, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("layer", sa.Text),
    sa.Column("commit_id", sa.BigInteger),
    sa.Column("request", sa.Text),
    sa.Column("detail", JSONB, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("ix_shikong_audit_at", "at", "seq"),
    sa.Index("ix_shikong_audit_actor", "actor", "seq"),
    sa.Index("ix_shikong_audit_layer", "layer", "seq"),
)

# 2: NULL fields contribute nothing to a row's hash (1: they did). 3: sortables have indexes.
# 4: and so have the periods of history.
STORE_FORMAT = 4
_TYPES: dict[FieldType, type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]] = {
    FieldType.TEXT: sa.Text,
    FieldType.INTEGER: sa.BigInteger,
    FieldType.NUMBER: sa.Double,
    FieldType.BOOLEAN: sa.Boolean,
    FieldType.DATE: sa.Date,
    FieldType.INSTANT: INSTANT,
}
# With two signs more, a field's id of 60 bytes still fits PostgreSQL's 63.
_LETTERS = {
    FieldType.TEXT: "t",
    FieldType.INTEGER: "i",
    FieldType.NUMBER: "n",
    FieldType.BOOLEAN: "b",
    FieldType.DATE: "d",
    FieldType.INSTANT: "w",
}


@dataclass(frozen=True, slots=True)
class Family:
    """A live table and its history: the open fields of a layer, or its restricted ones.

    A column goes by its field's id while the schema in force has that field. The columns of fields
    that were retired stay, under `former` keys, and go wherever their row goes.

    Attributes
    ----------
    fields : tuple of Field
        Those of the schema in force.
    former : tuple of (str, FieldType)
        Keys and types of the columns of fields that are not in it.
    """

    live: sa.Table
    history: sa.Table
    fields: tuple[Field, ...]
    former: tuple[tuple[str, FieldType], ...]
    spatial: bool

    @property
    def content(self) -> tuple[str, ...]:
        """Keys of the columns that say what a version is, the geometry last."""
        names = tuple(f.id for f in self.fields)
        return (*names, "_geom") if self.spatial else names

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of all columns, those of the versioning first."""
        return (*SYSTEM_COLUMNS, *self.content, *(key for key, _ in self.former))

    @property
    def typed(self) -> tuple[tuple[str, FieldType], ...]:
        """Keys and types of the columns of all fields that ever were."""
        return (*((f.id, f.type) for f in self.fields), *self.former)


SYSTEM_COLUMNS = (
    "_fid",
    "_rev_from",
    "_rev_to",
    "_rev_closed",
    "_valid_from",
    "_valid_to",
    "_hash",
)


@dataclass(frozen=True, slots=True)
class LayerTables:
    """The families of one layer: open always, restricted where the schema has such fields."""

    open: Family
    restricted: Family | None

    @property
    def families(self) -> tuple[Family, ...]:
        """Both families, or the one there is."""
        return (self.open,) if self.restricted is None else (self.open, self.restricted)


def check_layer_id(text: str) -> str:
    """Return the layer id if it can be one (it names tables and stands in addresses).

    Raises
    ------
    BadSchema
        Where it is anything but lower-case letters, digits and ``_``, at most 48 of them.

    Examples
    --------
    >>> check_layer_id("pipe_nodes")
    'pipe_nodes'
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", text):
        raise BadSchema(
            f"{text!r} can't be a layer id; lower-case letters, digits and _, at most 48, "
            "beginning with a letter (titles may be in any script)"
        )
    return text


def srid_of(schema: Schema) -> int:
    """Return the number by which PostGIS knows the schema's reference system.

    Stored coordinates are always x east, y north; OGC:CRS84 is therefore PostGIS's 4326.

    >>> from layers.schemas.documents import parse_schema
    >>> srid_of(parse_schema({"title": "t", "geometry": "Point", "crs": "OGC:CRS84"}))
    4326
    """
    srid = _srid(schema.crs)
    if srid is None:
        raise BadSchema(f"crs = {schema.crs!r} has no EPSG code; store in one that has")
    return srid


@lru_cache(maxsize=256)
def _srid(crs: str) -> int | None:
    authority = parse_crs(crs).to_authority()
    if authority == ("OGC", "CRS84"):
        return 4326
    return None if authority is None or authority[0] != "EPSG" else int(authority[1])


# Kept: SQLAlchemy knows a statement again only where it is about the same Table objects.
@lru_cache(maxsize=512)
def layer_tables(
    layer_id: str, schema: Schema, schemas: tuple[tuple[int, Schema], ...] = ()
) -> LayerTables:
    """Return the tables of a layer as SQLAlchemy knows them; nothing is created.

    Parameters
    ----------
    schema : Schema
        In force: its fields' ids are the keys of the tables' columns.
    schemas : tuple of (int, Schema)
        All that the layer ever had; just this one where absent.
    """
    every = tuple(s for _, s in schemas) or (schema,)
    open_family = _family(layer_id, schema, every, restricted=False)
    if not any(s.restricted for s in every):
        return LayerTables(open_family, None)
    return LayerTables(open_family, _family(layer_id, schema, every, restricted=True))


def tables_of(record: Layer) -> LayerTables:
    """Return the tables of a layer that the catalogue has."""
    return layer_tables(record.id, record.schema, record.schemas)


def column_type(field: Field) -> sa.types.TypeEngine[Any]:
    """Return the column type of a field."""
    return sa.types.to_instance(_TYPES[field.type])


def _family(
    layer_id: str, schema: Schema, every: tuple[Schema, ...], *, restricted: bool
) -> Family:
    fields = schema.restricted if restricted else schema.stored
    names = _column_names([s.restricted if restricted else s.stored for s in every])
    current = {(f.id, f.type) for f in fields}
    columns = [_Column(names[f.id, f.type], f.id, f.type) for f in fields]
    former = [
        _Column(name, f"former {name}", kind)
        for (field_id, kind), name in names.items()
        if (field_id, kind) not in current
    ]
    shape = None if restricted else (schema.geometry, srid_of(schema))
    prefix = "restricted_" if restricted else ""
    pair = _pair(layer_id, prefix, (*columns, *former), shape)
    if schema.division is not None and not restricted:
        _index_division(pair[0], schema.division)
    if not restricted:
        index_sortables(pair[0], schema, sort_index_prefix(pair[0]))
    return Family(*pair, fields, tuple((c.key, c.kind) for c in former), not restricted)


@dataclass(frozen=True, slots=True)
class _Column:
    """A field's column: its name in PostgreSQL, its key here, its type."""

    name: str
    key: str
    kind: FieldType


def _column_names(every: list[tuple[Field, ...]]) -> dict[tuple[str, FieldType], str]:
    """The columns of all fields that ever were: a type is never changed in place.

    A field of another type under an old id has a column of its own, which begins as no id can.
    """
    names: dict[tuple[str, FieldType], str] = {}
    for f in (f for fields in every for f in fields):
        taken = {field_id for field_id, _ in names}
        name = f"_{_LETTERS[f.type]}_{f.id}" if f.id in taken else f.id
        names.setdefault((f.id, f.type), name)
    return names


def _pair(
    layer_id: str,
    prefix: str,
    columns: tuple[_Column, ...],
    shape: tuple[str, int] | None,
) -> tuple[sa.Table, sa.Table]:
    meta = sa.MetaData()
    live = _table(meta, layer_id, f"{prefix}live", columns, shape)
    history = _table(meta, layer_id, f"{prefix}history", columns, shape)
    _index_live(live, shape is not None)
    _index_history(history, shape is not None)
    return live, history


def _table(
    meta: sa.MetaData,
    layer_id: str,
    pg_schema: str,
    columns: tuple[_Column, ...],
    shape: tuple[str, int] | None,
) -> sa.Table:
    geometry = [] if shape is None else [sa.Column("_geom", _geometry_type(*shape))]
    open_revision = str(OPEN_REVISION)
    return sa.Table(
        layer_id,
        meta,
        sa.Column("_fid", sa.Text, nullable=False),
        sa.Column("_rev_from", sa.Integer, nullable=False),
        sa.Column("_rev_to", sa.Integer, nullable=False, server_default=open_revision),
        sa.Column("_rev_closed", sa.Integer, nullable=False, server_default=open_revision),
        sa.Column("_valid_from", INSTANT, nullable=False),
        sa.Column("_valid_to", INSTANT, nullable=False, server_default=sa.text("'infinity'")),
        sa.Column("_hash", sa.LargeBinary, nullable=False),
        *(sa.Column(c.name, sa.types.to_instance(_TYPES[c.kind]), key=c.key) for c in columns),
        *geometry,
        sa.CheckConstraint("_valid_from < _valid_to"),
        sa.CheckConstraint("_rev_from < _rev_to AND _rev_from <= _rev_closed"),
        # An end is known just where a revision made it known.
        sa.CheckConstraint(f"(_valid_to = 'infinity') = (_rev_closed = {open_revision})"),
        schema=pg_schema,
        # Half a page free lets a version be closed in place, which keeps the Hilbert order.
        postgresql_with={"fillfactor": 85},
    )


def temporary_table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """Return a table of one transaction, which goes with it however it ends."""
    return sa.Table(
        name, sa.MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP"
    )


def geometry_type(schema: Schema) -> Geometry:
    """Return the geometry column type of a schema (indexed apart, never by GeoAlchemy itself)."""
    return _geometry_type(schema.geometry, srid_of(schema))


def _geometry_type(name: str, srid: int) -> Geometry:
    dimension = 3 if name.endswith("Z") else 2
    return Geometry(name.upper(), srid=srid, dimension=dimension, spatial_index=False)


def _index_name(table: sa.Table) -> str:
    # No layer id begins so, and within PostgreSQL's 63 bytes there is room for the longest of them.
    return f"_{table.name}"


def sort_index_prefix(live: sa.Table) -> str:
    """Return how the names of the indexes begin that have a live table's rows in order.

    With the 8 signs that follow, PostgreSQL's 63 bytes are full for the longest layer id.
    """
    return f"{_index_name(live)}_sort_"


def _index_live(table: sa.Table, spatial: bool) -> None:
    c, name = table.c, _index_name(table)
    sa.Index(f"{name}_pk", c._fid, c._valid_from, unique=True)
    sa.Index(f"{name}_current", c._fid, unique=True, postgresql_where=c._valid_to == FOREVER)
    sa.Index(f"{name}_rev_from", c._rev_from)
    sa.Index(f"{name}_ending", c._valid_to, postgresql_where=c._valid_to != FOREVER)
    if spatial:
        sa.Index(f"{name}_geom", c._geom, postgresql_using="gist")


def _index_history(table: sa.Table, spatial: bool) -> None:
    c, name = table.c, _index_name(table)
    sa.Index(f"{name}_fid", c._fid, c._valid_from)
    sa.Index(f"{name}_rev_from", c._rev_from)
    sa.Index(f"{name}_rev_closed", c._rev_closed)
    sa.Index(f"{name}_rev_to", c._rev_to, postgresql_where=c._rev_to < OPEN_REVISION)
    # What begins or ends within a short time: rows come about in its order, and the index is small.
    ranges = {"pages_per_range": 32, "autosummarize": True}
    periods = (c._valid_from, c._valid_to)
    sa.Index(f"{name}_valid", *periods, postgresql_using="brin", postgresql_with=ranges)
    if spatial:
        known = believed_range(table)
        valid = sa.func.tstzrange(c._valid_from, c._valid_to)
        sa.Index(f"{name}_geom", c._geom, known, valid, postgresql_using="gist")


def _index_division(live: sa.Table, division: str) -> None:
    """Counties read by prefix, in whatever order the database sorts text."""
    operators = {division: "text_pattern_ops"}
    name = f"{_index_name(live)}_division"
    sa.Index(name, live.c[division], postgresql_ops=operators)


def believed_range(table: sa.Table) -> sa.ColumnElement[object]:
    """Return the revisions in which a row was believed to have no end, as a range."""
    c = table.c
    return sa.func.int4range(c._rev_from, sa.func.least(c._rev_closed, c._rev_to))
