"""The access matrix: everybody asks everything, and no answer has what is not theirs.

The questions are made of the routes themselves (`city_questions`), what anybody may see is told a
second time (`city_roles`), and every value of the city is a text of its own (`secret_city`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import unquote
from zlib import crc32

import httpx2
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from city_doors import SecretDoors
from city_questions import CHANGING, Question, questions
from city_roles import PEOPLE, Person
from secret_city import FIELDS, LAYERS, OPEN_LAYERS, markers

from layers import tables
from services.access.rules import Rule

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
# These ask everything in every run, and are of every kind; `make test-long` has all ask all.
THOROUGH = (
    "anonymous",
    "key without grants",
    "reader of one field",
    "county by code",
    "county with restricted fields",
    "one county in full, another in public",
    "reader of a time",
    "publisher",
    "administrator of one layer",
    "somebody closed",
)
SESSIONLESS = ("/login", "/static/")
# What the rules promise to those who may not pass; a new rule needs a line here, and a case below.
REFUSALS = {
    Rule.OPEN: "nobody",
    Rule.CATALOGUE: "nobody",
    Rule.LAYER: "those who do not see the layer: 404",
    Rule.WRITE: "strangers: 401; those who only read: 403",
    Rule.SIGNED_IN: "strangers: 401, or the way to the login page",
    Rule.ADMINISTER: "strangers: 401; those who administer nothing: 403",
}


@cache
def known_texts() -> re.Pattern[str]:
    """Everything that is looked for: values, ids, shapes, names of fields and layers."""
    texts = {m.text for m in markers()} | set(hidden_words())
    # The longest first: the name of a layer is a part of its values.
    return re.compile("|".join(re.escape(t) for t in sorted(texts, key=len, reverse=True)))


@cache
def hidden_words() -> frozenset[str]:
    """Names that nobody may learn who does not see what is called so."""
    fields = {n for names in FIELDS.values() for n in names}
    layers = {word for i in LAYERS for word in (i, f"TITLE-{i}", f"ABOUT-{i}")}
    return frozenset(fields | layers)


@cache
def allowed(who: Person) -> frozenset[str]:
    """The texts that may be in an answer to somebody."""
    layers = who.layers() if who.lives != "closed" else OPEN_LAYERS
    words = {word for i in layers for word in (i, f"TITLE-{i}", f"ABOUT-{i}")}
    seen = {m.text for m in markers() if who.may_see(m)}
    return frozenset(words | seen | who.fields())


@cache
def told_administrators(who: Person) -> frozenset[str]:
    """What the pages of administrators say besides: which layers there are, and which grants."""
    if who.administers != frozenset(LAYERS):
        return who.administers | {"o_owner"} if who.administers else frozenset()
    # The audit says who committed what, and by which document; never what it was.
    said = {m.text for m in markers() if m.field == "commit"}
    return who.administers | said | {"o_owner"}


def found_in(answer: httpx2.Response) -> set[str]:
    """The texts of the city that an answer has anywhere in it."""
    told = unpacked(answer).decode("utf-8", "replace")
    heads = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
    return set(known_texts().findall(f"{heads}\n{told}"))


def unpacked(answer: httpx2.Response) -> bytes:
    """The body; of a file that is compressed in itself, all that is in it as text."""
    if answer.headers.get("content-type") != "application/vnd.apache.parquet":
        return answer.content
    file = pq.ParquetFile(io.BytesIO(answer.content))
    every = [str(file.metadata.metadata), str(file.read().to_pylist())]
    return "\n".join([*every, str(file.metadata.to_dict())]).encode()


def leaks(who: Person, asked: Question, answer: httpx2.Response) -> set[str]:
    """The texts in an answer that should not be there."""
    found = found_in(answer) - allowed(who)
    if asked.route in ("/admin", "/admin/audit"):
        found -= told_administrators(who)
    # An answer says what was asked for, which is nothing new to whoever asked. That it says nothing
    # else of it, where it is not theirs, is looked at in test_probing.py.
    path, _, query = asked.address.partition("?")
    sent = f"{query} {asked.sent}" + (path if answer.status_code >= 300 else "")
    return found - {text for text in found if text in unquote(sent)}


def check_status(who: Person, asked: Question, answer: httpx2.Response) -> str | None:
    """Return what is wrong with the status of an answer, if anything is."""
    status = answer.status_code
    stranger = 303 if asked.wants_html and asked.method == "GET" else 401
    expected: Iterable[int] | None = None
    if who.lives == "closed" and not asked.address.startswith(SESSIONLESS):
        expected = {401}
    elif asked.rule is Rule.LAYER and asked.layer not in who.layers():
        # A format that is not offered is refused before anything is looked up.
        expected = {404, 406} if "f=" in asked.address else {404}
    elif asked.rule in (Rule.WRITE, Rule.SIGNED_IN, Rule.ADMINISTER) and who.anonymous:
        expected = {stranger}
    elif (asked.rule is Rule.WRITE and not who.writes) or (
        asked.rule is Rule.ADMINISTER and not who.administers
    ):
        expected = {403}
    if status >= 500:
        return f"{status}: it broke"
    return f"{status} instead of {expected}" if expected and status not in expected else None


def test_every_rule_is_known_here() -> None:
    for rule in Rule:
        assert rule in REFUSALS, (
            f"the rule {rule!r} is new: say in REFUSALS whom it refuses, and check that in "
            "check_status, both in tests/services/access/test_matrix.py"
        )


def test_everything_that_is_looked_for_is_looked_for() -> None:
    """The table itself: each text is somebody's, and some are not everybody's."""
    everybody = frozenset.intersection(*(allowed(who) for who in PEOPLE))
    anybody = frozenset.union(*(allowed(who) for who in PEOPLE))
    texts = {m.text for m in markers()} | set(hidden_words())
    assert len(texts - everybody) > 80
    # A private layer's restricted fields are granted to nobody here, nor those that wait.
    assert {t for t in texts - anybody if "owner" not in t} == set()


def state_of(doors: SecretDoors) -> list[object]:
    """What no question may change, as everybody asks the same city."""
    kept = (tables.layer, tables.permission, tables.application, tables.person)
    found: list[object] = []
    with doors.store.database.inspect() as connection:
        for table in kept:
            found += sorted(map(repr, connection.execute(sa.select(table))))
        found.append(connection.scalar(sa.select(sa.func.count()).select_from(tables.api_key)))
    return found


def asks(who: Person, asked: Question) -> bool:
    """Whether somebody asks this in a usual run: who is like another asks a third of it."""
    if LONG or who.name in THOROUGH:
        return True
    return crc32(f"{who.name} {asked.method} {asked.address}".encode()) % 3 == 0


@pytest.mark.parametrize("who", PEOPLE, ids=lambda who: who.name)
def test_each_sees_their_own_and_nothing_else(secret_doors: SecretDoors, who: Person) -> None:
    seen: set[str] = set()
    wrong: list[str] = []
    before = state_of(secret_doors)
    for asked in questions(secret_doors.app):
        if not asks(who, asked) or (asked.route in CHANGING and asked.layer in who.reviews):
            continue
        answer = secret_doors.ask(who.name, asked.address, asked.method, **asked.sent)
        if answer.status_code < 300:
            seen |= found_in(answer)
        shown = f"{asked.method} {asked.address} {asked.sent or ''}"
        if found := leaks(who, asked, answer):
            wrong.append(f"{shown}: {answer.status_code} has {sorted(found)}")
        if said := check_status(who, asked, answer):
            wrong.append(f"{shown}: {said} {answer.text[:200]}")
    assert not wrong, f"{len(wrong)} answers to {who.name}:\n" + "\n".join(wrong[:25])
    theirs = {m.text for m in markers() if who.may_see(m)}
    assert theirs <= seen or not (LONG or who.name in THOROUGH), (
        f"{who.name} never saw {sorted(theirs - seen)}"
    )
    assert state_of(secret_doors) == before, (
        "a route changed the city: name it in CHANGING of tests/services/access/city_questions.py, "
        "and say in city_roles.py who is not to be sent there"
    )
