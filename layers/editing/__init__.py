"""Edits and reverts: features as timelines, changed in Python, and staged."""
