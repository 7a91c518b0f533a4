"""The catalogue: settings, layers and their schemas, commits and revisions, API keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001"
down_revision = None

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "setting",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", JSONB, nullable=False),
        schema=SCHEMA,
    )
    _layers()
    _commits()
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        schema=SCHEMA,
    )


def _layers() -> None:
    op.create_table(
        "layer",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("store_format", sa.Integer, nullable=False),
        sa.Column("head", sa.Integer, nullable=False, server_default="0"),
        sa.Column("recorded_at", INSTANT),
        schema=SCHEMA,
    )
    op.create_table(
        "layer_schema",
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), primary_key=True),
        sa.Column("since_revision", sa.Integer, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
        schema=SCHEMA,
    )


def _commits() -> None:
    op.create_table(
        "commit",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("recorded_at", INSTANT, nullable=False, unique=True),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("document_id", sa.Text),
        sa.Column("document_kind", sa.Text),
        sa.Column("document_date", sa.Date),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("provenance", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_commit_document_id", "commit", ["document_id"], schema=SCHEMA)
    op.create_table(
        "revision",
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("commit_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.commit.id"), nullable=False),
        *(
            sa.Column(f"n_{n}", sa.BigInteger, nullable=False)
            for n in ("live", "created", "changed", "retired")
        ),
        sa.Column("report", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_revision_commit_id", "revision", ["commit_id"], schema=SCHEMA)
