"""Whoever may write finds out nothing by writing: what they do not see can't be guessed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from city_doors import SecretDoors
from city_questions import upload
from secret_city import A_CODE, PLACES, RESTRICTED, START, Place
from shapely import Point

from layers.access.grants import Role, Terms
from layers.edits import Insert
from layers.territories import Territory
from layers.writers import Writer

IN_A = Territory(division=A_CODE)
_PASSING = {"x-request-id", "date"}
ELSEWHERE = next(p for p in PLACES if p.id == "ID-innerland-b1")
HERE = next(p for p in PLACES if p.id == "ID-innerland-a1")


def send(
    doors: SecretDoors,
    headers: Mapping[str, str],
    place: Place,
    stated: Mapping[str, Any],
    **how: Any,
) -> httpx2.Response:
    """Upload one feature as it is, with some fields as stated."""
    longitude = how.pop("longitude", place.longitude)
    query = "&".join(f"{k}={v}" for k, v in how.items())
    body = upload(place.id, longitude, dict(stated))
    address = f"/collections/{place.layer}/revisions?{query}"
    return doors.client.post(address, content=body, headers=dict(headers))


def told(answer: httpx2.Response) -> tuple[int, str, dict[str, str]]:
    heads = {k: v for k, v in answer.headers.items() if k not in _PASSING}
    return answer.status_code, answer.text, heads


@pytest.mark.parametrize("how", [{"dry-run": "true"}, {}, {"valid-from": "2021-01-01"}])
def test_features_of_another_county_are_refused_unread(
    own_secret_doors: SecretDoors, how: dict[str, str]
) -> None:
    """The same words, whether the guess is right, near, or far off."""
    doors = own_secret_doors
    for fields in (("internal",), ("restricted",)):
        key = doors.granted(Terms(Role.EDITOR, "*", IN_A, fields))
        code = "330107001"
        seen = {k: v for k, v in ELSEWHERE.values.items() if k != "i_owner"}
        guesses: list[dict[str, Any]] = [
            {"i_code": code, **seen},
            {"i_code": code, **seen, "i_label": "another"},
            {"i_code": code, **seen, "i_note": "another"},
            {"i_code": code},
            {"i_code": "330106001"},
            {},
        ]
        if fields == ("restricted",):
            guesses += [{"i_owner": ELSEWHERE.values["i_owner"]}, {"i_owner": "another"}]
        answers = {told(send(doors, key, ELSEWHERE, g, **how))[:2] for g in guesses}
        moved = send(doors, key, ELSEWHERE, guesses[0], longitude=10.5, **how)
        answers.add(told(moved)[:2])
        assert len(answers) == 1, answers
        status, text = answers.pop()
        assert status == 403, text
        assert not [v for v in ELSEWHERE.values.values() if v in text]
    everybody = doors.granted(Terms(Role.READER, "*"))
    asked = "/collections/innerland/items/ID-innerland-b1/versions"
    (version,) = doors.client.get(asked, headers=everybody).json()["features"]
    assert version["properties"]["i_label"] == ELSEWHERE.values["i_label"]


def test_features_of_no_county_are_refused_unread(own_secret_doors: SecretDoors) -> None:
    """What has no code lies in nobody's county: it is not to be guessed at either."""
    doors = own_secret_doors
    key = doors.granted(Terms(Role.EDITOR, "*", IN_A))
    nowhere = Place("innerland", "ID-innerland-n1", "", 10.7, {"i_label": "nobody's label"})
    stated = [Insert({"no": nowhere.id, **nowhere.values}, Point(10.7, 50.5), valid_from=START)]
    doors.store.commit({"innerland": stated}, Writer("tests"), "a place of no county")
    for how in ({"dry-run": "true"}, {}):
        right, wrong = (
            told(send(doors, key, nowhere, {"i_label": v}, **how))[:2]
            for v in ("nobody's label", "another's label")
        )
        assert right == wrong
        assert right[0] == 403


@pytest.mark.parametrize("fields", [("internal",), ("internal", "o_owner"), ("o_owner",)])
def test_a_restricted_field_that_was_granted_lets_no_other_be_guessed(
    own_secret_doors: SecretDoors, fields: tuple[str, ...]
) -> None:
    doors = own_secret_doors
    place = next(p for p in PLACES if p.id == "ID-openland-b1")
    key = doors.granted(Terms(Role.EDITOR, "layer:openland", fields=fields))
    right, wrong = (
        told(send(doors, key, place, {"o_phone": v}, **{"dry-run": "true"}))[:2]
        for v in (place.values["o_phone"], "another phone")
    )
    assert right == wrong
    assert right[0] == 403


def test_restricted_values_cannot_be_guessed_by_whom_they_are_not_open_to(
    own_secret_doors: SecretDoors,
) -> None:
    doors = own_secret_doors
    key = doors.granted(Terms(Role.PUBLISHER, "*"))
    right, wrong = HERE.values["i_owner"], "z" * len(HERE.values["i_owner"])
    for how in ({"dry-run": "true"}, {}, {"dry-run": "true", "mode": "reload", "consent": "true"}):
        answers = [told(send(doors, key, HERE, {"i_owner": v}, **how)) for v in (right, wrong)]
        assert answers[0] == answers[1]
        assert answers[0][0] == 403


def test_internal_values_cannot_be_guessed_by_whom_they_are_not_open_to(
    own_secret_doors: SecretDoors,
) -> None:
    """An editor of the public fields states an internal one: right or wrong, the answer is one."""
    doors = own_secret_doors
    key = doors.granted(Terms(Role.EDITOR, "*", fields=("public",)))
    right, wrong = HERE.values["i_note"], "z" * len(HERE.values["i_note"])
    how = {"dry-run": "true", "valid-from": "2020-01-01"}
    answers = [told(send(doors, key, HERE, {"i_note": v}, **how))[:2] for v in (right, wrong)]
    assert answers[0] == answers[1]


def test_what_is_kept_is_not_told_by_a_dry_run(own_secret_doors: SecretDoors) -> None:
    """An upload that leaves out what its writer does not see keeps it, and counts the same."""
    doors = own_secret_doors
    key = doors.granted(Terms(Role.EDITOR, "*", fields=("internal",)))
    stated = {"i_code": "330106001", "i_label": HERE.values["i_label"], "i_note": "another"}
    done = send(doors, key, HERE, stated, **{"dry-run": "true"}).json()
    assert (done["changed"], done["unchanged"]) == (1, 0)
    assert send(doors, key, HERE, stated).status_code == 201
    reader = doors.granted(Terms(Role.READER, "*", fields=(RESTRICTED,)))
    asked = "/collections/innerland/items/ID-innerland-a1"
    found = doors.client.get(asked, headers=reader).json()["properties"]
    assert found["i_owner"] == HERE.values["i_owner"]


@pytest.mark.parametrize("role", [Role.READER, Role.REVIEWER, Role.ADMINISTRATOR])
def test_who_may_not_write_is_told_nothing_of_the_layer(
    own_secret_doors: SecretDoors, role: Role
) -> None:
    key = own_secret_doors.granted(Terms(role, "*"))
    right, wrong = (
        told(send(own_secret_doors, key, HERE, {"i_note": v}))[:2]
        for v in (HERE.values["i_note"], "another")
    )
    assert right == wrong
    assert right[0] in (403, 404)
