"""The same work done plainly: what a publish is measured against.

Run by store.py as a process of its own: ``yardsticks.py ADDRESS SOURCE`` reads a file, copies it to
a temporary table, hashes its rows and compares them with a plain table: nothing is checked, nothing
is versioned, nothing is written. ``--load`` makes that plain table first.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pyogrio.raw
from measuring import peak_mb

_HASH = "sha256(ST_AsEWKB(geom) || convert_to(concat_ws('|', {fields}), 'UTF8'))"


def read_batches(path: str) -> Iterator[tuple[pa.Table, str]]:
    """Yield a file's rows, and the name of their geometry, which is WKB."""
    if path.endswith(".parquet"):
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(20_000):
            yield pa.Table.from_batches([batch]), "geometry"
        return
    with pyogrio.raw.open_arrow(path, batch_size=20_000, use_pyarrow=True) as (meta, reader):
        for batch in reader:
            yield pa.Table.from_batches([batch]), meta["geometry_name"] or "wkb_geometry"


def copy_file(connection: psycopg.Connection, path: str, table: str) -> list[str]:
    """Copy a file into a new temporary table as text, and return the names of its fields."""
    fields: list[str] = []
    with connection.cursor() as cursor:
        copy = None
        for rows, geometry in read_batches(path):
            if copy is None:
                fields = [n for n in rows.column_names if n not in (geometry, "fid")]
                types = {
                    f.name: "float8" if pa.types.is_floating(f.type) else "text"
                    for f in rows.schema
                }
                columns = ", ".join(f'"{n}" {types[n]}' for n in fields)
                cursor.execute(f"CREATE TEMP TABLE {table} ({columns}, geom geometry)")
                opened = cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)")
                copy = opened.__enter__()
            hexes = pa.array([v.hex() for v in rows.column(geometry).to_pylist()])
            out = io.BytesIO()
            options = pyarrow.csv.WriteOptions(include_header=False)
            pyarrow.csv.write_csv(rows.select(fields).append_column("geom", hexes), out, options)
            copy.write(out.getvalue())
        opened.__exit__(None, None, None)
    return fields


def main() -> None:
    """Compare a file with the plain table, or make the plain table from it."""
    dsn, path, key = sys.argv[1:4]
    with psycopg.connect(dsn) as connection:
        fields = copy_file(connection, path, "staged")
        hashed = _HASH.format(fields=", ".join(f'"{f}"' for f in fields))
        connection.execute(
            f'CREATE TEMP TABLE hashed AS SELECT "{key}" AS key, {hashed} AS hash FROM staged'
        )
        connection.execute("ANALYZE hashed")
        if "--load" in sys.argv:
            connection.execute("DROP TABLE IF EXISTS plain")
            connection.execute("CREATE TABLE plain AS SELECT * FROM hashed")
            connection.execute("ALTER TABLE plain ADD PRIMARY KEY (key)")
            connection.execute("ANALYZE plain")
        found = connection.execute(
            "SELECT count(*) FROM hashed FULL JOIN plain USING (key) "
            "WHERE hashed.hash IS DISTINCT FROM plain.hash"
        ).fetchone()
    print(json.dumps({"differ": found[0] if found else None, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
