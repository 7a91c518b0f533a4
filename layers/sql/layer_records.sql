-- Every layer that has a revision, with all its schemas, in the order of their ids.
SELECT layer.id, layer.head, layer.recorded_at, layer.visibility, every.schemas,
       -- Archives of older releases are restored before they are migrated.
       to_jsonb(layer) ->> 'department' AS department,
       coalesce(CAST(to_jsonb(layer) ->> 'pending' AS boolean), false) AS pending
FROM shikong.layer AS layer
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(since_revision, document) ORDER BY since_revision) AS schemas
    FROM shikong.layer_schema WHERE layer_id = layer.id
) AS every
WHERE layer.head > 0
ORDER BY layer.id
