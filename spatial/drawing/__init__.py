"""Stored geometries drawn on the lattice of a tile, and written as a vector tile is."""
