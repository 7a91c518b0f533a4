"""The audit: rows that are only added, each with the hash of the row before it.

The encoding that is hashed is told in docs/audit.md, and done again in `layers.access.chain`.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0004"
down_revision = "0003"

SCHEMA = "shikong"
INSTANT = TIMESTAMP(timezone=True, precision=6)

# One writer after the other, from the look at the last row through COMMIT: no gaps, no forks.
# A clock that is set back must not spoil a chain that nobody can mend: never earlier than before.
# Nothing in it may hang on a setting of the session that calls it: no escapes, no dates as text.
_APPEND = """
CREATE FUNCTION shikong.audit_append(
    actor text, origin text, action text, layer text, commit_id bigint, request text, detail jsonb
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    number bigint;
    moment timestamptz;
    before bytea;
    said bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(1096107081);
    SELECT a.seq + 1, greatest(clock_timestamp(), a.at), a.hash INTO number, moment, before
    FROM shikong.audit AS a ORDER BY a.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        number := 1;
        moment := clock_timestamp();
        before := decode(repeat('00', 32), 'hex');
    END IF;
    SELECT string_agg(
        CASE WHEN f.value IS NULL THEN decode('00', 'hex') ELSE
            decode('01', 'hex') || int8send(octet_length(convert_to(f.value, 'UTF8')))
            || convert_to(f.value, 'UTF8')
        END, ''::bytea ORDER BY f.place
    ) INTO said
    FROM unnest(ARRAY[
        number::text, to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        actor, origin, action, layer, commit_id::text, request, detail::text
    ]) WITH ORDINALITY AS f(value, place);
    INSERT INTO shikong.audit
        (seq, at, actor, origin, action, layer, commit_id, request, detail, previous, hash)
    VALUES (
        number, moment, actor, origin, action, layer, commit_id, request, detail, before,
        sha256(before || said)
    );
    RETURN number;
END
$function$
"""
_REFUSE = """
CREATE FUNCTION shikong.audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RAISE EXCEPTION 'the audit is only added to: no % of it', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$function$
"""
# Of the statement, so that one that would find no row is refused too.
_TRIGGER = """
CREATE TRIGGER audit_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON shikong.audit
FOR EACH STATEMENT EXECUTE FUNCTION shikong.audit_refuse()
"""


def upgrade() -> None:
    """Create the table, the one way into it, and what keeps it as it is."""
    op.create_table(
        "audit",
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
        schema=SCHEMA,
    )
    for column in ("at", "actor", "layer"):
        op.create_index(f"ix_shikong_audit_{column}", "audit", [column, "seq"], schema=SCHEMA)
    op.execute(_APPEND)
    op.execute("REVOKE ALL ON FUNCTION shikong.audit_append FROM PUBLIC")
    op.execute(_REFUSE)
    op.execute(_TRIGGER)
    # Also in sessions that have ordinary triggers off.
    op.execute("ALTER TABLE shikong.audit ENABLE ALWAYS TRIGGER audit_only_added_to")
    op.execute("REVOKE ALL ON shikong.audit FROM PUBLIC")
