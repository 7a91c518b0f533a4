-- Commits that were not recorded later than the commit before them.
SELECT id, recorded_at, before
FROM (
    SELECT id, recorded_at, lag(recorded_at) OVER (ORDER BY id) AS before FROM shikong.commit
) AS c
WHERE recorded_at <= before
ORDER BY id
