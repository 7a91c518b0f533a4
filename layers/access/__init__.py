"""People, keys, grants and the policy over them; the database's roles; the audit."""
