"""OpenAPI in both versions that clients read: 3.0, which the suites ask for, and 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from services.access.rules import SAFE, Rule
from services.openapi import SEE_OTHER

OPENAPI_3_0 = "application/vnd.oai.openapi+json;version=3.0"
OPENAPI_3_1 = "application/vnd.oai.openapi+json;version=3.1"
_NEWER = ("contentMediaType", "contentEncoding")
_PROBLEM = {"$ref": "#/components/responses/Problem"}
# What any request can be answered with, whatever it asks: it is malformed, its credential is
# wrong, it is too long, it comes too often, or the database is away.
_ANY = (400, 401, 414, 429, 431, 503)
# What one with a body can be: of another site's form, too slow, too large.
_BODY = (403, 408, 413)


def wants_3_1(request: Request) -> bool:
    """Return whether the document is asked for as OpenAPI 3.1: by ``f``, or by ``Accept``."""
    f = request.query_params.get("f")
    if f is not None:
        return f == "oas31"
    accepted = request.headers.get("accept", "").lower().replace(" ", "").replace('"', "")
    return _weight(accepted, OPENAPI_3_1) > _weight(accepted, OPENAPI_3_0)


def _weight(accepted: str, media_type: str) -> float:
    """The weight of one version: what names no version asks for 3.0 as well as for 3.1."""
    for part in accepted.split(","):
        name, _, weight = part.partition(";q=")
        if name == media_type:
            try:
                return float(weight or 1)
            except ValueError:
                return 0.0
    return 0.0


def as_3_0(value: Any) -> Any:
    """Bring JSON Schema of OpenAPI 3.1 down to 3.0: null as a type becomes nullable.

    What 3.0 has no word for, as the media type of a text's content, is left out.

    >>> as_3_0({"anyOf": [{"type": "string"}, {"type": "null"}]})
    {'nullable': True, 'type': 'string'}
    """
    if isinstance(value, list):
        return [as_3_0(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    choices = value.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [as_3_0(c) for c in choices if c != {"type": "null"}]
        other = {k: as_3_0(v) for k, v in value.items() if k not in ("anyOf", "default")}
        return other | {"nullable": True} | (rest[0] if len(rest) == 1 else {"anyOf": rest})
    return {k: as_3_0(v) for k, v in value.items() if k not in _NEWER or not isinstance(v, str)}


def as_3_1(value: Any) -> Any:
    """Bring a document of OpenAPI 3.0 up to 3.1: what is nullable has null as a type too.

    >>> as_3_1({"nullable": True, "type": "string", "maxLength": 3})
    {'type': ['string', 'null'], 'maxLength': 3}
    """
    if isinstance(value, list):
        return [as_3_1(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    plain = {k: as_3_1(v) for k, v in value.items() if k != "nullable" or not _is_truth(v)}
    if value.get("nullable") is not True:
        return plain
    if "enum" in plain:
        plain["enum"] = [*plain["enum"], None]
    if isinstance(plain.get("type"), str):
        return plain | {"type": [plain["type"], "null"]}
    return {"anyOf": [plain, {"type": "null"}]}


def _is_truth(value: Any) -> bool:
    # A property may be called nullable too: then it has a schema.
    return isinstance(value, bool)


def with_common(operation: Mapping[str, Any], method: str, rule: Rule | None) -> dict[str, Any]:
    """Return an operation with the answers that are no matter of its own.

    Parameters
    ----------
    rule : Rule or None
        What the route asks of whoever comes; None where that is not known here.
    """
    safe = method.upper() in SAFE
    codes = [*_ANY, *(() if safe else _BODY)]
    if rule in (Rule.WRITE, Rule.ADMINISTER):
        codes.append(403)
    responses: dict[str, Any] = {str(code): _PROBLEM for code in codes}
    # A browser is sent to the login page, or from a form back to the page that it came from.
    if rule in (Rule.WRITE, Rule.ADMINISTER, Rule.SIGNED_IN):
        responses["303"] = SEE_OTHER
    refusals = {code: _PROBLEM for code in operation["responses"] if code[0] in "45"}
    stated = {**operation["responses"], **refusals}
    if safe and rule is None:
        stated["200"] = _with_page(stated["200"])
    return {**operation, "responses": {**responses, **stated}}


def _with_page(response: Mapping[str, Any]) -> dict[str, Any]:
    """What FastAPI does not say of its routes: each of them is there as a page too."""
    page = {"text/html": {"schema": {"type": "string"}}}
    return {**response, "content": {**response["content"], **page}}
