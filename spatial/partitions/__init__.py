"""Assignment file by file: GeoParquet in, Parquet out, in this process or spread over many."""
