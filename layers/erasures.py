"""One feature's restricted fields, removed from all history: the law can demand it; it is logged.

Nothing else is ever lost. The open fields, the revisions and their numbers stay as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from layers import catalog
from layers.access import audit
from layers.clock import Clock
from layers.commits import stamp
from layers.database import Database
from layers.errors import BadRequest, UnknownFeature, UnknownLayer
from layers.model import Erasure, Layer
from layers.tables import erasure, setting, tables_of
from layers.writers import Writer

EPOCH = "erasure_epoch"


def erase(
    database: Database,
    clock: Clock,
    layer_id: str,
    feature_id: str,
    writer: Writer,
    reason: str,
) -> Erasure:
    """Remove every restricted value of one feature, in every revision, and log that it was done.

    The rows are deleted, and the tables vacuumed, so that the values leave the files too. Backups
    made before still hold them.

    Raises
    ------
    UnknownLayer, UnknownFeature
        Where there is none.
    BadRequest
        Where the layer has no restricted fields, or no reason is given.
    """
    if not reason.strip():
        raise BadRequest("say why: the reason stands in the log; --reason TEXT")
    with database.write() as connection:
        record = _locked(connection, layer_id)
        _refuse_unknown(connection, record, feature_id)
        family = tables_of(record).restricted
        if family is None:
            raise BadRequest(f"{layer_id} has no restricted fields; nothing was erased")
        gone = 0
        for table in (family.live, family.history):
            gone += connection.execute(sa.delete(table).where(table.c._fid == feature_id)).rowcount
        at = stamp(connection, clock, clock())
        done = Erasure(layer_id, feature_id, at, writer.name, reason, gone)
        _log(connection, done)
        # Why it was done stands in the log; a reason may name people.
        detail = {"feature": feature_id, "versions": gone}
        entry = audit.by_writer(writer, "erase", layer=layer_id, detail=detail)
        audit.append(connection, entry)
    _vacuum(database, record)
    return done


def read_erasures(connection: Connection, layer_id: str | None = None) -> list[Erasure]:
    """Return what was erased, of one layer or of all, in order."""
    c = erasure.c
    query = sa.select(c.layer_id, c.feature, c.erased_at, c.author, c.reason, c.versions)
    if layer_id is not None:
        query = query.where(c.layer_id == layer_id)
    return [Erasure(*row) for row in connection.execute(query.order_by(c.id))]


def _locked(connection: Connection, layer_id: str) -> Layer:
    record = catalog.lock_layer(connection, layer_id)
    if record is None or not record.head:
        raise UnknownLayer(f"no layer {layer_id!r}")
    return record


def _refuse_unknown(connection: Connection, record: Layer, feature_id: str) -> None:
    family = tables_of(record).open
    known = sa.or_(
        *(sa.exists().where(t.c._fid == feature_id) for t in (family.live, family.history))
    )
    if not connection.scalar(sa.select(known)):
        raise UnknownFeature(f"{record.id} has no feature {feature_id!r}")


def _log(connection: Connection, done: Erasure) -> None:
    row = {
        "layer_id": done.layer,
        "feature": done.feature,
        "erased_at": done.erased_at,
        "author": done.author,
        "reason": done.reason,
        "versions": done.versions,
    }
    connection.execute(sa.insert(erasure).values(row))
    # Part of every cache key: what was cached before is not served again.
    first = insert(setting).values(name=EPOCH, value=1)
    following = sa.func.to_jsonb(sa.cast(setting.c.value, sa.Integer) + 1)
    connection.execute(
        first.on_conflict_do_update(index_elements=[setting.c.name], set_={"value": following})
    )


def _vacuum(database: Database, record: Layer) -> None:
    family = tables_of(record).restricted
    assert family is not None  # noqa: S101 - it was there when its rows were deleted
    with database.writing.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")
        quote = outside.dialect.identifier_preparer.format_table
        for table in (family.live, family.history):
            outside.execute(sa.text(f"VACUUM {quote(table)}"))
