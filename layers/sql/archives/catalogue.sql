-- The catalogue's tables, whatever release made them, with their columns in order.
SELECT c.relname AS name, array_agg(CAST(a.attname AS text) ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'shikong' AND c.relkind = 'r' AND c.relname <> 'alembic_version'
GROUP BY c.relname
ORDER BY c.relname
