"""Features over HTTP beside the servers of others: what `benchmarks/features.py` is made of."""
