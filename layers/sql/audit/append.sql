-- Adds one entry to the audit and returns its number; it holds up others until COMMIT.
SELECT shikong.audit_append(
    CAST(:actor AS text), CAST(:origin AS text), CAST(:action AS text), CAST(:layer AS text),
    CAST(:commit AS bigint), CAST(:request AS text), CAST(:detail AS jsonb)
)
