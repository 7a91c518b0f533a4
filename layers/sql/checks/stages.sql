-- Temporary tables of a publish that others can see: it drops them before it commits.
SELECT c.relname AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname LIKE 'pg\_temp\_%' AND c.relkind = 'r'
  AND c.relname ~ '^(raw|ready|wanted|touched|absent)_'
ORDER BY c.relname
