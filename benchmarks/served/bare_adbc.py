"""All features by ADBC into a file, and nothing else: ``bare_adbc.py ADDRESS SELECT FORMAT FILE``.

Run by `served.exports` with an environment of its own, which has ADBC, PyArrow and pyogrio.
"""

from __future__ import annotations

import json
import sys
import time

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

_GROUP = 50_000


def main() -> None:
    """Copy."""
    dsn, statement, name, out = sys.argv[1:5]
    # From here on: a server that runs has its imports behind it.
    wall, cpu = time.perf_counter(), time.process_time()
    with adbc.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        reader = cursor.fetch_record_batch()
        if name == "GeoParquet":
            write_parquet(reader, out)
        else:
            pyogrio.write_arrow(
                reader,
                out,
                driver="FlatGeobuf",
                geometry_name="geometry",
                geometry_type="MultiPolygon",
                crs="EPSG:4490",
            )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu}))


def write_parquet(reader: pa.RecordBatchReader, out: str) -> None:
    """Write batches as GeoParquet."""
    geometry = {"encoding": "WKB", "geometry_types": ["MultiPolygon"]}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    schema = reader.schema.with_metadata({"geo": json.dumps(geo)})
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in reader:
            table = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
            writer.write_table(table, row_group_size=_GROUP)


if __name__ == "__main__":
    main()
