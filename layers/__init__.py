"""The versioned store: the only floor that opens PostGIS."""

from layers.store import open_store

__all__ = ["open_store"]
