"""Which of the platform's two languages an answer is asked for in."""

from __future__ import annotations

from starlette.requests import Request

from layers.model import Title

OFFERED = ("zh", "en")


def read_language(request: Request) -> str | None:
    """Return ``zh`` or ``en``, as ``Accept-Language`` prefers; None where it prefers neither.

    Regions and scripts make no difference: ``zh-Hant-TW`` is ``zh``.
    """
    weights = dict.fromkeys(OFFERED, 0.0)
    for part in request.headers.get("accept-language", "").split(","):
        name, *parameters = (p.strip() for p in part.split(";"))
        language = name.lower().partition("-")[0]
        if language in weights:
            weights[language] = max(weights[language], _weight(parameters))
    if weights["zh"] == weights["en"]:
        return None
    return max(OFFERED, key=lambda language: weights[language])


def told(title: Title, language: str | None) -> str:
    """Return a text in one language, or in both where none is preferred.

    >>> told(Title("Parcels", "宗地"), "en"), told(Title("Parcels", "宗地"), None)
    ('Parcels', '宗地 · Parcels')
    """
    if language is not None:
        return title.zh if language == "zh" else title.en
    return title.zh if title.zh == title.en else f"{title.zh} · {title.en}"


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
