"""Pure spatial analysis: GeoDataFrames, Arrow and arrays in and out; no database, no HTTP."""
