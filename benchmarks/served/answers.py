"""Pages, single features, counts, the past and filters: what an answer takes each server."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import psycopg

from served.bench import FLOOR, OTHERS, OURS, Bench
from served.parcels import middle_of
from served.questions import Question
from served.rows import Row, print_refusals, print_table, times

PAGES = (10, 100, 1_000, 10_000)


def measure_pages(bench: Bench) -> None:
    """Pages of items, one item and what has not changed, beside the floor and the others."""
    some = bench.samples
    rows = [
        bench.row(
            Question(f"items page of {n:,}", n), "2 x the floor + 0.3 ms; 1/8 of tipg", hand=FLOOR
        )
        for n in PAGES
        if n <= some.features
    ]
    whole = Question("page of 10 with an exact count, city-wide box", bbox=some.extent, count=True)
    rows.append(bench.row(whole, "1/5 of tipg"))
    one = Question("one item by id", 1, feature=some.some[0])
    rows.append(bench.row(one, "0.6 ms", hand=FLOOR))
    for question in (one, Question("items page of 10", 10)):
        again = dataclasses.replace(question, title=f"{question.title}, 304", unchanged=True)
        rows.append(bench.row(again, "0.15 ms", wanted=OURS))
    bench.measure(rows)
    print_costs(rows)
    print_scans(bench, rows[-1])


def print_costs(rows: Sequence[Row]) -> None:
    """Print what answers took, and what these are of each other."""
    titles = ["CPU, ms an answer", OURS, FLOOR, "of the floor", *OTHERS, "tipg of ours", "bar"]
    lines = [
        [
            row.title,
            *(row.cell(OURS), row.cell(FLOOR), row.ratio(OURS, FLOOR)),
            *(row.cell(name) for name in OTHERS),
            *(row.ratio(OTHERS[0], OURS), row.bar),
        ]
        for row in rows
    ]
    print_table(titles, lines)
    names = (OURS, FLOOR, *OTHERS)
    walls = [[row.title, *(row.cell(name, "wall") for name in names)] for row in rows]
    print_table(["by the clock, ms an answer", *names], walls)
    shares = [[row.title, *(row.cell(name, "database") for name in names)] for row in rows]
    print_table(["of it CPU of PostgreSQL, ms", *names], shares)
    print_refusals(rows)


def print_scans(bench: Bench, row: Row) -> None:
    """Print how often an answer of 304 looked into the tables of features."""
    query = (
        "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables "
        "WHERE schemaname IN ('live', 'history')"
    )
    number, wait = 100, 11  # a backend tells of its scans when it has been idle for ten seconds
    with psycopg.connect(bench.dsn, autocommit=True) as connection:
        found: list[int] = []
        for asked in (0, number):
            if asked and OURS in row.asks:
                row.asks[OURS](asked)
            time.sleep(wait)
            connection.execute("SELECT pg_stat_clear_snapshot()")
            (scans,) = connection.execute(query).fetchone() or (0,)
            found.append(int(scans))
    print(f"\n{row.title}: {found[1] - found[0]} scans of feature tables in {number + 1} answers")


def measure_past(bench: Bench) -> None:
    """A page of the past beside one of the present."""
    size = min(1_000, bench.samples.features)
    now = bench.row(Question(f"items page of {size:,}, now", size), wanted=OURS)
    edition = bench.options.versions // 2
    title = f"items page of {size:,}, as of an instant, {bench.options.versions} past versions"
    then = bench.row(Question(title, size, when=middle_of(edition), edition=edition), wanted=OURS)
    bench.measure([now, then])
    lines = [[row.title, row.cell(OURS), row.cell(OURS, "database")] for row in (now, then)]
    print_table(["CPU, ms an answer", OURS, "of it PostgreSQL"], lines)
    print(f"\nas of an instant: {times(then.of(OURS), now.of(OURS))} the present; bar 4 x")
    print_refusals([now, then])


def measure_filters(bench: Bench) -> None:
    """CQL2 filters beside the same conditions written by hand, PostgreSQL's side."""
    some, hand = bench.samples, "by hand"
    # A layer that was published by an older release has no index of it.
    kind = "an indexed" if some.indexed else "a NOT indexed"
    questions = [
        Question(f"CQL2, a range of {kind} property, 1,000 found", 1_000, between=some.codes),
        Question("CQL2, a polygon of 500 vertices", 1_000, within=some.polygon),
    ]
    rows = [bench.row(question, "1.3 x", hand=hand) for question in questions]
    bench.measure(rows)
    names = (OURS, hand, *OTHERS)
    part = "database"
    lines = [
        [row.title, *(row.cell(n, part) for n in names), row.ratio(OURS, hand, part), row.bar]
        for row in rows
    ]
    print_table(["CPU of PostgreSQL, ms an answer", *names, "of by hand", "bar"], lines)
    lines = [[row.title, *(row.cell(n) for n in names)] for row in rows]
    print_table(["CPU of both, ms an answer", *names], lines)
    print_refusals(rows)
