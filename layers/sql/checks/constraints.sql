-- The CHECK constraints of a layer's tables that hold for every row.
SELECT n.nspname AS schema, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(CAST(:schemas AS text[])) AND c.relname = :layer_id AND k.contype = 'c' AND k.convalidated
ORDER BY n.nspname, k.conname
