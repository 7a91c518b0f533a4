"""Mappings of a source's columns to a layer's fields: a row each time that one is kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0008"
down_revision = "0007"

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mapping",
        sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), nullable=False),
        # Of the source without its path, or as a publisher called it.
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    own = ["layer_id", "name", "seq"]
    op.create_index("ix_shikong_mapping_name", "mapping", own, schema=SCHEMA)
