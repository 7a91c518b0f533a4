"""What was, over HTTP, against the naive model: changes, what differs, change dates, counts."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import naive_model as naive
import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from pairs import History, Pair, boundaries, day, forget_all, shape_number
from starlette.testclient import TestClient
from test_store_model import histories

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.store import Store, open_store
from services.app import create_app
from services.settings import Settings
from spatial.periods import format_instant
from tests.databases import Databases

PROBED = 12
Content = dict[str, Any]
Believed = dict[tuple[str, datetime, datetime], Content]


@dataclass
class Door:
    """An application whose clock is that of the example."""

    store: Store
    client: TestClient
    now: datetime

    def ask(self, address: str, **asked: Any) -> Any:
        answer = self.client.get(address, params=asked or None)
        assert answer.status_code == 200, answer.text
        return answer

    def lines(self, address: str, **asked: Any) -> list[dict[str, Any]]:
        """The changes that a stream has, which must be whole."""
        heading, *lines, end = map(json.loads, self.ask(address, **asked).content.splitlines())
        assert (heading["type"], end["type"]) == ("Changes", "End")
        assert end["numberReturned"] == len(lines)
        return lines

    def enter(self) -> None:
        """Come with a key that shows internal fields, and none that is restricted."""
        with self.store.database.keep() as connection:
            end = self.now + timedelta(days=10_000)
            made, text = create_key(connection, "a key", self.now, expires_at=end)
            give(connection, made.caller, Terms(Role.READER), "tests", self.now)
        self.client.headers["Authorization"] = f"Bearer {text}"


@pytest.fixture(scope="module")
def door(
    empty_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Door]:
    own = Settings(tmp_path_factory.mktemp("data"), rate="1000000/second")
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as opened:
        clock: list[Door] = []
        store = opened.with_clock(lambda: clock[0].now)
        store.follow()
        with TestClient(create_app(store, own)) as client:
            clock.append(Door(opened, client, day(0)))
            yield clock[0]


def publish(door: Door, history: History) -> Pair:
    forget_all(door.store.database)
    pair = Pair(door.store, f"past_{history.duplicates}_{history.event:d}", history)
    for step in history.steps:
        pair.publish(step)
    door.now = pair.now
    door.enter()
    return pair


def content_of(feature: dict[str, Any]) -> Content:
    shape = feature["geometry"]
    number = shape_number(None if shape is None else shapely.from_geojson(json.dumps(shape)))
    values = dict(feature["properties"]) | {"geometry": number}
    if values.get("reported") is not None:
        values["reported"] = datetime.fromisoformat(values["reported"])
    return values


def period_of(feature: dict[str, Any]) -> tuple[datetime, datetime]:
    start, end = feature["time"]["interval"]
    ends = naive.FOREVER if end == ".." else datetime.fromisoformat(end)
    return datetime.fromisoformat(start), ends


def replayed(lines: list[dict[str, Any]], head: int) -> list[Believed]:
    """What somebody believes after each revision who only heard of the changes."""
    beliefs: list[Believed] = [{}]
    by_revision = {r: list(g) for r, g in itertools.groupby(lines, lambda x: x["revision"])}
    assert list(by_revision) == sorted(by_revision)
    for revision in range(1, head + 1):
        believed = dict(beliefs[-1])
        for line in by_revision.get(revision, []):
            key = (line["id"], *period_of(line))
            if line["change"] == "retracted":
                del believed[key]
            else:
                assert key not in believed
                believed[key] = content_of(line)
        beliefs.append(believed)
    return beliefs


def check_replay(door: Door, pair: Pair) -> None:
    """Replayed from 0 into nothing, the changes give the source at every (t, r)."""
    changes = f"/collections/{pair.id}/changes"
    lines = door.lines(changes)
    beliefs = replayed(lines, pair.model.head)
    instants = boundaries(pair)
    for revision in range(1, pair.model.head + 1):
        for t in instants[:: max(1, len(instants) // PROBED)]:
            found = {
                key: (start, end, content)
                for (key, start, end), content in beliefs[revision].items()
                if start <= t < end
            }
            expected = {
                key: (v.start, v.end, dict(v.content or ()))
                for key, v in pair.model.at(revision, t).items()
            }
            assert found == expected, (revision, t)


def check_resuming(door: Door, pair: Pair) -> None:
    changes = f"/collections/{pair.id}/changes"
    lines = door.lines(changes)
    for n, line in enumerate(lines):
        assert door.lines(changes, token=line["token"]) == lines[n + 1 :]
    paged, address = [], f"{changes}?f=ndjson&limit=3"
    while address:
        _, *some, end = map(json.loads, door.client.get(address).content.splitlines())
        assert 0 < len(some) <= 3 or not lines
        paged += some
        address = end["next"]
    assert paged == lines
    middle = pair.model.head // 2
    parts = [door.lines(changes, to=middle), door.lines(changes, **{"from": middle})]
    assert list(itertools.chain(*parts)) == lines


def check_differences(door: Door, pair: Pair) -> None:
    changes, head = f"/collections/{pair.id}/changes", pair.model.head
    instants = boundaries(pair)
    for t in instants[:: max(1, len(instants) // 5)]:
        for old, new in ((0, head), (head // 2, head)):
            asked = {"from": old, "to": new, "datetime": format_instant(t)}
            found = door.lines(changes, **asked)
            assert summed(found) == pair.model.diff((old, t), (new, t))
            for n, line in enumerate(found):
                assert door.lines(changes, **asked, token=line["token"]) == found[n + 1 :]
    first, last = instants[0], instants[-1]
    found = door.lines(changes, datetime=f"{format_instant(first)}/{format_instant(last)}")
    assert summed(found) == pair.model.diff((head, first), (head, last))


def summed(found: list[dict[str, Any]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {line["id"]: (line["change"], tuple(line["fields"])) for line in found}


def check_change_dates(door: Door, pair: Pair) -> None:
    dates = f"/collections/{pair.id}/change-dates"
    for revision in range(1, pair.model.head + 1):
        versions = [v for vs in pair.model.opens[revision].values() for v in vs]
        every = {t for v in versions for t in (v.start, v.end)} - {naive.FOREVER}
        # The point 1 lies in the box and no other.
        placed = [v for v in versions if dict(v.content or ())["geometry"] == 2]
        boxed = {t for v in placed for t in (v.start, v.end)} - {naive.FOREVER}
        assert instants_of(door, dates, revision=revision) == sorted(every)
        found = instants_of(door, dates, revision=revision, bbox="0.5,0,1.5,2")
        assert found == sorted(boxed)
        within = {"datetime": f"{format_instant(day(1))}/{format_instant(day(4))}"}
        found = instants_of(door, dates, revision=revision, **within)
        assert found == sorted(t for t in every if day(1) <= t <= day(4))
    told = door.ask(dates, axis="recorded").json()
    wrote = [
        r
        for r in range(1, pair.model.head + 1)
        if flat(pair.model.opens[r]) != flat(pair.model.opens[r - 1])
    ]
    assert told["revisions"] == wrote
    at = [datetime.fromisoformat(t) for t in told["instants"]]
    assert at == [pair.recorded[r - 1] for r in wrote]


def flat(belief: naive.Belief) -> set[Any]:
    return {(key, v) for key, versions in belief.items() for v in versions}


def instants_of(door: Door, dates: str, **asked: Any) -> list[datetime]:
    """By pages of three, each instant once."""
    found: list[str] = []
    document = door.ask(dates, limit=3, **asked).json()
    while True:
        found += document["instants"]
        following = [x["href"] for x in document["links"] if x["rel"] == "next"]
        if not following:
            return [datetime.fromisoformat(t) for t in found]
        assert document["numberReturned"] == 3
        document = door.ask(following[0]).json()


def check_counts(door: Door, pair: Pair) -> None:
    first, last = day(-1) + timedelta(hours=5), day(9)
    asked = {"period": "day", "by": "a"}
    asked["datetime"] = f"{format_instant(first)}/{format_instant(last)}"
    for revision in range(1, pair.model.head + 1):
        document = door.ask(f"/collections/{pair.id}/counts", revision=revision, **asked).json()
        values = [v["value"] for v in document["values"]]
        assert len(set(values)) == len(values)
        for bucket in document["buckets"]:
            start = datetime.fromisoformat(bucket["start"])
            expected = expected_counts(pair, revision, start, bucket, last)
            found = Counter(dict(zip(values, bucket["counts"], strict=True)))
            assert +found == expected, (revision, bucket)
            assert bucket["count"] == sum(expected.values())
        starts = [datetime.fromisoformat(b["start"]) for b in document["buckets"]]
        days = [day(n) for n in range(9)]
        assert starts == ([first, *days] if pair.schema.kind == "event" else days)
        assert paged_buckets(door, pair, revision, asked) == totals(document)


def expected_counts(
    pair: Pair, revision: int, start: datetime, bucket: dict[str, Any], last: datetime
) -> Counter[Any]:
    model = pair.model
    if pair.schema.kind != "event":
        return Counter(dict(v.content or ())["a"] for v in model.at(revision, start).values())
    end = datetime.fromisoformat(bucket["end"])
    # In the state that they have at the end of all that was asked for.
    state = (dict(v.content or ()) for v in model.at(revision, min(last, pair.now)).values())
    return Counter(c["a"] for c in state if c["reported"] and start <= c["reported"] < end)


def totals(document: dict[str, Any]) -> list[tuple[str, int]]:
    return [(b["start"], b["count"]) for b in document["buckets"]]


def paged_buckets(
    door: Door, pair: Pair, revision: int, asked: dict[str, Any]
) -> list[tuple[str, int]]:
    """The same by pages; of events their state may be another, their number is the same."""
    document = door.ask(f"/collections/{pair.id}/counts", revision=revision, limit=4, **asked)
    found = totals(document.json())
    while following := [x["href"] for x in document.json()["links"] if x["rel"] == "next"]:
        document = door.ask(following[0])
        found += totals(document.json())
    return found


@settings(
    max_examples=200 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_what_is_told_of_the_past_is_what_the_model_believes(door: Door, history: History) -> None:
    pair = publish(door, history)
    if pair.model.head:
        check_replay(door, pair)
        check_resuming(door, pair)
        check_differences(door, pair)
        check_change_dates(door, pair)
        check_counts(door, pair)
