-- Rows of the catalogue about layers that it does not have.
SELECT told.what, told.layer_id, count(*) AS rows
FROM (
    SELECT 'layer_schema' AS what, layer_id FROM shikong.layer_schema
    UNION ALL SELECT 'revision', layer_id FROM shikong.revision
    UNION ALL SELECT 'lineage', layer_id FROM shikong.lineage
    UNION ALL SELECT 'erasure', layer_id FROM shikong.erasure
) AS told
WHERE NOT EXISTS (SELECT FROM shikong.layer AS l WHERE l.id = told.layer_id)
GROUP BY told.what, told.layer_id
ORDER BY told.what, told.layer_id
