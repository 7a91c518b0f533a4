"""Checks: arrays and geometries in, faults with their rows and places out; nothing is decided."""
