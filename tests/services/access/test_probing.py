"""What somebody may not see can't be found out either: it is as if it had never been.

Each test asks twice, for something hidden and for something that never was, and the answers are
the same but for the name that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from city_doors import SecretDoors
from city_questions import questions
from city_roles import by_name
from secret_city import FIELDS, LAYERS, PLACES, RESTRICTED, START

from layers import readers
from services.access.rules import Rule
from services.paging import Token, write_token

# What differs from request to request, whoever asks for whatever.
# An ETag is made of the answer, which may say what was asked for.
_PASSING = {"x-request-id", "date", "content-length", "etag"}
READERS = ["anonymous", "reader of all", "county by code", "reader of public fields"]
COUNTY = ["county by code", "county by area"]
TIMES = ["", "?datetime=2021-06-01", "?revision=1", "?revision=2&datetime=2023-01-01"]


def same(
    doors: SecretDoors, who: str, address: str, hidden: str, absent: str, **sent: Any
) -> httpx2.Response:
    """Ask for something hidden and for something that never was, and see no difference."""
    assert len(hidden) == len(absent)
    answers = [doors.ask(who, address.replace("NAME", n), **sent) for n in (hidden, absent)]
    told = [
        (
            a.status_code,
            {k: v.replace(hidden, absent) for k, v in a.headers.items() if k not in _PASSING},
            a.text.replace(hidden, absent),
        )
        for a in answers
    ]
    assert told[0] == told[1], (who, address, hidden)
    return answers[0]


def hidden_fields(who: str) -> Iterator[tuple[str, str]]:
    """The fields of layers that somebody sees, which they do not see themselves."""
    person = by_name()[who]
    for layer in sorted(person.layers()):
        for name in FIELDS[layer]:
            if name not in person.fields():
                yield layer, name


def ids_of(layer: str, county: str) -> list[str]:
    """The features that never were in the other county."""
    there = {p.id for p in PLACES if p.layer == layer and p.county == county}
    return sorted(there - {p.id for p in PLACES if p.layer == layer and p.county != county})


@pytest.mark.parametrize("who", READERS)
def test_a_hidden_field_is_a_name_that_never_was(secret_doors: SecretDoors, who: str) -> None:
    asked = [
        q for q in questions(secret_doors.app) if q.rule is Rule.LAYER and "?" not in q.address
    ]
    count = 0
    for layer, name in hidden_fields(who):
        paths = {q.address for q in asked if q.layer == layer and q.method == "GET"}
        for path in sorted(paths):
            for query in ("?NAME=x", "?NAME=", "?NAME=x&f=html", "?limit=1&NAME=x"):
                made_up = "x" * len(name)
                answer = same(secret_doors, who, path + query, name, made_up)
                assert answer.status_code in (400, 406)
                count += 1
    assert count > 20


@pytest.mark.parametrize("who", ["anonymous", "reader of one layer", "county by code", "editor"])
def test_a_hidden_layer_is_one_that_never_was(secret_doors: SecretDoors, who: str) -> None:
    there = by_name()[who].layers()
    for layer in (i for i in LAYERS if i not in there):
        asked = {q.address for q in questions(secret_doors.app) if q.layer == layer}
        for address in sorted(asked):
            path = address.replace(f"/collections/{layer}", "/collections/NAME")
            same(secret_doors, who, path, layer, "x" * len(layer))
        for inputs in ({"cases": layer}, {"cases": "calls", "grids": layer}):
            here, never = (
                secret_doors.ask(
                    who,
                    "/processes/assign-cases-to-grids/execution",
                    "POST",
                    json={"inputs": {k: v.replace(layer, name) for k, v in inputs.items()}},
                )
                for name in (layer, "x" * len(layer))
            )
            assert here.status_code == never.status_code >= 400
            assert here.text.replace(layer, "x" * len(layer)) == never.text


@pytest.mark.parametrize("who", COUNTY)
@pytest.mark.parametrize("time", TIMES)
def test_a_feature_elsewhere_never_was(secret_doors: SecretDoors, who: str, time: str) -> None:
    for feature in ids_of("innerland", "B"):
        made_up = "x" * len(feature)
        for path in ("NAME", "NAME.20200101T000000.000000Z", "NAME/versions"):
            query = time.replace("&datetime=2023-01-01", "") if "versions" in path else time
            if "versions" in path and "datetime" in query:
                continue
            address = f"/collections/innerland/items/{path}{query}"
            answer = same(secret_doors, who, address, feature, made_up)
            assert answer.status_code == 404
        for place in (place for place in PLACES if place.id == feature):
            assert place.id not in secret_doors.ask(who, "/commits").text


def test_where_a_feature_went_is_as_if_it_had_ended(secret_doors: SecretDoors) -> None:
    """It left the county: gone, as what was retired is; and where it is now has no version."""
    address = "/collections/innerland/items/ID-innerland-m"
    assert secret_doors.ask("county by code", address).status_code == 410
    versions = secret_doors.ask("county by code", f"{address}/versions").json()["features"]
    assert [v["time"]["interval"][1] for v in versions] == ["2022-01-01T00:00:00Z"]
    elsewhere = secret_doors.ask("county by code", f"{address}.20220101T000000.000000Z")
    assert elsewhere.status_code == 404
    other = secret_doors.ask("another county", f"{address}/versions").json()["features"]
    assert [v["time"]["interval"][0] for v in other] == ["2022-01-01T00:00:00Z"]


@pytest.mark.parametrize("who", COUNTY)
def test_counts_and_extents_are_of_ones_own(secret_doors: SecretDoors, who: str) -> None:
    ask = secret_doors.ask
    page = ask(who, "/collections/innerland/items?datetime=2021-06-01&limit=1&count=exact").json()
    assert page["numberMatched"] == 2
    everything = ask("reader of all", "/collections/innerland/items?datetime=2021-06-01").json()
    assert everything["numberMatched"] == 3
    place = ask(who, "/collections/innerland").json()["extent"]["spatial"]
    ((west, south, east, north),) = place["bbox"]
    assert 10 <= west <= east < 11
    assert south == north == 50.5
    every = ask(who, "/collections").json()["collections"]
    (listed,) = (c for c in every if c["id"] == "innerland")
    assert listed["extent"]["spatial"]["bbox"] == [[west, south, east, north]]
    tileset = ask(who, "/collections/innerland/tiles/WebMercatorQuad").json()
    assert tileset["boundingBox"]["upperRight"][0] < 11


def test_what_a_revision_did_is_counted_in_ones_own(secret_doors: SecretDoors) -> None:
    """Revision 3 wrote a restricted field, 4 and 6 an internal one in county B, 5 retired in A."""
    expected = {
        "anonymous": {3: (0, 0, 0), 4: (0, 0, 0), 5: (0, 0, 1), 6: (0, 0, 0)},
        "county by code": {3: (0, 0, 0), 4: (0, 0, 0), 5: (0, 0, 1), 6: (0, 0, 0)},
        "another county": {3: (0, 0, 0), 4: (0, 1, 0), 5: (0, 0, 1), 6: (0, 1, 0)},
    }
    for who, counts in expected.items():
        log = secret_doors.ask(who, "/collections/openland/revisions").json()["revisions"]
        said = {r["number"]: (r["created"], r["changed"], r["retired"]) for r in log}
        for number, wanted in counts.items():
            assert said[number] == wanted, (who, number)
            one = secret_doors.ask(who, f"/collections/openland/revisions/{number}").json()
            assert (one["created"], one["changed"], one["retired"]) == wanted
    moved = {"county by code": (0, 0, 1), "another county": (1, 0, 0), "reader of all": (0, 1, 0)}
    for who, wanted in moved.items():
        one = secret_doors.ask(who, "/collections/innerland/revisions/2").json()
        assert (one["created"], one["changed"], one["retired"]) == wanted, who


@pytest.mark.parametrize("layer", LAYERS)
def test_a_hidden_document_is_one_that_never_was(secret_doors: SecretDoors, layer: str) -> None:
    name = f"DOCUMENT-{layer}"
    for who in ("key without grants", "reader of one field", "reader of one layer"):
        if layer in by_name()[who].layers() and who == "reader of one layer":
            continue
        if layer == "innerland" and who == "reader of one layer":
            continue
        answer = same(secret_doors, who, "/commits?document=NAME", name, "x" * len(name))
        assert answer.json()["commits"] == []


def test_tokens_made_by_hand_lead_nowhere_else(secret_doors: SecretDoors) -> None:
    who, day = "county by code", datetime(2021, 6, 1, tzinfo=UTC)
    for feature in ids_of("innerland", "B"):
        # In the order of ids a made-up one stands at the same place.
        keys = ((name, START) for name in (feature, f"{feature}x"))
        tokens = (write_token(Token(1, day, False, key)) for key in keys)
        pages = [
            secret_doors.ask(who, f"/collections/innerland/items?token={t}&revision=1")
            for t in tokens
        ]
        found = [[f["id"] for f in page.json()["features"]] for page in pages]
        assert found[0] == found[1] == ["ID-innerland-m"]
    far = datetime(1, 1, 1, tzinfo=UTC)
    token = write_token(Token(1, day, False, ("", far)))
    asked = (f"/collections/innerland/items?{q}" for q in (f"token={token}", "datetime=2021-06-01"))
    first, plain = (secret_doors.ask(who, f"{address}&revision=1").json() for address in asked)
    assert [f["id"] for f in first["features"]] == [f["id"] for f in plain["features"]] != []


def test_a_tile_elsewhere_is_an_empty_one(secret_doors: SecretDoors) -> None:
    """County B lies in 9/172/273; nothing of any layer lies in 9/0/0."""
    path = "/collections/innerland/tiles/WebMercatorQuad"
    there, nothing = (f"{path}/9/{rest}" for rest in ("172/273", "0/0"))
    assert secret_doors.ask("another county", there).status_code == 200
    hidden, empty = (secret_doors.ask("county by code", a) for a in (there, nothing))
    assert hidden.status_code == empty.status_code == 204
    passing = {k: v for k, v in hidden.headers.items() if k not in _PASSING}
    assert passing == {k: v for k, v in empty.headers.items() if k not in _PASSING}


def statements_of(doors: SecretDoors, who: str, method: str = "GET") -> list[tuple[str, str]]:
    """Everything that the database is asked while somebody asks everything."""
    heard: list[tuple[str, str]] = []

    def listener(name: str) -> Any:
        def listen(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            heard.append((name, statement))

        return listen

    engines = {n: getattr(doors.store.database, n) for n in ("reading", "restricted")}
    listeners = [(e, "before_cursor_execute", listener(n)) for n, e in engines.items()]
    for engine, event, listen in listeners:
        sa.event.listen(engine, event, listen)
    try:
        for asked in questions(doors.app):
            if asked.method == method:
                doors.ask(who, asked.address, asked.method, **asked.sent)
    finally:
        for engine, event, listen in listeners:
            sa.event.remove(engine, event, listen)
    assert heard
    return heard


@pytest.mark.parametrize("who", READERS)
def test_no_statement_of_theirs_names_restricted_tables(
    secret_doors: SecretDoors, who: str
) -> None:
    """An answer takes as long whether or not there is something restricted: it is not asked for."""
    for method in ("GET", "POST"):
        for engine, statement in statements_of(secret_doors, who, method):
            assert engine == "reading", statement
            assert "restricted_" not in statement, statement


def test_restricted_tables_are_read_by_their_own_role(secret_doors: SecretDoors) -> None:
    heard = statements_of(secret_doors, "reader of restricted fields")
    engines = {engine for engine, statement in heard if "restricted_live" in statement}
    assert engines == {"restricted"}


def restricted_values() -> list[str]:
    """Every value that stands in a restricted field."""
    return [
        text
        for place in PLACES
        for name, text in place.values.items()
        if FIELDS[place.layer][name] == RESTRICTED
    ]


def test_without_the_applications_check_the_database_refuses(
    secret_doors: SecretDoors, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Somebody forgets a condition, and everybody is taken to see every field."""

    def everything(layer: Any, views: Any) -> Any:
        fields = (*layer.schema.stored, *layer.schema.restricted)
        yield readers.Tier(readers.EVERYWHERE, frozenset(f.id for f in fields))

    monkeypatch.setattr(readers, "_tiers", everything)
    # What was worked out before is kept; and what is worked out now must not be.
    readers._sight.cache_clear()
    request.addfinalizer(readers._sight.cache_clear)
    refused = 0
    for who in ("anonymous", "reader of all", "county by code"):
        for asked in questions(secret_doors.app):
            if asked.method != "GET":
                continue
            answer = secret_doors.ask(who, asked.address, **asked.sent)
            assert not [v for v in restricted_values() if v in answer.text], asked.address
            refused += answer.status_code == 500
            assert "permission denied" not in answer.text
    assert refused > 20


def test_the_restricted_role_is_not_given_to_whom_may_not(
    secret_doors: SecretDoors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way about: the role is not asked for, and the fields are read all the same."""
    monkeypatch.setattr(readers.Reader, "may_see_restricted", lambda self, layer: False)
    address = "/collections/openland/items?datetime=../.."
    answer = secret_doors.ask("reader of restricted fields", address)
    assert answer.status_code == 500
    assert not [v for v in restricted_values() if v in answer.text]
