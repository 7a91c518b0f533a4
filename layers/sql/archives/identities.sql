-- The columns of the catalogue that number their rows themselves.
SELECT c.relname AS name, a.attname AS column
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> ''
WHERE n.nspname = 'shikong' AND c.relkind = 'r'
ORDER BY c.relname
