"""A synthetic Chinese city in CGCS2000: parcels, nested grids, two pipe networks, and cases.

Everything here is made up, from a seed: the same seed and size give the same rows. Codes, fields
and names follow the profile ``cn``; places, people and numbers are nobody's.
"""
