"""The files of raster layers, by their SHA-256, in pieces that are read and written one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "shikong"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "raster",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "raster_piece",
        sa.Column("sha256", sa.Text, sa.ForeignKey(f"{SCHEMA}.raster.sha256"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    # The pieces are compressed as they are.
    op.execute("ALTER TABLE shikong.raster_piece ALTER COLUMN content SET STORAGE EXTERNAL")
