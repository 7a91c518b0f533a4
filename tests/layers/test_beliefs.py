"""What is believed now: of one feature it is found without a look at all the others."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from publishing import START, layer, points, publish, schema_of

from layers import tables
from layers.beliefs import believed, believed_contents
from layers.store import Store

MANY = 170


def test_who_asks_of_one_feature_reads_neither_table_whole(store: Store) -> None:
    """The plan of a join with a few features: a commit of one makes it in a store of any size."""
    numbers = [f"{n:05}" for n in range(MANY)]
    wide = "x" * 3000
    publish(store, "t", points(no=numbers, a=[f"1{wide}"] * MANY), schema_of({"id": "a"}))
    later = START + timedelta(days=9)
    publish(store, "t", points(no=numbers, a=[f"2{wide}"] * MANY), valid_from=later)
    with store.database.own() as connection:
        connection.execute(sa.text("ANALYZE live.t, history.t"))
    family = tables.tables_of(layer(store, "t").record).open
    some = sa.values(sa.column("no", sa.Text), name="some").data([("00007",), ("00169",)])
    for select in (believed(family, ("_fid", "_valid_from")), believed_contents(family)):
        was = select.subquery("was")
        joined = sa.select(some.c.no, was.c._valid_from).join(was, was.c._fid == some.c.no)
        with store.database.read() as connection:
            found = connection.execute(joined).all()
            dialect = connection.dialect
            text = str(joined.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {text}")).all())
        assert sorted(found) == [(n, at) for n in ("00007", "00169") for at in (START, later)]
        assert "Seq Scan" not in plan, plan
        assert plan.count("Index Cond") == 2, plan
