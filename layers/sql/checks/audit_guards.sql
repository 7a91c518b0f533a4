-- What would let the audit be altered: rights that no role of the application may have, and a
-- trigger that is not as the migration made it (58: before update, delete and truncate).
SELECT format('role %s may %s it', r.rolname, lower(p.name)) AS fault
FROM pg_roles AS r
CROSS JOIN unnest(
    ARRAY['INSERT', 'UPDATE', 'REFERENCES', 'DELETE', 'TRUNCATE', 'TRIGGER']
) WITH ORDINALITY AS p(name, place)
WHERE r.rolname = ANY(CAST(:roles AS text[]))
AND CASE
    WHEN p.place <= 3 THEN has_any_column_privilege(r.oid, 'shikong.audit', p.name)
    ELSE has_table_privilege(r.oid, 'shikong.audit', p.name)
END
UNION ALL
SELECT 'its trigger audit_only_added_to is gone, off or another'
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t
    WHERE t.tgrelid = CAST('shikong.audit' AS regclass) AND t.tgname = 'audit_only_added_to'
    AND t.tgenabled = 'A' AND t.tgtype = 58 AND t.tgqual IS NULL
    AND t.tgfoid = CAST('shikong.audit_refuse' AS regproc)
)
ORDER BY 1
