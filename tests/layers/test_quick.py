"""Single statements on lines of their own: in a thread or in an event loop, and what breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from layers.quick import Quick
from tests.databases import Databases

_TYPES = "SELECT $1::integer, $2::text, $3::timestamptz, $4::float8, ARRAY[$3::timestamptz, NULL]"
_VALUES = (70_000, "it's \\ “要素”", datetime(2014, 5, 14, 4, 0, 0, 5, tzinfo=UTC), 0.1)
_WORKING = "SELECT count(*) FROM pg_stat_activity WHERE query = %s AND state = 'active'"


@pytest.fixture(scope="module")
def dsn(empty_template: str, make_database: Databases) -> str:
    return make_database(empty_template)


@pytest.fixture
def quick(dsn: str) -> Iterator[Quick]:
    with closing(Quick(dsn, "-c client_connection_check_interval=500ms -c timezone=UTC")) as made:
        yield made


def test_values_are_the_same_both_ways(quick: Quick) -> None:
    told = [(*_VALUES, [_VALUES[2], None])]
    assert quick.execute(_TYPES, _VALUES) == told
    assert asyncio.run(quick.execute_soon(_TYPES, _VALUES)) == told
    none = (None,) * 4
    assert quick.execute(_TYPES, none) == asyncio.run(quick.execute_soon(_TYPES, none))


def test_many_ask_at_once_and_each_gets_its_own(quick: Quick) -> None:
    async def ask(number: int) -> None:
        text = "SELECT $1::integer, pg_sleep(0.02 * ($1::integer % 3))::text"
        assert (await quick.execute_soon(text, (number,)))[0][0] == number

    async def crowd() -> None:
        await asyncio.gather(*(ask(number) for number in range(40)))

    asyncio.run(crowd())
    # Another event loop goes on with the same lines.
    asyncio.run(crowd())


def test_what_is_longer_than_a_socket_holds_goes_out_and_comes_back(quick: Quick) -> None:
    long = "要" * 3_000_000
    assert asyncio.run(quick.execute_soon("SELECT $1::text", (long,))) == [(long,)]


def test_an_error_is_told_and_the_next_statement_is_answered(quick: Quick) -> None:
    for _ in range(2):
        with pytest.raises(psycopg.errors.DivisionByZero):
            asyncio.run(quick.execute_soon("SELECT 1 / $1::integer", (0,)))
        with pytest.raises(psycopg.errors.DivisionByZero):
            quick.execute("SELECT 1 / $1::integer", (0,))
        assert quick.execute("SELECT $1::integer", (7,)) == [(7,)]


def test_what_nobody_waits_for_any_more_is_no_longer_worked_on(quick: Quick, dsn: str) -> None:
    text = "SELECT pg_sleep($1::integer)::text, 'nobody waits'"

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await quick.execute_soon(text, (60,))

    asyncio.run(give_up())
    with psycopg.connect(dsn, autocommit=True) as other:
        end = time.monotonic() + 20
        while other.execute(_WORKING, (text,)).fetchone() != (0,):
            assert time.monotonic() < end, "the database works on for nobody"
            time.sleep(0.05)
    assert asyncio.run(quick.execute_soon("SELECT $1::integer", (7,))) == [(7,)]


@pytest.mark.parametrize("soon", [False, True])
def test_a_line_that_was_cut_while_idle_is_opened_anew(quick: Quick, dsn: str, soon: bool) -> None:
    mine = "SELECT pg_backend_pid() + $1::integer"

    def ask() -> int:
        if soon:
            return int(asyncio.run(quick.execute_soon(mine, (0,)))[0][0])
        return int(quick.execute(mine, (0,))[0][0])

    first = ask()
    assert ask() == first
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
    assert ask() != first


def test_a_line_that_is_cut_at_work_is_an_error_of_operation(quick: Quick, dsn: str) -> None:
    text = "SELECT pg_sleep($1::integer)::text, 'cut at work'"

    async def cut() -> None:
        asked = asyncio.create_task(quick.execute_soon(text, (60,)))
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
            while await (await other.execute(_WORKING, (text,))).fetchone() != (1,):
                await asyncio.sleep(0.05)
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query = %s AND state = 'active'",
                (text,),
            )
        with pytest.raises(psycopg.OperationalError):
            await asked

    asyncio.run(cut())
    assert quick.execute("SELECT $1::integer", (7,)) == [(7,)]
