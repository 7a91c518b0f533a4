"""A synthetic Chinese city of any size, the same for the same seed: nothing in it is real."""
