"""What a client prefers of the answer to a change (RFC 7240): Prefer, and Preference-Applied."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

_PREFERENCE = re.compile(r'(?:^|,|;)\s*(return|handling)\s*=\s*"?([a-z]+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """What is preferred; None where nothing is said.

    Attributes
    ----------
    content : str or None
        ``representation``, ``minimal`` or ``none``, of what is sent back.
    handling : str or None
        ``strict`` or ``lenient``, with faults.
    """

    content: str | None = None
    handling: str | None = None

    @property
    def applied(self) -> dict[str, str]:
        """The header that says which preferences were followed; changes are always strict."""
        found = [] if self.content is None else [f"return={self.content}"]
        found += ["handling=strict"] if self.handling == "strict" else []
        return {"Preference-Applied": ", ".join(found)} if found else {}


def read_preference(request: Request) -> Preference:
    """Read what is preferred; what is not known is passed over, as the standard has it."""
    header = ", ".join(request.headers.getlist("prefer"))
    found: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(header):
        found.setdefault(name.lower(), value.lower())
    content, handling = found.get("return"), found.get("handling")
    return Preference(
        content if content in ("representation", "minimal", "none") else None,
        handling if handling in ("strict", "lenient") else None,
    )
