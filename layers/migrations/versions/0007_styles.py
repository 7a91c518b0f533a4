"""Styles of layers: a row for each change, of which the newest is in force."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0007"
down_revision = "0006"

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "style",
        sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("layer_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.layer.id"), nullable=False),
        sa.Column("title_zh", sa.Text, nullable=False),
        sa.Column("title_en", sa.Text, nullable=False),
        # NULL where the style was taken away.
        sa.Column("document", JSONB(none_as_null=True)),
        sa.Column("chosen", sa.Boolean, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_shikong_style_id", "style", ["id", "seq"], schema=SCHEMA)
    op.create_index("ix_shikong_style_layer", "style", ["layer_id", "seq"], schema=SCHEMA)
