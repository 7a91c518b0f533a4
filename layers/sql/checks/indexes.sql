-- The indexes of a layer's tables that can be used.
SELECT n.nspname AS schema, x.relname AS name, i.indisunique AS is_unique
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(CAST(:schemas AS text[])) AND c.relname = :layer_id AND i.indisvalid AND i.indisready
ORDER BY n.nspname, x.relname
