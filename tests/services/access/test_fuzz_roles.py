"""Every route as every role, with nasty values: nothing breaks, nothing shows that is not theirs.

The routes are the application's own; values are those that broke something somewhere, and names of
hidden layers, fields and features.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from city_doors import SecretDoors
from city_roles import PEOPLE, Person, by_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secret_city import FIELDS, LAYERS
from test_matrix import allowed, found_in, told_administrators

from services.app import routes_of

NASTY = (
    "", " ", "\x00", "%", "..", "../../etc/passwd", "/", "\\", "\n", "\r\n\r\n", "\ufffd", "𝒳",
    "'", '"', "'; DROP TABLE live.openland; --", "${7*7}", "{{7*7}}", "<script>", "nan", "inf",
    "1e400", "-1", "0", "1", "2", "3", "99999999999999999999", "2147483648", "true", "null", "[]",
    "0001-01-01", "9999-12-31", "../..", "2021-01-01/..", "-180,-90,180,90", "10,50,11,51",
    "x" * 3000,
    "html", "json", "mvt", "WebMercatorQuad", "approved", "refused", "*", "layer:openland",
    "layer:privland", "department:water", "reader", "administrator", "330106", "restricted",
    "POLYGON ((0 0, 1 0, 1 1, 0 0))", "person:0000", "key:0000",
)  # fmt: skip
NAMES = (
    "f", "bbox", "datetime", "revision", "recorded", "commit", "limit", "token", "document", "next",
    "since", "actor", "layer", "action", "state", "code", "iss", "mode", "valid-from", "dry-run",
)  # fmt: skip
FORM = (
    "name", "days", "role", "layers", "division", "area", "fields", "seen_from", "seen_to",
    "begins", "ends", "reason", "grantee", "decision", "answer", "closed", "csrf", "key", "next",
)  # fmt: skip
hidden = [*LAYERS, *(name for fields in FIELDS.values() for name in fields)]
values = st.one_of(st.sampled_from(NASTY), st.sampled_from(hidden), st.text(max_size=20))
# What changes what others of these tests see is asked by strangers and readers alone.
READS = frozenset({"GET", "HEAD", "OPTIONS"})


def may_change(who: Person) -> bool:
    """Whether a request of theirs could change the city for those who come after."""
    return any(word in who.name for word in ("editor", "publisher", "reviewer", "administrator"))


@st.composite
def requests(draw: Any, templates: list[tuple[str, str]]) -> tuple[str, str, dict[str, Any]]:
    """A method, an address, and what is sent along."""
    method, template = draw(st.sampled_from(templates))
    path = re.sub(
        r"\{(\w+)(:path)?\}", lambda _: quote(draw(values), safe=draw(st.sampled_from(["", "/"]))),
        template,
    )  # fmt: skip
    names = st.one_of(st.sampled_from(NAMES), st.sampled_from(hidden))
    pairs = draw(st.lists(st.tuples(names, values), max_size=3))
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs)
    more: dict[str, Any] = {}
    if method not in READS:
        form = draw(st.dictionaries(st.sampled_from(FORM), values, max_size=5))
        form = {k: v.replace("\x00", "") for k, v in form.items()}
        more = draw(st.sampled_from([{"data": form}, {"json": form}, {"content": b"{"}, {}]))
    return method, f"{path}?{query}" if query else path, more


def test_nothing_breaks_and_nothing_shows(secret_doors: SecretDoors) -> None:
    templates = [
        (method, route.path)
        for route in routes_of(secret_doors.app)
        for method in sorted({*(route.methods or ()), "GET", "POST"})
    ]

    @settings(
        max_examples=400,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        asked=requests(sorted(set(templates))),
        name=st.sampled_from(sorted(by_name())),
        accept=st.sampled_from(["*/*", "text/html"]),
    )
    def ask(asked: tuple[str, str, dict[str, Any]], name: str, accept: str) -> None:
        method, address, more = asked
        who = by_name()[name]
        if method not in READS and may_change(who):
            return
        answer = secret_doors.ask(
            name, f"http://testserver{address}", method, headers={"Accept": accept}, **more
        )
        assert answer.status_code < 500, (name, method, address, answer.text)
        sent = f"{address} {more}"
        theirs = allowed(who) | told_administrators(who)
        shown = {t for t in found_in(answer) if t not in theirs and t not in sent}
        assert not shown, (name, method, address, shown)

    assert len(PEOPLE) > 10
    ask()
