"""Another PostGIS as a source: a table, a query, and nothing but reading."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest
import shapely
from publishing import START, layer, publish

from layers.batches import BATCH_ROWS
from layers.errors import BadSource
from layers.schemas.inference import Choices
from layers.sourcing.asked import Asked
from layers.sourcing.databases import DatabaseSource
from layers.store import Store
from tests.databases import Databases

TABLE = Asked(layer="land.wells")


@pytest.fixture(scope="module")
def other(empty_template: str, make_database: Databases) -> str:
    """A database of somebody, with wells in zone 40, curves and a table without shapes."""
    dsn = make_database(empty_template)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """
            CREATE SCHEMA land;
            CREATE TABLE land.wells (
                no text, n integer, depth numeric(8, 2), since date, at timestamptz, ok boolean,
                tags text[], more jsonb, "select" text, geom geometry(PointZ, 4549)
            );
            INSERT INTO land.wells
            SELECT 'W-' || i, i, i + 0.25, '2020-01-02', '2020-01-02 03:04:05Z', true,
                   ARRAY['a', 'b'], '{"a": 1}', 'x',
                   ST_SetSRID(ST_MakePoint(500000 + i, 3000000, i), 4549)
            FROM generate_series(1, 5000) AS i;
            INSERT INTO land.wells (no) VALUES ('nowhere');
            CREATE SEQUENCE land.counter;
            CREATE TABLE land.curves (no text, geom geometry);
            INSERT INTO land.curves VALUES
                ('1', ST_GeomFromEWKT('SRID=4549;CIRCULARSTRING(0 0, 1 1, 2 0)')),
                ('2', ST_GeomFromEWKT('SRID=4549;LINESTRING(0 0, 1 1)'));
            CREATE TABLE land.two (no text, a geometry, b geometry);
            CREATE TABLE land.plain (no text);
            CREATE TABLE land.mixed (geom geometry);
            INSERT INTO land.mixed VALUES (ST_GeomFromEWKT('SRID=4549;POINT(0 0)')),
                                          (ST_GeomFromEWKT('SRID=4326;POINT(0 0)'));
            """
        )
    return dsn


def test_a_table_is_read_in_batches(other: str) -> None:
    source = DatabaseSource(other, TABLE)
    batches = list(source.batches())
    assert [len(batch) for batch in batches] == [BATCH_ROWS, 5001 - BATCH_ROWS]
    assert source.crs is not None
    assert source.crs.to_epsg() == 4549
    row = {name: column[0].as_py() for name, column in batches[0].columns.items()}
    assert row == {
        "no": "W-1", "n": 1, "depth": 1.25, "since": date(2020, 1, 2),
        "at": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), "ok": True, "tags": "{a,b}",
        "more": '{"a": 1}', "select": "x",
    }  # fmt: skip
    assert batches[0].geometries is not None
    assert batches[0].geometries[0].wkt == "POINT Z (500001 3000000 1)"
    assert batches[1].geometries is not None
    assert batches[1].geometries[-1] is None


def test_it_is_published(store: Store, other: str) -> None:
    source = DatabaseSource(other, query="SELECT no, geom FROM land.wells WHERE n <= 3; ")
    report = publish(store, "t", source, valid_from=START, choices=Choices(keys=("no",)))
    assert report.created == 3
    assert layer(store, "t").at().read().geometry.iloc[0].z == 1


def test_curves(other: str) -> None:
    source = DatabaseSource(other, Asked(layer="land.curves"))
    with pytest.raises(BadSource, match="row 1 is a circular string; say --repair curves"):
        list(source.batches())
    (batch,) = DatabaseSource(other, Asked(layer="land.curves", curves=True)).batches()
    assert batch.repaired == ((1, "circular string made straight lines"),)
    assert batch.geometries is not None
    half, straight = batch.geometries
    assert shapely.get_num_coordinates(half) > 40
    assert shapely.length(half) == pytest.approx(3.14159, abs=1e-3)
    assert straight.wkt == "LINESTRING (0 0, 1 1)"


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (Asked(), "land.wells"),
        (Asked(layer="land.nothing"), "nothing"),
        (Asked(layer="land.two"), r"several geometries \(a, b\)"),
        (Asked(layer="land.mixed"), "mixes reference systems"),
        (Asked(layer='land.wells"; DROP TABLE land.wells; --'), "DROP TABLE"),
    ],
)
def test_what_is_refused(other: str, asked: Asked, match: str) -> None:
    with pytest.raises(BadSource, match=match):
        list(DatabaseSource(other, asked).batches())
    assert sum(map(len, DatabaseSource(other, TABLE).batches())) == 5001


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM land.wells",
        "WITH gone AS (DELETE FROM land.wells RETURNING *) SELECT * FROM gone",
        "SELECT 1 AS a) AS q; DELETE FROM land.wells; SELECT * FROM (SELECT 1 AS a",
        "SELECT 1 AS a) AS q; COMMIT; DELETE FROM land.wells; SELECT * FROM (SELECT 1 AS a",
        "SELECT no, setval('land.counter', 9) FROM land.wells",
        "SELECT 1 AS a, 2 AS a",
    ],
)
def test_it_only_reads(other: str, query: str) -> None:
    with pytest.raises(BadSource):
        list(DatabaseSource(other, query=query).batches())
    assert sum(map(len, DatabaseSource(other, TABLE).batches())) == 5001


def test_a_table_without_shapes(other: str) -> None:
    source = DatabaseSource(other, Asked(layer="land.plain"))
    assert (source.has_geometry, source.crs, list(source.types)) == (False, None, ["no"])


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://gis:{}@127.0.0.1:1/land",
        "postgresql://gis:{}@127.0.0.1:1/land?sslmode={}",
        "postgresql://gis:{}@[127.0.0.1/land",
        "postgresql://gis@127.0.0.1:1/land?password={}&connect_timeout=1",
    ],
)
def test_a_password_is_never_shown(address: str) -> None:
    source = DatabaseSource(address.replace("{}", "s3cret"), TABLE)
    assert "s3cret" not in source.name + repr(source)
    with pytest.raises(BadSource) as told:
        _ = source.types
    assert "s3cret" not in str(told.value)
