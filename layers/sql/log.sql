-- The revisions of some layers, of one document or commit or of any, the newest commits first.
-- The faults of their reports are much, and are asked for by themselves.
SELECT r.layer_id, r.number, r.n_live, r.n_created, r.n_changed, r.n_retired,
       r.report - 'faults' AS report,
       c.id, c.recorded_at, c.author, c.message, c.document_id, c.simulated, c.provenance
FROM shikong.revision AS r
JOIN shikong.commit AS c ON c.id = r.commit_id
WHERE r.layer_id = ANY(CAST(:layer_ids AS text[]))
  AND (CAST(:document AS text) IS NULL OR c.document_id = :document)
  AND (CAST(:commit AS bigint) IS NULL OR c.id = :commit)
  AND (CAST(:before AS bigint) IS NULL OR c.id < :before)
ORDER BY c.id DESC, r.layer_id
LIMIT CAST(:limit AS bigint)
