"""Grants, applications and who may decide on them."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from publishing import START

from layers.access.applications import Decision
from layers.access.desk import Desk
from layers.access.grants import Grant, Role, Terms, check_grantee, check_terms
from layers.access.policy import ANONYMOUS, Caller, caller_of
from layers.access.register import FRESH_S, Register
from layers.errors import BadCredential, BadGrant, BadTerritory, Forbidden, UnknownCaller
from layers.model import Layer, Visibility
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.store import Store
from layers.territories import Territory, read_area
from layers.writers import Verb

DAY = timedelta(days=1)
SCHEMA = parse_schema(
    {
        "title": "t",
        "geometry": "Point",
        "fields": [
            {"id": "no", "role": "key"},
            {"id": "i", "visibility": "internal"},
            {"id": "r", "visibility": "restricted"},
        ],
    }
)
SHELL = Caller("shell:root", "root")


def layer(
    visibility: Visibility = Visibility.INTERNAL,
    layer_id: str = "t",
    department: str | None = None,
    *,
    pending: bool = False,
) -> Layer:
    return Layer(layer_id, SCHEMA, 1, START, visibility, ((1, SCHEMA),), department, pending)


def somebody(*terms: Terms) -> Caller:
    return Caller("key:0a1b", "somebody", None, terms)


def desk(store: Store, *terms: Terms, caller: str = "key:0a1b") -> Desk:
    return Desk(store.register, Caller(caller, "somebody", None, terms))


PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
ONE, OTHER = "layer:t", "layer:u"
# Role and layers of a grant; visibility, department and pending of the layer "t"; is it seen?
SEEN = [
    (None, None, PUBLIC, None, False, True),
    (None, None, INTERNAL, None, False, False),
    (None, None, PUBLIC, None, True, False),
    (Role.READER, "*", INTERNAL, None, False, True),
    (Role.READER, "*", PRIVATE, None, False, False),
    (Role.READER, ONE, PRIVATE, None, False, True),
    (Role.READER, OTHER, PRIVATE, None, False, False),
    (Role.READER, "department:a", PRIVATE, "a", False, True),
    (Role.READER, "department:a", INTERNAL, "b", False, False),
    (Role.READER, "department:a", INTERNAL, None, False, False),
    (Role.READER, "*", PUBLIC, None, True, False),
    (Role.EDITOR, "*", INTERNAL, None, True, False),
    (Role.PUBLISHER, "*", INTERNAL, None, True, True),
    (Role.REVIEWER, ONE, PRIVATE, None, True, True),
    (Role.REVIEWER, OTHER, INTERNAL, None, True, False),
    (Role.ADMINISTRATOR, "*", INTERNAL, None, False, False),
    (Role.ADMINISTRATOR, ONE, PRIVATE, None, False, False),
]


@pytest.mark.parametrize(("role", "layers", "visibility", "department", "pending", "seen"), SEEN)
def test_which_layers_a_grant_lets_see(
    role: Role | None,
    layers: str | None,
    visibility: Visibility,
    department: str | None,
    pending: bool,
    seen: bool,
) -> None:
    who = ANONYMOUS if role is None else somebody(Terms(role, layers or "*"))
    assert who.reader().sees(layer(visibility, department=department, pending=pending)) is seen


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        (("public",), {"no"}),
        (("internal",), {"no", "i"}),
        (("restricted",), {"no", "i", "r"}),
        (("r",), {"no", "r"}),
        (("internal", "r"), {"no", "i", "r"}),
        (("no_such",), {"no"}),
    ],
)
def test_which_fields_a_grant_lets_see(fields: tuple[str, ...], seen: set[str]) -> None:
    reader = somebody(Terms(Role.READER, fields=fields)).reader()
    found = (*reader.fields(layer()), *reader.restricted(layer()))
    assert {f.id for f in found} == seen
    assert reader.knows_internals(layer()) is bool({"internal", "restricted"} & set(fields))


def test_the_command_line_sees_all_but_restricted_fields() -> None:
    reader = Reader.everything()
    assert reader.sees(layer(PRIVATE, pending=True))
    assert {f.id for f in reader.fields(layer(PRIVATE))} == {"no", "i"}
    assert reader.restricted(layer(PRIVATE)) == ()


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        (Role.READER, set()),
        (Role.EDITOR, {Verb.EDIT}),
        (Role.PUBLISHER, {Verb.EDIT, Verb.PUBLISH}),
        (Role.REVIEWER, {Verb.REVIEW}),
        (Role.ADMINISTRATOR, set()),
    ],
)
def test_what_a_role_may_do_to_a_layer(role: Role, verbs: set[Verb]) -> None:
    writer = somebody(Terms(role, ONE)).writer()
    assert {v for v in Verb if writer.may("t", None, v)} == verbs
    assert not any(writer.may("u", None, v) for v in Verb)


def test_readers_of_different_scope_have_different_fingerprints() -> None:
    area = read_area("POLYGON ((0 0, 1 0, 1 1, 0 0))")
    terms = [
        Terms(Role.READER),
        Terms(Role.READER, ONE),
        Terms(Role.READER, fields=("r",)),
        Terms(Role.READER, territory=Territory(division="33")),
        Terms(Role.READER, territory=Territory(area=area)),
        Terms(Role.READER, territory=Territory(start=START)),
        Terms(Role.READER, territory=Territory(end=START)),
        Terms(Role.REVIEWER),
    ]
    readers = [Reader.anonymous(), *(somebody(t).reader() for t in terms)]
    assert len({reader.fingerprint for reader in readers}) == len(readers)
    assert somebody(*terms).reader().fingerprint == somebody(*terms[::-1]).reader().fingerprint


def test_grants_hold_from_their_beginning_to_their_end_or_until_they_are_taken() -> None:
    def holds(terms: Terms, now: float, taken: float | None = None) -> bool:
        at = None if taken is None else START + taken * DAY
        grant = Grant(1, "key:0a1b", terms, START, "x", taken_at=at)
        return bool(caller_of("key:0a1b", "x", None, [grant], START + now * DAY).terms)

    bounded = Terms(Role.READER, begins=START + 2 * DAY, ends=START + 4 * DAY)
    assert [holds(bounded, n) for n in (1.9, 2, 3.9, 4)] == [False, True, True, False]
    assert holds(Terms(Role.READER), 10_000)
    assert not holds(Terms(Role.READER), 3, taken=1)


WRONG = [
    Terms(Role.READER, "parcels"),
    Terms(Role.READER, "layer:Parcels"),
    Terms(Role.READER, "department:"),
    Terms(Role.READER, fields=()),
    Terms(Role.READER, fields=("a b",)),
    Terms(Role.READER, fields=("a",) * 101),
    Terms(Role.READER, begins=START, ends=START),
    Terms(Role.READER, reason="x" * 2001),
    Terms(Role.ADMINISTRATOR, territory=Territory(division="33")),
    Terms(Role.READER, territory=Territory(division="33%")),
    Terms(Role.READER, territory=Territory(division="")),
    Terms(Role.READER, territory=Territory(area=b"no shape")),
    Terms(Role.READER, territory=Territory(start=START, end=START)),
]


@pytest.mark.parametrize("terms", WRONG)
def test_terms_that_say_nothing_are_refused(terms: Terms) -> None:
    with pytest.raises((BadGrant, BadTerritory)):
        check_terms(terms)


@pytest.mark.parametrize(
    "text",
    ["", "x", "POINT (0 0)", "POLYGON ((0 0, 1 1, 0 1, 1 0, 0 0))", '{"type": "Point"}',
     "POLYGON ((0 0, 500 0, 500 500, 0 0))", "POLYGON EMPTY", "POLYGON ((0 0, 1 1))"],
)  # fmt: skip
def test_areas_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadTerritory):
        read_area(text)


@pytest.mark.parametrize("text", ["", "key:", "key:zz", "person:1", "someone", "department:\n"])
def test_grantees_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadGrant):
        check_grantee(text)


def test_an_application_becomes_a_grant_when_another_approves_it(store: Store) -> None:
    key, text = Desk(store.register, SHELL, unbounded=True).make_key("k", None)
    applicant = Desk(store.register, store.register.by_key(text))
    asked = applicant.apply(Terms(Role.EDITOR, ONE, reason="to mend it"))
    assert asked.decision is None
    with pytest.raises(Forbidden):
        applicant.decide(asked.id, Decision.APPROVED)
    with pytest.raises(Forbidden, match="own"):
        desk(store, Terms(Role.ADMINISTRATOR), caller=key.caller).decide(
            asked.id, Decision.APPROVED
        )
    chief = desk(store, Terms(Role.ADMINISTRATOR, ONE), caller="key:ffff")
    done, grant = chief.decide(asked.id, Decision.APPROVED, "until the survey")
    assert (done.decision, done.decided_by) == (Decision.APPROVED, "key:ffff")
    assert grant is not None
    assert (grant.grantee, grant.application) == (key.caller, asked.id)
    assert store.register.by_key(text).terms == (asked.terms,)
    with pytest.raises(UnknownCaller, match="already"):
        chief.decide(asked.id, Decision.REFUSED)
    chief.take(grant.id)
    assert store.register.by_key(text).terms == ()


def test_refused_and_withdrawn_applications_grant_nothing(store: Store) -> None:
    _, text = Desk(store.register, SHELL, unbounded=True).make_key("k", None)
    applicant = Desk(store.register, store.register.by_key(text))
    chief = desk(store, Terms(Role.ADMINISTRATOR), caller="key:ffff")
    for decider, decision in ((chief, Decision.REFUSED), (applicant, Decision.WITHDRAWN)):
        asked = applicant.apply(Terms(Role.EDITOR, ONE, reason="why"))
        with pytest.raises(Forbidden):
            (applicant if decider is chief else chief).decide(asked.id, decision)
        assert decider.decide(asked.id, decision)[1] is None
    assert store.register.by_key(text).terms == ()
    with pytest.raises(BadGrant, match="why"):
        applicant.apply(Terms(Role.EDITOR, ONE))


def test_an_administrator_of_one_layer_grants_that_layer_alone(store: Store) -> None:
    key, _ = Desk(store.register, SHELL, unbounded=True).make_key("k", None)
    chief = desk(store, Terms(Role.ADMINISTRATOR, ONE), caller="key:ffff")
    assert chief.give(key.caller, Terms(Role.READER, ONE)).given_by == "key:ffff"
    for layers in ("*", OTHER, "department:a"):
        with pytest.raises(Forbidden):
            chief.give(key.caller, Terms(Role.READER, layers))
    for refused in (chief.people, chief.every_key, lambda: chief.revoke_key(key.id)):
        with pytest.raises(Forbidden):
            refused()
    nobody = desk(store, Terms(Role.PUBLISHER))
    with pytest.raises(Forbidden):
        nobody.give(key.caller, Terms(Role.READER, ONE))


def test_nobody_grants_to_themselves_or_to_nobody(store: Store) -> None:
    chief = desk(store, Terms(Role.ADMINISTRATOR), caller="key:ffff")
    with pytest.raises(Forbidden, match="themselves"):
        chief.give("key:ffff", Terms(Role.READER))
    for grantee in ("key:eeee", "person:eeee"):
        with pytest.raises(UnknownCaller):
            chief.give(grantee, Terms(Role.READER))


def test_who_is_closed_out_comes_in_no_more_until_the_door_is_opened(store: Store) -> None:
    register, own = store.register, Desk(store.register, SHELL, unbounded=True)
    said = ("https://login.example", "42", "王芳", None, "规划局")
    who = register.by_identity(*said)
    own.give("department:规划局", Terms(Role.READER, ONE))
    assert register.by_identity(*said).terms == (Terms(Role.READER, ONE),)
    assert register.by_identity(*said[:4], "水务局").terms == ()
    own.close(who.id.removeprefix("person:"))
    with pytest.raises(BadCredential):
        register.by_identity(*said)
    own.close(who.id.removeprefix("person:"), closed=False)
    assert register.by_identity(*said).id == who.id


def test_what_another_process_takes_is_gone_here_a_moment_later(store: Store) -> None:
    """What this process is told of a caller it believes for a second: not longer, not for ever."""
    _, text = Desk(store.register, SHELL, unbounded=True).make_key("k", Terms(Role.READER))
    assert store.register.by_key(text).terms
    other = Register(store.database, store.clock)
    Desk(other, SHELL, unbounded=True).revoke_key(text.split("_")[1])
    with pytest.raises(BadCredential):
        other.by_key(text)
    # Twice as long as it may be believed, and no longer than a slow machine needs.
    time.sleep(2 * FRESH_S)
    with pytest.raises(BadCredential):
        store.register.by_key(text)


def test_all_of_it_is_in_the_audit(store: Store) -> None:
    own = Desk(store.register, SHELL, unbounded=True, origin="here")
    key, text = own.make_key("k", Terms(Role.READER))
    asked = Desk(store.register, store.register.by_key(text)).apply(
        Terms(Role.EDITOR, ONE, reason="secret reasons")
    )
    own.decide(asked.id, Decision.REFUSED)
    own.take(own.give(key.caller, Terms(Role.EDITOR)).id)
    own.revoke_key(key.id)
    told = own.audit(newest_first=False)
    actions = ["key", "application", "decision", "grant", "take", "revoke"]
    assert [kept.entry.action for kept in told] == actions
    assert {kept.entry.actor for kept in told} == {"shell:root", key.caller}
    assert "secret" not in str(told)
