"""Mappings: which column is which field, as stated, as kept with the layer, and as suggested."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from publishing import counts, layer, points, publish, schema_of

from layers import tables
from layers.database import connect
from layers.errors import BadMapping
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.mapping import saved
from layers.mapping.stated import (
    NOTHING,
    Origin,
    Stated,
    parse_mapping,
    parse_pairs,
    read_mapping,
    write_mapping,
)
from layers.mapping.suggesting import Suggestion, suggest
from layers.model import Mode, Schema
from layers.publish import Reload
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writers import Permit, Verb, Writer
from tests.databases import Databases

USE = {
    "id": "use",
    "title": {"en": "Land use", "zh": "用途"},
    "codes": {"01": {"en": "Paddy", "zh": "水田"}, "02": {"en": "Dry land", "zh": "旱地"}},
}
NOTE = {"id": "note", "title": {"en": "Note", "zh": "备注"}}
SCHEMA = schema_of(USE, NOTE)
STATED = Stated({"no": Origin("编号"), "use": Origin("YT", values={"水田": "01"})})


def fields(*values: str) -> Any:
    """A frame whose columns have other names than the fields."""
    numbers = [str(n + 1) for n in range(len(values))]
    return points(编号=numbers, YT=list(values), note=["n"] * len(values))


def kept(store: Store) -> list[tuple[str, str, list[str]]]:
    """Name, author and columns of every mapping that was ever kept, the oldest first."""
    c = tables.mapping.c
    with store.database.inspect() as connection:
        rows = connection.execute(sa.select(tables.mapping).order_by(c.seq))
        return [(r.name, r.author, r.document["columns"]) for r in rows]


def suggestions(schema: Schema, **columns: list[Any]) -> list[Suggestion]:
    """What is suggested for columns of which none has a field's name."""
    source = FrameSource(points(**columns))
    mapped = saved._mapped("frame", schema, list(source.types), NOTHING, "names")
    return suggest(schema, source, mapped)


def test_stated_columns_values_and_constants_become_fields(store: Store) -> None:
    frame = fields("水田", " 水田 ", "02").drop(columns="note")
    stated = Stated({**STATED.fields, "note": Origin(constant="synthetic")})
    report = publish(store, "t", frame, SCHEMA, mapping=stated)
    read = layer(store, "t").at().read()
    assert read["no"].tolist() == ["1", "2", "3"]
    assert read["use"].tolist() == ["01", "01", "02"]
    assert set(read["note"]) == {"synthetic"}
    assert (report.findings.left_out, report.findings.lacking) == ([], [])
    told = report.document()["mapping"]
    assert (told["origin"], told["columns"]) == ("stated", {"no": "编号", "use": "YT"})


def test_what_was_stated_is_used_again_unsaid_and_told(store: Store) -> None:
    publish(store, "t", fields("水田"), SCHEMA, mapping=STATED)
    again = publish(store, "t", fields("水田", "旱地"))
    assert counts(again) == (1, 0, 0)
    assert again.mapped is not None
    assert (again.mapped.origin, again.mapped.author) == ("saved", "test")
    assert again.mapped.names == {"no": "编号", "use": "YT", "note": "note"}
    assert kept(store) == [("frame", "test", ["编号", "YT", "note"])]


def test_each_that_is_stated_anew_is_a_row_of_its_own(store: Store) -> None:
    publish(store, "t", fields("水田"), SCHEMA, mapping=STATED)
    other = Stated({**STATED.fields, "use": Origin("YT", values={"水田": "02"})})
    publish(store, "t", fields("水田"), mapping=other)
    assert layer(store, "t").at().read()["use"].tolist() == ["02"]
    # The newest is in force; said again, with something else to write, it is no new row.
    publish(store, "t", fields("水田", "水田"), mapping=other)
    assert len(kept(store)) == 2
    assert publish(store, "t", fields("水田", "水田")).nothing_to_do


def test_a_dry_run_and_a_refused_publish_keep_none(store: Store) -> None:
    publish(store, "t", fields("水田"), SCHEMA, mapping=STATED, dry_run=True)
    with pytest.raises(BadMapping):
        publish(store, "t", fields("水田"), SCHEMA, mapping=parse_pairs_of("no=nowhere"))
    assert kept(store) == []


def parse_pairs_of(*pairs: str) -> Stated:
    """As the command line says it."""
    return Stated(parse_pairs(pairs))


def test_it_is_not_used_for_a_source_of_other_columns(store: Store) -> None:
    publish(store, "t", fields("01"), SCHEMA, mapping=STATED)
    other = points(no=["1"], use=["01"], note=["n"])
    report = publish(store, "t", other)
    assert report.nothing_to_do
    assert report.mapped is not None
    assert report.mapped.origin == "names"
    assert "编号, YT, note" in (report.mapped.note or "")


def test_a_name_of_ones_own_reaches_it_from_any_source(store: Store) -> None:
    named = Stated(STATED.fields, "survey")
    publish(store, "t", FrameSource(fields("水田"), "a.shp"), SCHEMA, mapping=named)
    wider = FrameSource(fields("水田", "水田").assign(more=1), "b.shp")
    report = publish(store, "t", wider, mapping=Stated(name="survey"))
    assert counts(report) == (1, 0, 0)
    assert report.findings.left_out == ["more"]
    with pytest.raises(BadMapping, match=r"kept under that name \(survey\).*--map"):
        publish(store, "t", wider, mapping=Stated(name="nothing"))


def test_a_column_that_is_one_field_is_not_another_by_its_name(store: Store) -> None:
    """The column `use` is stated to be the note: it must not be the use as well."""
    frame = points(no=["1"], use=["free text"])
    report = publish(store, "t", frame, SCHEMA, mapping=parse_pairs_of("note=use"))
    assert report.findings.lacking == ["use"]
    read = layer(store, "t").at().read()
    assert (read["note"].tolist(), read["use"].isna().tolist()) == (["free text"], [True])


def test_who_only_edits_says_nothing_for_the_next(store: Store) -> None:
    publish(store, "t", fields("水田"), SCHEMA)
    editor = Writer("editor", permits=(Permit(frozenset((Verb.EDIT,))),))
    change = Reload(FrameSource(fields("水田", "水田")), mode=Mode.UPSERT, mapping=STATED)
    store.commit({"t": change}, editor, "edit")
    assert kept(store) == []


@pytest.mark.parametrize(
    ("stated", "match"),
    [
        ({"nope": Origin("YT")}, "no field 'nope'; it has no, use, note"),
        ({"use": Origin("yt")}, "no column 'yt'; it has 编号, YT, note"),
        ({"use": Origin("YT", values={"水田": "09"})}, "has no '09'; it has 01, 02; mend"),
        ({"use": Origin(constant="09")}, "has no '09'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    store: Store, stated: dict[str, Origin], match: str
) -> None:
    with pytest.raises(BadMapping, match=match):
        publish(store, "t", fields("01"), SCHEMA, mapping=Stated(stated))


def test_no_value_of_a_restricted_field_is_kept(store: Store) -> None:
    secret = schema_of({"id": "owner", "visibility": "restricted"})
    for origin in (Origin(constant="Zhang"), Origin("YT", values={"a": "Zhang"})):
        with pytest.raises(BadMapping, match="restricted") as refused:
            publish(store, "t", fields("a"), secret, mapping=Stated({"owner": origin}))
        assert "Zhang" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[fields.a]\ncolumn = ["x", "y"]', "one column, not x and y"),
        ('[fields.a]\ncolumn = "x"\ncolumn = "y"', "no TOML"),
        ('[fields.a]\ncolumn = "x"\nconstant = "y"', "either"),
        ("[fields.a]\nconstant = 7", "quotes"),
        ('[fields.a]\ncolum = "x"', "column or constant"),
        ('[columns]\na = "x"', "name and"),
        ('[fields.a]\nconstant = "x"\nvalues = { a = "b" }', "belong to a column"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadMapping, match=match):
        read_mapping(tmp_path / "m.toml")


def test_two_columns_for_one_field_are_refused_with_both() -> None:
    with pytest.raises(BadMapping, match="field a has two columns, x and y"):
        parse_pairs(["a=x", "a=y"])
    with pytest.raises(BadMapping, match="FIELD=COLUMN"):
        parse_pairs(["a"])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    odd = {'a "b"\\': "0\n1", "水田": "\x7f"}
    stated = Stated({"no": Origin("编 号"), "x": Origin("c", values=odd)}, "宗地.shp")
    (tmp_path / "m.toml").write_text(write_mapping(stated), encoding="utf-8")
    assert read_mapping(tmp_path / "m.toml") == stated
    assert parse_mapping({}) == NOTHING


def test_an_archive_has_them(store: Store, make_database: Databases, tmp_path: Path) -> None:
    publish(store, "t", fields("水田"), SCHEMA, mapping=STATED)
    backup(store.database, tmp_path / "whole.zip")
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, tmp_path / "whole.zip")
    with closing(open_store(dsn)) as restored:
        report = publish(restored, "t", fields("水田", "旱地"))
        assert report.mapped is not None
        assert report.mapped.origin == "saved"
        # Numbers go on where they were.
        named = Stated(STATED.fields, "again")
        publish(restored, "t", fields("水田"), mapping=named, consent=True)
        assert [row[0] for row in kept(restored)] == ["frame", "again"]
        assert verify(restored.database) == []


@pytest.mark.parametrize(
    ("title", "column"),
    [
        ({"en": "Unit number", "zh": "不动产单元号"}, "不动产单元"),  # 10 bytes of GBK
        ({"en": "Unit number", "zh": "不动产单元号"}, "不动产"),  # 10 bytes of UTF-8 hold three
        ({"en": "Unit number", "zh": "不动产单元号"}, "BDCDYH"),
        ({"en": "Unit number", "zh": "不动产单元号"}, "budongchan"),
        ({"en": "Unit number", "zh": "不动产单元号"}, "unit_numbe"),
        ({"en": "Unit number", "zh": "不动产单元号"}, "Unit Number"),
        ({"en": "x", "zh": "不动产单元号"}, "a_very_lon"),
    ],
)
def test_a_name_is_known_however_it_was_shortened(title: dict[str, str], column: str) -> None:
    schema = schema_of({"id": "a_very_long_name", "title": title})
    frame = {"no": ["1"], column: ["x"], "other": ["x"]}
    assert [(s.field, s.column) for s in suggestions(schema, **frame)] == [
        ("a_very_long_name", column)
    ]


def test_values_of_a_code_list_are_found_and_translated() -> None:
    found = suggestions(SCHEMA, no=["1", "2"], c1=["水田", "Dry land"], c2=["x", "y"])
    assert [(s.field, s.column) for s in found] == [("use", "c1")]
    assert found[0].values == {"水田": "01", "Dry land": "02"}


def test_rivals_are_all_named() -> None:
    found = suggestions(SCHEMA, no=["1"], 用途=["01"], YT=["02"], note=["n"])
    assert [(s.column, s.score) for s in found] == [("用途", 1.0), ("YT", 0.82)]
    assert all(s.reasons for s in found)


def test_numbers_are_no_dates() -> None:
    """A name that fits is worth nothing where no value does."""
    day = schema_of({"id": "seen", "type": "date", "title": {"en": "Seen on", "zh": "日期"}})
    assert suggestions(day, no=["1"], 日期=[7]) == []
    (found,) = suggestions(day, no=["1"], 日期=["2020-01-31"])
    assert (found.field, found.score) == ("seen", 1.0)


def test_nothing_suggested_is_taken(store: Store) -> None:
    report = publish(store, "t", points(no=["1"], 用途=["01"]), SCHEMA)
    assert report.findings.left_out == ["用途"]
    assert layer(store, "t").at().read()["use"].isna().all()


def test_a_title_is_of_the_code_that_goes_on() -> None:
    ended = {"en": "Paddy", "zh": "水田", "valid_to": "2021-01-01"}
    codes = {"A": ended, "B": {"en": "Paddy", "zh": "水田"}, "C": ended | {"zh": "旧田"}}
    schema = schema_of({"id": "use", "codes": codes})
    found = suggestions(schema, no=["1", "2"], kind=["水田", "旧田"])
    assert [dict(s.values) for s in found if s.field == "use"] == [{"旧田": "C", "水田": "B"}]
