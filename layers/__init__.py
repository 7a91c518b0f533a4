"""The versioned store: the only floor that opens PostGIS."""
