"""Rasters: GeoTIFFs on their way into the store as scenes of a layer, and their files out of it."""
