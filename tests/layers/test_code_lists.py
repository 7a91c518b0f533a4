"""Code lists, made up here: what a file says, what it can't say, and one in place of another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from publishing import WRITER, counts, layer, points, publish, schema_of

from layers.edits import Insert, Put, Revert, Update
from layers.errors import BadSchema, BadValue, RuleBroken
from layers.model import Field, Schema, Term, Title
from layers.schema_changes import SchemaChange
from layers.schemas import replacing
from layers.schemas.code_lists import read_codes
from layers.schemas.documents import parse_schema, read_schema, schema_document, write_schema
from layers.store import Store

NOW = datetime(2024, 5, 6, 12, tzinfo=UTC)
OLD = {"A": "Old lamp", "K": "Bench"}
NEW = {"B": "New lamp", "K": "Bench"}


def use(codes: Any, **others: Any) -> Schema:
    """Points with a field of codes."""
    return schema_of({"id": "use", "codes": codes, **others}, {"id": "note"})


def field(schema: Schema) -> Field:
    found = schema.find("use")
    assert found is not None
    return found


def listed(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_list_says_where_it_is_from_and_when_it_holds(tmp_path: Path) -> None:
    # As a spreadsheet saves it: commas up to the width of the table, and its own way with dates.
    text = (
        "# 来源：合成标准 T-1, 第 2 版,,,,\r\n# valid_from: 2021/1/1,,,,\r\n# a remark,,,,\r\n"
        "Code,Title,title_en,parent,valid_to\r\n1,路灯,Lamp,P,\r\n2,旧灯,,P,2020-6-1\r\n,,,,\r\n"
    )
    found = read_codes(listed(tmp_path, text))
    assert (found.source, found.since) == ("合成标准 T-1, 第 2 版", date(2021, 1, 1))
    assert found.terms == {
        "1": (Term(Title("Lamp", "路灯"), date(2021, 1, 1), None, "P"),),
        # It ended before the list began: the list's start is not its own.
        "2": (Term(Title("旧灯", "旧灯"), None, date(2020, 6, 1), "P"),),
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "utf8"), ("gb18030", "GB18030"), ("gbk", "GB2312")],
)
def test_any_encoding_that_is_said(tmp_path: Path, written: str, said: str) -> None:
    path = listed(tmp_path, "代码,名称\n1,暴露垃圾\n", written)
    assert read_codes(path, said).terms["1"][0].title.zh == "暴露垃圾"


def test_a_sign_that_only_gb18030_has_is_read_as_gbk_too(tmp_path: Path) -> None:
    path = listed(tmp_path, "代码,名称\n1,㐂街\n", "gb18030")
    assert read_codes(path, "GBK").terms["1"][0].title.zh == "㐂街"


def test_a_code_may_mean_one_thing_after_another(tmp_path: Path) -> None:
    text = "code,title,valid_from,valid_to\n7,垃圾,2021-01-01,\n7,路灯,,2021-01-01\n"
    titles = [(t.title.zh, t.valid_to) for t in read_codes(listed(tmp_path, text)).terms["7"]]
    assert titles == [("路灯", date(2021, 1, 1)), ("垃圾", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,x\n1,y\n", "line 4: code '1' is there twice.*keep one"),
        ("a,b,valid_from\n1,x,\n1,y,2021-01-01\n", "line 4.*twice.*overlap.*valid_to"),
        ("a,b\n1,x\n2,\n", "line 4: a code and a title are needed; fill them in"),
        ("a,b\n,x\n", "line 3: a code and a title"),
        ("a,b,valid_from\n1,x,2021-02-30\n", "line 3: valid_from = '2021-02-30' is no day; write"),
        ("a,b,valid_to\n1,x,soon\n", "line 3: valid_to = 'soon'"),
        (
            "a,b,valid_from,valid_to\n1,x,2021-01-01,2021-01-01\n",
            "line 3: code '1': valid_to 2021-01-01 is not after",
        ),
        ("a,b\n", "no codes"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    text = "# source: synthetic\n" + text.replace("a,b", "code,title", 1)
    with pytest.raises(BadSchema, match=said):
        read_codes(listed(tmp_path, text))


def test_an_encoding_that_is_not_said_or_none(tmp_path: Path) -> None:
    path = listed(tmp_path, "code,title\n1,a\n2,垃圾\n", "gb18030")
    with pytest.raises(BadSchema, match=r"line 3, is no CSV in UTF-8.*--encoding GB18030"):
        read_codes(path)
    with pytest.raises(BadSchema, match="'klingon' is no encoding; write UTF-8 or GB18030"):
        read_codes(path, "klingon")
    with pytest.raises(BadSchema, match="'hex' is no encoding"):
        read_codes(path, "hex")
    with pytest.raises(BadSchema, match="# valid_from = 'spring' is no day"):
        read_codes(listed(tmp_path, "# valid_from: spring\ncode,title\n1,a\n"))


def test_a_schema_file_names_a_list_beside_it(tmp_path: Path) -> None:
    listed(tmp_path, "# source: 合成\n代码,名称\n1,垃圾\n", "gb18030")
    path = tmp_path / "s.toml"
    path.write_text(
        'title = "t"\ngeometry = "Point"\n[[fields]]\nid = "use"\ncodes = "list.csv"\n'
        'codes_encoding = "GB18030"\ncodes_since = "2021-01-01"\noutdated = "row"\n',
        encoding="utf-8",
    )
    schema = read_schema(path)
    f = field(schema)
    assert (f.codes["1"].zh, f.codes_source, f.outdated) == ("垃圾", "合成", "row")
    assert f.terms["1"] == (Term(Title("垃圾", "垃圾"), date(2021, 1, 1)),)
    assert parse_schema(schema_document(schema)) == schema
    path.write_text(write_schema(schema), encoding="utf-8")
    assert read_schema(path) == schema


def test_documents_of_before_read_as_they_did() -> None:
    document = {"title": "t", "geometry": "Point"}
    fields = [{"id": "use", "codes": {"1": {"en": "Lamp", "zh": "路灯"}, "2": "Bench"}}]
    f = field(parse_schema(document | {"fields": fields}))
    assert (f.codes["1"], f.codes["2"]) == (Title("Lamp", "路灯"), Title("Bench", "Bench"))
    assert (f.terms, f.codes_source, f.outdated) == ({}, "", "refuse")
    kept = schema_document(parse_schema(document | {"fields": fields}))["fields"][0]
    assert kept["codes"] == {"1": {"en": "Lamp", "zh": "路灯"}, "2": {"en": "Bench", "zh": "Bench"}}
    assert not {"codes_source", "codes_since", "outdated"} & set(kept)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (
            {"1": {"en": "a", "valid_to": "soon"}},
            "field use: codes: 1: valid_to = 'soon' is no day",
        ),
        ({"1": [{"en": "a"}, {"en": "b"}]}, "codes: 1 is there twice"),
        ({"1": {"valid_to": "2021-01-01"}}, "is no title"),
        ({"1": {"en": "a", "colour": "red"}}, "is no title"),
        ({"1": []}, "is no title"),
    ],
)
def test_what_codes_of_a_document_can_not_be(codes: Any, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        use(codes)


def ends(schema: Schema) -> dict[str, str]:
    """Each code with the day before which it is valid."""
    f = field(schema)
    return {c: str(f.terms[c][-1].valid_to) if c in f.terms else "" for c in f.codes}


def test_a_list_in_place_of_another_keeps_what_ceased() -> None:
    once = replacing.after(use(OLD), use(NEW, codes_since="2021-01-01"), NOW)
    assert ends(once) == {"B": "", "K": "", "A": "2021-01-01"}
    # Again, later, and by a list that says no day: what has ceased stays as it was.
    assert replacing.after(once, use(NEW, codes_since="2021-01-01"), NOW) == once
    assert replacing.after(once, use(NEW), NOW) == once
    assert ends(replacing.after(use(OLD), use(NEW), NOW))["A"] == "2024-05-06"


def test_another_title_from_a_day_on_leaves_the_old_one_before() -> None:
    dated = {"K": {"en": "Seat", "zh": "座椅", "valid_from": "2021-01-01"}}
    told = field(replacing.after(use(OLD), use(dated), NOW)).terms["K"]
    assert [(t.title.en, str(t.valid_from), str(t.valid_to)) for t in told] == [
        ("Bench", "None", "2021-01-01"),
        ("Seat", "2021-01-01", "None"),
    ]
    # Without a day it was a slip of the pen.
    mended = field(replacing.after(use(OLD), use(OLD | {"K": "Seat"}), NOW))
    assert (mended.codes["K"].en, mended.terms) == ("Seat", {})


def changed(store: Store, schema: Schema) -> list[str]:
    return store.commit({"t": SchemaChange(schema)}, WRITER, "codes").reports["t"].notes


@pytest.fixture
def lamps(store: Store) -> Store:
    """Things of 2020 by the old list, which the new one replaced in 2021."""
    publish(store, "t", points(no=["1", "2"], use=["A", "K"]), use(OLD))
    changed(store, use(NEW, codes_since="2021-01-01"))
    return store


def at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def codes_of(store: Store) -> dict[str, str]:
    return dict(layer(store, "t").at().read()["use"])


def test_a_reload_says_again_what_is_there(lamps: Store) -> None:
    # The source is of 2023, when A is no code any more; the thing that has it has had it before.
    frame = points(no=["1", "2", "3"], use=["A", "K", "B"], note=["seen", None, None])
    assert counts(publish(lamps, "t", frame, valid_from=at(2023))) == (1, 1, 0)
    assert codes_of(lamps) == {"1": "A", "2": "K", "3": "B"}


def test_a_new_thing_with_an_old_code_is_refused_with_its_row(lamps: Store) -> None:
    frame = points(no=["1", "2", "3", "4"], use=["A", "K", "B", "A"])
    with pytest.raises(RuleBroken, match=r"1 rows .* rows 4; the first: code 'A'.*2023-01-01") as e:
        publish(lamps, "t", frame, valid_from=at(2023))
    assert e.value.report is not None
    (broken,) = e.value.report.document()["rules_broken"]
    assert (broken["fault"], broken["rows"][0]["row"]) == ("outdated-code", 4)
    # Another thing's code is not its own, nor is one of another time.
    frame = points(no=["1", "2"], use=["K", "A"])
    with pytest.raises(RuleBroken, match="rows 2;"):
        publish(lamps, "t", frame, valid_from=at(2023))
    # What is told late of a time when the code was valid is right.
    frame = points(no=["1", "2", "5"], use=["A", "K", "A"])
    assert counts(publish(lamps, "t", frame, valid_from=at(2020))) == (1, 0, 0)


def test_rows_can_be_left_out_or_only_said(lamps: Store) -> None:
    frame = points(no=["1", "2", "3"], use=["K", "A", "A"])
    changed(lamps, use(NEW, codes_since="2021-01-01", outdated="row"))
    report = publish(lamps, "t", frame, valid_from=at(2023))
    assert (counts(report), report.findings.rows_refused) == ((0, 1, 0), 2)
    # A row that was left out takes nothing away.
    assert codes_of(lamps) == {"1": "K", "2": "K"}
    changed(lamps, use(NEW, codes_since="2021-01-01", outdated="say"))
    assert counts(publish(lamps, "t", frame, valid_from=at(2023))) == (1, 1, 0)


def test_values_on_no_list_are_stored_as_they_are(lamps: Store) -> None:
    frame = points(no=["1", "2"], use=["A", "never heard of"])
    assert counts(publish(lamps, "t", frame, valid_from=at(2023))) == (0, 1, 0)


def test_the_schema_file_of_a_new_list_is_still_the_layers_own(lamps: Store) -> None:
    frame = points(no=["1", "2"], use=["A", "K"])
    report = publish(lamps, "t", frame, use(NEW), valid_from=at(2023))
    assert counts(report) == (0, 0, 0)


def test_edits_are_held_to_the_list(lamps: Store) -> None:
    def edit(one: Any) -> None:
        lamps.commit({"t": [one]}, WRITER, "edit")

    edit(Update("1", {"note": "painted"}, valid_from=at(2023)))
    edit(Put({"no": "1", "use": "A", "note": "again"}, valid_from=at(2023)))
    edit(Insert({"no": "6", "use": "A"}, valid_from=at(2020), valid_to=at(2022)))
    for one in (
        Insert({"no": "7", "use": "A"}, valid_from=at(2023)),
        Update("2", {"use": "A"}, valid_from=at(2023)),
    ):
        with pytest.raises(BadValue, match=r"code 'A' .* is valid before 2021-01-01, not on 2023"):
            edit(one)


def test_a_list_is_taken_back(lamps: Store) -> None:
    lamps.commit({"t": Revert(2)}, WRITER, "the old list again")
    assert layer(lamps, "t").record.schema == use(OLD)
    assert field(layer(lamps, "t").record.as_of(2).schema).codes["A"].en == "Old lamp"
    frame = points(no=["1", "2", "3"], use=["A", "K", "A"])
    assert counts(publish(lamps, "t", frame, valid_from=at(2023))) == (1, 0, 0)


def test_a_restricted_code_is_not_told(store: Store) -> None:
    hidden = {"visibility": "restricted"}
    publish(store, "t", points(no=["1"], use=["A"]), use(OLD, **hidden))
    changed(store, use(NEW, codes_since="2021-01-01", **hidden))
    frame = points(no=["1", "2"], use=["A", "A"])
    with pytest.raises(RuleBroken, match="rows 2; the first: the code of use is not") as caught:
        publish(store, "t", frame, valid_from=at(2023))
    assert "'A'" not in str(caught.value)
    assert "lamp" not in str(caught.value)


def test_an_event_of_a_day_is_of_that_day_where_the_layer_is(store: Store) -> None:
    def events(codes: Any, **others: Any) -> Schema:
        fields = [{"id": "no", "role": "key"}, {"id": "at", "type": "date", "role": "event-start"}]
        coded = {"id": "use", "codes": codes, **others}
        document = {"title": "t", "geometry": "Point", "kind": "event"}
        return parse_schema(document | {"fields": [*fields, coded]})

    publish(store, "t", points(no=["1"], at=["2019-01-01"], use=["A"]), events(OLD))
    changed(store, events(NEW, codes_since="2021-01-01"))
    publish(store, "t", points(no=["2"], at=["2020-12-31"], use=["A"]))
    with pytest.raises(RuleBroken, match="not on 2021-01-01"):
        publish(store, "t", points(no=["3"], at=["2021-01-01"], use=["A"]))
    assert len(layer(store, "t").at("2022-01-01").read()) == 2


def test_layers_of_before_lists_said_more_take_the_same_schema_file(store: Store) -> None:
    listed = use({"A": {"en": "Lamp", "zh": "灯", "parent": "P"}}, codes_source="synthetic")
    publish(store, "t", points(no=["1"], use=["A"]), use({"A": {"en": "Lamp", "zh": "灯"}}))
    frame = points(no=["1", "2"], use=["A", "A"])
    assert counts(publish(store, "t", frame, listed, valid_from=at(2023))) == (1, 0, 0)
    assert changed(store, listed) == ["field described anew: use"]
