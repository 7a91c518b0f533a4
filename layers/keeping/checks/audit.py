"""Whether the audit is as it was written, and nobody may alter it."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import roles
from layers.access.audit import Head
from layers.access.chain import broken_links
from layers.database import statement
from layers.keeping.faults import Fault

_ALTERED = "somebody altered it; keep the database as it is, and compare a backup or an export"
_UNGUARDED = "find out who changed that, and set it right: docs/audit.md"


def check_audit(connection: Connection, anchor: Head | None = None) -> Iterator[Fault]:
    """Check the audit's chain, up to a head that was kept elsewhere, and what guards it."""
    there = sa.text("SELECT to_regclass('shikong.audit') IS NOT NULL")
    if not connection.scalar(there):
        # That it is missing is told with the other tables.
        return
    for link in broken_links(connection, anchor):
        yield Fault("", "audit", f"entry {link.seq}", f"{link.text}; {_ALTERED}")
    for text in connection.scalars(statement("checks/audit_guards"), {"roles": list(roles.ROLES)}):
        yield Fault("", "audit", "shikong.audit", f"{text}; {_UNGUARDED}")
