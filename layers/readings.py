"""How the text of a source was read, where its format leaves that open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadAs:
    """What text of a source was taken for, for a report.

    Attributes
    ----------
    what : str
        ``encoding`` or ``separator``.
    stated_by : str
        ``publisher``, ``source``, or ``found``: nobody stated it, and all of the text is such.
    """

    what: str
    value: str
    stated_by: str

    def document(self) -> dict[str, str]:
        """Return it as JSON has it.

        Examples
        --------
        >>> ReadAs("separator", ";", "found").document()
        {'value': ';', 'stated_by': 'found'}
        """
        return {"value": self.value, "stated_by": self.stated_by}

    def __str__(self) -> str:
        said = {"found": "as was found", "source": "as the source says"}
        by = said.get(self.stated_by, "as the publisher says")
        # A sign that is hardly seen has a name.
        return f"{self.what}: {_NAMES.get(self.value, self.value)}, {by}"


_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
