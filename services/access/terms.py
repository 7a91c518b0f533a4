"""Terms of grants as people write and read them: forms, options, documents, sentences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import shapely

from layers.access.applications import Application
from layers.access.grants import Grant, Role, Terms, check_terms
from layers.errors import BadGrant
from layers.territories import Territory, read_area
from spatial.errors import SpatialError
from spatial.periods import format_instant, parse_instant

ZONE = ZoneInfo("Asia/Shanghai")
NAMES = (
    "role",
    "layers",
    "division",
    "area",
    "fields",
    "seen_from",
    "seen_to",
    "begins",
    "ends",
    "reason",
)


def read_terms(stated: Mapping[str, str | None]) -> Terms:
    """Read terms from texts by the names of `NAMES`; an empty text is none.

    Dates are read in Asia/Shanghai.

    Raises
    ------
    BadGrant, BadTerritory
        Saying what is wrong with them.

    Examples
    --------
    >>> read_terms({"role": "reader", "fields": "internal, right_holder"}).fields
    ('internal', 'right_holder')
    """
    text = {name: (stated.get(name) or "").strip() for name in NAMES}
    try:
        role = Role(text["role"])
    except ValueError:
        raise BadGrant(f"role {text['role']!r}: one of {', '.join(Role)}") from None
    fields = tuple(text["fields"].replace(",", " ").split())
    return check_terms(
        Terms(
            role,
            text["layers"] or "*",
            Territory(
                text["division"] or None,
                read_area(text["area"]) if text["area"] else None,
                _instant("seen_from", text["seen_from"]),
                _instant("seen_to", text["seen_to"]),
            ),
            fields or ("internal",),
            _instant("begins", text["begins"]),
            _instant("ends", text["ends"]),
            text["reason"],
        )
    )


def terms_document(terms: Terms) -> dict[str, Any]:
    """Return terms as JSON has them; what is not stated is left out."""
    place = terms.territory
    area = None if place.area is None else orjson.loads(shapely.to_geojson(_shape(place.area)))
    document = {
        "role": terms.role.value,
        "layers": terms.layers,
        "division": place.division,
        "area": area,
        "fields": list(terms.fields),
        "seen_from": _text(place.start),
        "seen_to": _text(place.end),
        "begins": _text(terms.begins),
        "ends": _text(terms.ends),
        "reason": terms.reason or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def grant_document(grant: Grant) -> dict[str, Any]:
    """Return a grant as JSON has it."""
    document = {
        "id": grant.id,
        "grantee": grant.grantee,
        **terms_document(grant.terms),
        "given": _text(grant.given_at),
        "given_by": grant.given_by,
        "application": grant.application,
        "taken": _text(grant.taken_at),
        "taken_by": grant.taken_by,
    }
    return {name: value for name, value in document.items() if value is not None}


def application_document(made: Application) -> dict[str, Any]:
    """Return an application as JSON has it."""
    document = {
        "id": made.id,
        "applicant": made.applicant,
        **terms_document(made.terms),
        "made": _text(made.made_at),
        "decision": made.decision.value if made.decision else None,
        "decided": _text(made.decided_at),
        "decided_by": made.decided_by,
        "answer": made.answer or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def summary(terms: Terms) -> str:
    """Return terms as one line for people.

    >>> summary(Terms(Role.READER, "layer:parcels", Territory(division="330106")))
    'reader of layer:parcels in division 330106; fields internal'
    """
    place, parts = terms.territory, [f"{terms.role} of {terms.layers}"]
    if place.division is not None:
        parts.append(f"in division {place.division}")
    if place.area is not None:
        bounds = ", ".join(f"{b:.3f}" for b in _shape(place.area).bounds)
        parts.append(f"within an area ({bounds})")
    if place.start or place.end:
        parts.append(f"of {_text(place.start) or '..'}/{_text(place.end) or '..'}")
    told = " ".join(parts) + f"; fields {' '.join(terms.fields)}"
    if terms.begins or terms.ends:
        told += f"; holds {_text(terms.begins) or '..'}/{_text(terms.ends) or '..'}"
    return told


def _shape(wkb: bytes) -> Any:
    return shapely.from_wkb(wkb)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _instant(name: str, text: str) -> datetime | None:
    try:
        return parse_instant(text, ZONE) if text else None
    except SpatialError as error:
        raise BadGrant(f"{name}: {error}") from None
