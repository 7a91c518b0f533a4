"""Whom a provider vouches for, as read from the claims of a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.errors import BadToken

LONGEST = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider vouches for. Issuer and subject together never change; the rest may.

    Attributes
    ----------
    issuer, subject : str
        Who says so, and its name for the person (or the program): the pair to keep grants by.
    name : str
        For people to read.
    email : str or None
        Absent where the provider says that it is not verified. Nothing to keep grants by.
    department : str or None
        What the department claim says, where that is one text.
    """

    issuer: str
    subject: str
    name: str = field(repr=False)  # logs hold no personal data
    email: str | None = field(default=None, repr=False)
    department: str | None = None


def read_identity(claims: Mapping[str, Any], issuer: str, department_claim: str) -> Identity:
    """Return the identity that verified claims speak of.

    A department that is a list counts where it has one entry: of several, none is *the* one.

    Raises
    ------
    BadToken
        Where the subject is no short text.

    Examples
    --------
    >>> read_identity({"sub": "17", "ou": ["roads"]}, "https://login.example", "ou")
    Identity(issuer='https://login.example', subject='17', department='roads')
    """
    subject = _text(claims.get("sub"))
    if subject is None:
        raise BadToken("its sub is no short text")
    name = _text(claims.get("name")) or _text(claims.get("preferred_username")) or subject
    unverified = str(claims.get("email_verified")).lower() == "false"  # some write it as a text
    department = claims.get(department_claim)
    if isinstance(department, list) and len(department) == 1:
        department = department[0]
    email = None if unverified else _text(claims.get("email"))
    return Identity(issuer, subject, name, email, _text(department))


def _text(value: object) -> str | None:
    """A short text to show and to store, or None: PostgreSQL takes no NUL, and a log no line."""
    if not isinstance(value, str) or not value.isprintable():
        return None
    stripped = value.strip()
    return stripped if 0 < len(stripped) <= LONGEST else None
