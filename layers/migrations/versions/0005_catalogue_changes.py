"""Whoever follows the catalogue hears of every change to it: the commit, and all else.

The notice says nothing but that something changed; what, is read.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_TELL = """
CREATE OR REPLACE FUNCTION shikong.tell_catalogue_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM pg_notify('shikong_catalogue', '');
    RETURN NULL;
END
$function$
"""


def upgrade() -> None:
    """Add the triggers."""
    op.execute(_TELL)
    for table in ("layer", "layer_schema", "erasure"):
        op.execute(
            f"CREATE OR REPLACE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE "
            f"ON shikong.{table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION shikong.tell_catalogue_change()"
        )
