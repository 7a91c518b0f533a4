"""What a commit stages, plans and writes: rows become versions."""
