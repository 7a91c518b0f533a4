"""Access applied for, approved, in force, over; and what nobody can give to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from city_doors import SecretDoors

from layers.access.grants import Role, Terms
from layers.access.people import begin_session, welcome
from layers.clock import system_clock

APPLY = {"role": "reader", "layers": "layer:innerland", "fields": "restricted", "reason": "a case"}
ADMINISTRATOR = Terms(Role.ADMINISTRATOR)
OF_OPENLAND = Terms(Role.ADMINISTRATOR, "layer:openland")


def post(doors: SecretDoors, who: Any, path: str, **form: str) -> Any:
    return doors.client.post(path, data=form, headers=who, follow_redirects=False)


def sees(doors: SecretDoors, who: Any, layer: str = "innerland") -> bool:
    answer = doors.client.get(f"/collections/{layer}/items", headers=who)
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


def test_what_is_applied_for_and_approved_is_in_force(own_secret_doors: SecretDoors) -> None:
    doors = own_secret_doors
    who, chief = doors.granted(), doors.granted(ADMINISTRATOR)
    assert not sees(doors, who)
    made = post(doors, who, "/account/applications", **APPLY).json()
    assert not sees(doors, who)
    waiting = doors.client.get("/admin", headers=chief).json()["applications"]
    assert [a["id"] for a in waiting] == [made["id"]]
    decision = f"/admin/applications/{made['id']}/decision"
    assert post(doors, chief, decision, decision="approved").status_code == 200
    page = doors.client.get("/collections/innerland/items", headers=who).json()
    assert page["features"][0]["properties"]["i_owner"]
    account = doors.client.get("/account", headers=who).json()
    (grant,) = account["grants"]
    assert (grant["application"], grant["fields"]) == (made["id"], ["restricted"])
    assert post(doors, chief, f"/admin/grants/{grant['id']}/end").status_code == 200
    assert not sees(doors, who)
    # It can't be decided twice.
    assert post(doors, chief, decision, decision="approved").status_code == 404
    assert not sees(doors, who)


def test_what_is_refused_or_withdrawn_is_not(own_secret_doors: SecretDoors) -> None:
    doors = own_secret_doors
    who, chief = doors.granted(), doors.granted(ADMINISTRATOR)
    for end in ("refused", "withdrawn"):
        made = post(doors, who, "/account/applications", **APPLY).json()
        if end == "refused":
            path = f"/admin/applications/{made['id']}/decision"
            assert post(doors, chief, path, decision="refused").status_code == 200
        else:
            path = f"/account/applications/{made['id']}/withdrawal"
            other = doors.granted()
            assert post(doors, other, path).status_code == 404
            assert post(doors, who, path).status_code == 200
        assert not sees(doors, who)


def test_nobody_approves_their_own(own_secret_doors: SecretDoors) -> None:
    doors = own_secret_doors
    chief = doors.granted(ADMINISTRATOR)
    made = post(doors, chief, "/account/applications", **APPLY).json()
    path = f"/admin/applications/{made['id']}/decision"
    assert post(doors, chief, path, decision="approved").status_code == 403
    own = doors.client.get("/account", headers=chief).json()["id"]
    assert post(doors, chief, "/admin/grants", grantee=own, **APPLY).status_code == 403
    assert not sees(doors, chief)


def test_nobody_grants_to_their_own_department(own_secret_doors: SecretDoors) -> None:
    """What a department is granted, its administrator is granted too."""
    doors = own_secret_doors
    now = system_clock()
    with doors.store.database.keep() as connection:
        said = ("https://login.example", "chief", now)
        chief = welcome(connection, *said, name="chief", department="planning")
        secret = begin_session(connection, chief.caller, now)
    first = doors.granted(ADMINISTRATOR)
    given = post(doors, first, "/admin/grants", grantee=chief.caller, role="administrator")
    assert given.status_code == 200
    browser = {"Cookie": f"shikong_session={secret}"}
    page = doors.client.get("/account?f=html", headers=browser).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    browser |= {"X-CSRF-Token": token}
    own = "department:planning"
    assert post(doors, browser, "/admin/grants", grantee=own, **APPLY).status_code == 403
    assert not sees(doors, {"Cookie": browser["Cookie"]})
    other = post(doors, browser, "/admin/grants", grantee="department:roads", **APPLY)
    assert other.status_code == 200


def test_a_layer_s_administrator_gives_away_that_layer_alone(
    own_secret_doors: SecretDoors,
) -> None:
    doors = own_secret_doors
    who = doors.granted()
    name = doors.client.get("/account", headers=who).json()["id"]
    chief = doors.granted(OF_OPENLAND)
    terms = {"role": "reader", "fields": "restricted"}
    given = post(doors, chief, "/admin/grants", grantee=name, layers="layer:openland", **terms)
    assert given.status_code == 200
    for layers in ("*", "layer:innerland", "department:water", "layer:privland", "layer:nowhere"):
        for role in ("reader", "editor", "administrator"):
            stated = {"layers": layers, "role": role, "fields": "internal"}
            answer = post(doors, chief, "/admin/grants", grantee=name, **stated)
            assert answer.status_code == 403, layers
            assert post(doors, chief, "/admin/keys", name="k", **stated).status_code == 403
    for path in ("/admin/keys/00000000/revocation", "/admin/people/00000000/door"):
        assert post(doors, chief, path).status_code == 403
    made = post(doors, who, "/account/applications", **APPLY).json()
    path = f"/admin/applications/{made['id']}/decision"
    assert post(doors, chief, path, decision="approved").status_code == 404
    assert not sees(doors, who)


def test_what_others_were_granted_is_not_a_layer_administrator_s_to_know(
    own_secret_doors: SecretDoors,
) -> None:
    """By number, grants and applications of other layers are as if they had never been."""
    doors = own_secret_doors
    who = doors.granted(Terms(Role.READER, "layer:privland"))
    made = post(doors, who, "/account/applications", **APPLY | {"layers": "layer:privland"}).json()
    grant = doors.client.get("/account", headers=who).json()["grants"][0]["id"]
    chief = doors.granted(OF_OPENLAND)
    for path, number in (("grants/{}/end", grant), ("applications/{}/decision", made["id"])):
        there, never = (
            post(doors, chief, f"/admin/{path.format(n)}", decision="approved")
            for n in (number, 999_999)
        )
        assert there.status_code == never.status_code == 404
        assert there.text.replace(str(number), "999999") == never.text
    page = doors.client.get("/admin", headers=chief).json()
    assert "privland" not in str(page)
    assert sees(doors, who, "privland")


@pytest.mark.parametrize("terms", [
    {"role": "king"},
    {"layers": "innerland"},
    {"fields": "a b; DROP TABLE"},
    {"division": "33%"},
    {"division": "33_"},
    {"area": "POINT (0 0)"},
    {"area": "POLYGON ((0 0, 500 0, 500 500, 0 0))"},
    {"ends": "2001-01-01"},
    {"ends": "never"},
    {"seen_from": "2025-01-01", "seen_to": "2020-01-01"},
    {"role": "administrator", "division": "330106"},
])  # fmt: skip
def test_terms_that_can_not_be_are_refused(
    own_secret_doors: SecretDoors, terms: dict[str, str]
) -> None:
    doors = own_secret_doors
    name = doors.client.get("/account", headers=doors.granted()).json()["id"]
    stated = APPLY | terms
    answer = post(doors, doors.granted(ADMINISTRATOR), "/admin/grants", grantee=name, **stated)
    assert answer.status_code == 400


def test_grants_end_by_themselves(own_secret_doors: SecretDoors) -> None:
    doors = own_secret_doors
    now = system_clock()
    soon = doors.granted(Terms(Role.READER, begins=now + timedelta(hours=1)))
    assert not sees(doors, soon)
    until = doors.granted(Terms(Role.READER, ends=now + timedelta(hours=1)))
    assert sees(doors, until)
    later = doors.store.with_clock(lambda: now + timedelta(hours=2))
    text = until["Authorization"].removeprefix("Bearer ")
    assert later.register.by_key(text).terms == ()
    begun = soon["Authorization"].removeprefix("Bearer ")
    assert len(later.register.by_key(begun).terms) == 1


def test_a_made_key_is_shown_once(own_secret_doors: SecretDoors) -> None:
    doors = own_secret_doors
    chief = doors.granted(ADMINISTRATOR)
    made = post(doors, chief, "/admin/keys", name="new", days="1", role="reader", layers="*").json()
    assert sees(doors, {"X-API-Key": made["key"]})
    for path in ("/admin", "/admin?f=html", "/admin/audit", "/account"):
        assert made["key"] not in doors.client.get(path, headers=chief).text
