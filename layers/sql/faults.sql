-- The faults that are kept with a revision; none where it has no report of rows, or an older one.
SELECT r.report -> 'faults'
FROM shikong.revision AS r
WHERE r.layer_id = :layer_id AND r.number = :number
