"""The rates: what is admitted, when one may ask again, and that memory is bounded."""

from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.rates import Rates, parse_rate
from services.errors import BadSettings, TooManyRequests


class Clock:
    """Goes only when told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def refusal(rates: Rates, caller: str = "a") -> TooManyRequests | None:
    try:
        rates.admit(caller)
    except TooManyRequests as error:
        return error
    return None


def admitted(rates: Rates, caller: str = "a") -> bool:
    return refusal(rates, caller) is None


@given(
    limit=st.integers(1, 6),
    within=st.integers(1, 5),
    waits=st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 3, width=16)), min_size=1, max_size=80
    ),
)
def test_as_the_log_of_all_requests_says(
    limit: int, within: int, waits: list[tuple[str, float]]
) -> None:
    """The definition, from a list of all that was admitted."""
    clock = Clock()
    rates = Rates(f"{limit}/{within}seconds", clock=clock)
    log: list[tuple[str, float]] = []
    for caller, wait in waits:
        clock.now += wait
        begin = clock.now - clock.now % within
        now = sum(c == caller and t >= begin for c, t in log)
        before = sum(c == caller and begin - within <= t < begin for c, t in log)
        part = (begin + within - clock.now) / within
        expected = floor(before * part + now) + 1 <= limit
        assert admitted(rates, caller) is expected
        if expected:
            log.append((caller, clock.now))


@given(
    limit=st.integers(1, 50),
    within=st.integers(1, 100),
    waits=st.lists(st.floats(0, 30, width=16), min_size=1, max_size=120),
)
def test_retry_after_is_true(limit: int, within: int, waits: list[float]) -> None:
    """Asked again after it, one is admitted; just before it, one is not."""
    clock = Clock(12345.678)
    rates = Rates(f"{limit}/{within}seconds", clock=clock)
    for wait in waits:
        clock.now += wait
        refused, asked = refusal(rates), clock.now
        if refused is None:
            continue
        assert 0 < refused.retry_after_s <= within + 0.002
        assert refused.retry_after_s <= refused.seconds < refused.retry_after_s + 1.01
        clock.now = asked + refused.retry_after_s - 0.002
        assert clock.now < asked or not admitted(rates)
        clock.now = asked + refused.retry_after_s
        assert admitted(rates)


def test_callers_are_counted_apart() -> None:
    rates = Rates("2/minute", clock=Clock())
    assert [admitted(rates, "a") for _ in range(3)] == [True, True, False]
    assert [admitted(rates, "b") for _ in range(3)] == [True, True, False]


def test_who_hammers_is_not_shut_out_for_ever() -> None:
    """What was refused isn't counted: with ten times the rate one gets the rate."""
    clock = Clock(6000.0)
    rates = Rates("60/minute", clock=clock)
    passed = 0
    for _ in range(6000):
        clock.now += 0.1
        passed += admitted(rates)
    assert 590 <= passed <= 660


def test_wrong_credentials_are_counted_apart_from_requests() -> None:
    clock = Clock()
    rates = Rates("1/minute", "3/minute", clock=clock)
    for _ in range(3):
        rates.check_failures("a")
        rates.penalise("a")
    with pytest.raises(TooManyRequests, match="wrong credentials") as refused:
        rates.check_failures("a")
    rates.check_failures("b")
    assert admitted(rates, "a")
    clock.now += refused.value.seconds
    rates.check_failures("a")


def test_a_flood_of_callers_takes_no_more_memory() -> None:
    rates = Rates("10/minute", most_callers=1000, clock=Clock())
    for number in range(20_000):
        rates.admit(f"address:2001:db8:{number:x}::/64")
    assert len(rates) == 1000
    # Who was seen last is still known.
    assert [admitted(rates, "address:2001:db8:4e1f::/64") for _ in range(10)] == [True] * 9 + [
        False
    ]


def test_addresses_are_not_kept_for_long() -> None:
    clock = Clock(6000.0)
    rates = Rates("10/minute", clock=clock)
    for number in range(100):
        rates.admit(f"old {number}")
    clock.now += 121
    for number in range(100):
        rates.admit(f"new {number}")
    assert len(rates) == 100


@pytest.mark.parametrize(
    "text",
    ["", "often", "3000", "0/minute", "-1/minute", "3/fortnight", "1/second;9/minute", "１/s"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match="3000/minute"):
        parse_rate(text)
