-- Every layer that has a revision, with its newest schema, in the order of their ids.
SELECT layer.id, layer.head, layer.recorded_at, layer.visibility, newest.document
FROM shikong.layer AS layer
CROSS JOIN LATERAL (
    SELECT document FROM shikong.layer_schema
    WHERE layer_id = layer.id ORDER BY since_revision DESC LIMIT 1
) AS newest
WHERE layer.head > 0
ORDER BY layer.id
