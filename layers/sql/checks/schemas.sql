-- Since which revisions the schemas of a layer hold.
SELECT since_revision FROM shikong.layer_schema WHERE layer_id = :layer_id ORDER BY since_revision
