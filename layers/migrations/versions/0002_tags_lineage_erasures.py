"""Tags on commits, lineage of features, and the log of what was erased."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tag",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("commit_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.commit.id"), nullable=False),
        sa.Column("tagged_at", INSTANT, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "lineage",
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), primary_key=True),
        sa.Column("ancestor", sa.Text, primary_key=True),
        sa.Column("descendant", sa.Text, primary_key=True),
        sa.Column("at", INSTANT, primary_key=True),
        sa.Column("rev_from", sa.Integer, primary_key=True),
        sa.Column("rev_to", sa.Integer, nullable=False, server_default="2147483647"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_shikong_lineage_descendant", "lineage", ["layer_id", "descendant"], schema=SCHEMA
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), nullable=False),
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("erased_at", INSTANT, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("versions", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
