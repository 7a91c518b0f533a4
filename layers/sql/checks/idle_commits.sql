-- Commits that made no revision of any layer.
SELECT c.id
FROM shikong.commit AS c
WHERE NOT EXISTS (SELECT FROM shikong.revision AS r WHERE r.commit_id = c.id)
ORDER BY c.id
