-- Tags of commits that are not there.
SELECT t.name, t.commit_id
FROM shikong.tag AS t
WHERE NOT EXISTS (SELECT FROM shikong.commit AS c WHERE c.id = t.commit_id)
ORDER BY t.name
