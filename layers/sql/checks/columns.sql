-- The columns of a layer's tables, as PostgreSQL writes their types.
SELECT n.nspname AS schema, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS required
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(CAST(:schemas AS text[])) AND c.relname = :layer_id AND c.relkind = 'r'
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY n.nspname, a.attname
