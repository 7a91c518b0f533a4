"""Tiles beside the servers of others: what `benchmarks/tiling.py` is made of."""
