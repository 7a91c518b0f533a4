"""People, what they may, and whose a layer is."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0003"
down_revision = "0002"

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Create the tables, and turn the roles of keys into grants."""
    op.add_column("layer", sa.Column("department", sa.Text), schema=SCHEMA)
    pending = sa.Column("pending", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("layer", pending, schema=SCHEMA)
    _people()
    _grants()
    _keys()


def _people() -> None:
    op.create_table(
        "person",
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
        schema=SCHEMA,
    )
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_session_caller", "session", ["caller"], schema=SCHEMA)


def _granted() -> list[sa.Column[Any]]:
    return [
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("layers", sa.Text, nullable=False),
        sa.Column("division", sa.Text),
        sa.Column("area", sa.LargeBinary),
        sa.Column("fields", JSONB, nullable=False),
        sa.Column("seen_from", INSTANT),
        sa.Column("seen_to", INSTANT),
        sa.Column("begins_at", INSTANT),
        sa.Column("ends_at", INSTANT),
        sa.Column("reason", sa.Text, nullable=False),
    ]


def _grants() -> None:
    op.create_table(
        "application",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("applicant", sa.Text, nullable=False),
        *_granted(),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("decided_at", INSTANT),
        sa.Column("decided_by", sa.Text),
        sa.Column("answer", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_application_applicant", "application", ["applicant"], schema=SCHEMA)
    op.create_table(
        "permission",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("grantee", sa.Text, nullable=False),
        *_granted(),
        sa.Column("application_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.application.id")),
        sa.Column("given_at", INSTANT, nullable=False),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.Column("taken_at", INSTANT),
        sa.Column("taken_by", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_permission_grantee", "permission", ["grantee"], schema=SCHEMA)


def _keys() -> None:
    for column in (
        sa.Column("created_by", sa.Text),
        sa.Column("used_at", INSTANT),
        sa.Column("demo", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("api_key", column, schema=SCHEMA)
    # A key of 0.2 read all internal layers, or published to them too.
    op.execute(
        "INSERT INTO shikong.permission (grantee, role, layers, fields, reason, given_at, given_by)"
        " SELECT 'key:' || id, role, '*', '[\"internal\"]', 'made before 0.3', created_at,"
        " 'shikong' FROM shikong.api_key"
    )
    op.drop_column("api_key", "role", schema=SCHEMA)
