"""A snapshot as pictures: vector tiles of any instant."""
