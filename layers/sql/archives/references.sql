-- Which tables of the catalogue must be filled before which.
SELECT child.relname AS name, parent.relname AS needs
FROM pg_constraint AS k
JOIN pg_class AS child ON child.oid = k.conrelid
JOIN pg_class AS parent ON parent.oid = k.confrelid
JOIN pg_namespace AS n ON n.oid = child.relnamespace
WHERE n.nspname = 'shikong' AND k.contype = 'f' AND child.oid <> parent.oid
ORDER BY child.relname, parent.relname
