-- The newest revision of a layer that was recorded by an instant.
SELECT max(r.number)
FROM shikong.revision AS r
JOIN shikong.commit AS c ON c.id = r.commit_id
WHERE r.layer_id = :layer_id AND c.recorded_at <= :recorded
