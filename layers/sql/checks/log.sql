-- The revisions of a layer, with what their commits say, where those are there.
SELECT r.number, r.commit_id, c.recorded_at, r.n_live, r.n_created, r.n_changed, r.n_retired
FROM shikong.revision AS r
LEFT JOIN shikong.commit AS c ON c.id = r.commit_id
WHERE r.layer_id = :layer_id
ORDER BY r.number
