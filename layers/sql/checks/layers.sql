-- Every layer that the catalogue has, whether it can be read or not.
SELECT id, kind, store_format, head, recorded_at FROM shikong.layer ORDER BY id
