-- The revisions of a layer with the commits that made them, newest first; faults are asked apart.
SELECT r.layer_id, r.number, r.n_live, r.n_created, r.n_changed, r.n_retired,
       r.report - 'faults' AS report,
       c.id, c.recorded_at, c.author, c.message, c.document_id, c.simulated, c.provenance
FROM shikong.revision AS r
JOIN shikong.commit AS c ON c.id = r.commit_id
WHERE r.layer_id = :layer_id AND r.number BETWEEN :first AND :last
ORDER BY r.number DESC
