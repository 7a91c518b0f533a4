"""Sortables: each has an index, in every store, that serves its order; and no more than these."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from publishing import EVERYTHING, WRITER, counts, points, publish, schema_of

from layers import migrations, tables
from layers.errors import BadSchema, SchemaConflict
from layers.keeping.verify import verify
from layers.model import Mode, Schema
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema, schema_document, write_schema
from layers.sorting import LONGEST, sort_key
from layers.store import Store

LONG_ID = "l" + "o" * 47
# Twenty letters of three bytes: as long as a field's id may be.
CHINESE = "宗地坐落街道门牌号码所在乡镇村组名称全文"
LETTERS = "f" * 60
FIELDS = (
    {"id": CHINESE, "role": "label"},
    {"id": LETTERS, "type": "number", "indexed": True},
    {"id": "at", "type": "instant", "indexed": True},
    {"id": "plain"},
    {"id": "owner", "visibility": "restricted", "role": "label"},
)
SORTED = {"no", CHINESE, LETTERS, "at"}


def fill(store: Store, layer_id: str = "t", schema: Schema | None = None, **columns: Any) -> None:
    rows = {"no": list("abc"), "plain": list("xyz"), CHINESE: ["乙", "甲", None]} | columns
    publish(store, layer_id, points(**rows), schema or schema_of(*FIELDS))


def indexes(store: Store, layer_id: str = "t") -> dict[str, str]:
    """The columns whose order an index of the live table has, with the index's name."""
    record = store.layer(layer_id, EVERYTHING).record
    live = tables.tables_of(record).open.live
    query = sa.text(
        "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = 'live' AND tablename = :layer_id AND indexname LIKE '%!_sort!_%' "
        "ESCAPE '!'"
    )
    with store.database.inspect() as connection:
        rows = connection.execute(query, {"layer_id": layer_id}).all()
    return {c.key: r.indexname for r in rows for c in live.c if _names(r.indexdef, c.name)}


def _names(definition: str, column: str) -> bool:
    inside = definition.partition(" (")[2]
    return inside.lstrip("(").startswith((column, f'"left"({column}', f'"left"("{column}"'))


def plan_of(store: Store, name: str) -> str:
    """How the database finds the first rows in the order of a field."""
    record = store.layer("t", EVERYTHING).record
    live = tables.tables_of(record).open.live
    f = record.schema.find(name)
    assert f is not None
    ordered = sa.select(live.c._fid).order_by(
        sort_key(f, live.c[name]), live.c._fid, live.c._valid_from
    )
    with store.database.inspect() as connection:
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        text = ordered.limit(3).compile(connection, compile_kwargs={"literal_binds": True})
        return "\n".join(connection.scalars(sa.text(f"EXPLAIN {text}")))


def test_which_fields_are_sortable() -> None:
    schema = schema_of(*FIELDS)
    assert {f.id for f in schema.sortables} == SORTED
    event = parse_schema(
        {
            "kind": "event",
            "title": "t",
            "geometry": "Point",
            "fields": [
                {"id": "at", "type": "instant", "role": "event-start"},
                {"id": "since", "type": "instant", "role": "valid-from"},
                {"id": "class", "role": "code"},
                {"id": "area", "type": "number", "role": "area"},
            ],
        }
    )
    assert [f.id for f in event.sortables] == ["at", "class"]


@pytest.mark.parametrize(
    "field",
    [
        {"id": "a", "indexed": True, "visibility": "restricted"},
        {"id": "a", "indexed": True, "type": "instant", "role": "valid-to"},
    ],
)
def test_what_can_not_be_indexed(field: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="field a: only fields"):
        schema_of(field)


def test_a_schema_says_again_what_it_said() -> None:
    schema = schema_of(
        *FIELDS,
        theme={"id": "cadastre", "en": "Cadastre", "zh": "地籍"},
        owner={"en": "Land office", "zh": "自然资源局"},
        license="https://opendatacommons.org/licenses/pddl/1-0/",
    )
    assert parse_schema(schema_document(schema)) == schema
    assert 'theme = { "id" = "cadastre"' in write_schema(schema)
    assert schema_of(theme="pipes").theme == schema_of(theme={"id": "pipes"}).theme


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"theme": "Cadastre"}, "theme"),
        ({"theme": {"en": "Cadastre"}}, "theme"),
        ({"theme": {"id": "cadastre", "fr": "Cadastre"}}, "theme"),
        ({"theme": 7}, "theme"),
        ({"owner": 7}, "owner"),
        ({"license": "ODC PDDL"}, "license"),
        ({"license": "javascript:alert(1)"}, "license"),
        ({"license": ["https://a.example/"]}, "license"),
    ],
)
def test_what_a_theme_an_owner_and_a_license_can_not_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        schema_of(**changes)


@pytest.mark.parametrize("layer_id", ["t", LONG_ID])
def test_every_sortable_has_an_index_whose_name_fits(store: Store, layer_id: str) -> None:
    fill(store, layer_id)
    found = indexes(store, layer_id)
    assert set(found) == SORTED
    assert all(len(name.encode()) <= 63 for name in found.values())
    assert verify(store.database) == []


@pytest.mark.parametrize("name", sorted(SORTED))
def test_the_index_serves_the_order(store: Store, name: str) -> None:
    fill(store)
    plan = plan_of(store, name)
    assert indexes(store)[name] in plan
    assert "Sort" not in plan


def test_a_text_of_any_length_can_be_indexed(store: Store) -> None:
    # No compression makes these short.
    texts = ["".join(chr(0x4E00 + (n * n * 7919 + k) % 20000) for n in range(5000)) for k in (1, 2)]
    fill(store, **{CHINESE: [*texts, texts[0][:LONGEST] + "之后"]})
    assert set(indexes(store)) == SORTED
    assert indexes(store)[CHINESE] in plan_of(store, CHINESE)


def test_a_schema_change_makes_and_drops_indexes(store: Store) -> None:
    fill(store)
    fields = [
        {"id": CHINESE},
        {"id": LETTERS, "type": "text", "indexed": True},
        {"id": "at", "type": "instant", "indexed": True},
        {"id": "plain", "role": "code"},
        {"id": "fresh", "type": "integer", "indexed": True},
        {"id": "owner", "visibility": "restricted", "role": "label"},
    ]
    before = indexes(store)
    store.commit({"t": SchemaChange(schema_of(*fields))}, WRITER, "others are sortable")
    after = indexes(store)
    assert set(after) == {"no", LETTERS, "at", "plain", "fresh"}
    assert after["at"] == before["at"]
    # Another type under an old name has a column, and an index, of its own.
    assert after[LETTERS] != before[LETTERS]
    assert verify(store.database) == []
    again = publish(store, "t", points(no=list("abc"), plain=["x", "y", "w"]), mode=Mode.UPSERT)
    assert counts(again) == (0, 1, 0)


def test_a_file_with_another_index_or_owner_is_no_other_schema(store: Store) -> None:
    fill(store)
    fields = [{"id": "plain", "indexed": True}, *FIELDS[:3], FIELDS[4]]
    with pytest.raises(SchemaConflict, match="fields"):
        fill(store, schema=schema_of(*fields))
    fields = [*FIELDS[:3], {"id": "plain", "indexed": True}, FIELDS[4]]
    fill(store, schema=schema_of(*fields, theme="pipes", owner="Water works"))
    assert set(indexes(store)) == SORTED


def test_a_store_without_the_indexes_gets_them(store: Store) -> None:
    fill(store)
    lacking = indexes(store)
    with closing(store.database.owning.raw_connection()) as raw, raw.cursor() as cursor:
        for name in lacking.values():
            cursor.execute(f'DROP INDEX live."{name}"')
        cursor.execute("UPDATE shikong.layer SET store_format = 2")
        raw.commit()
    assert len(verify(store.database)) == len(SORTED) + 1
    with store.database.own() as connection:
        migrations.migrate(connection)
    assert indexes(store) == lacking
    assert verify(store.database) == []


def test_text_is_in_the_order_of_code_points(store: Store) -> None:
    letters = ["b", "B", "é", "a", "乙", "Z", "10", "9"]
    schema = schema_of({"id": "name", "role": "label"})
    publish(store, "t", points(no=list("12345678"), name=letters), schema)
    live = tables.tables_of(store.layer("t", EVERYTHING).record).open.live
    ordered = sa.select(live.c.name).order_by(sort_key(schema.fields[1], live.c.name))
    with store.database.inspect() as connection:
        assert list(connection.scalars(ordered)) == sorted(letters)
