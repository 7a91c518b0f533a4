"""The queue: its bounds, its turns, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.queues import FairQueue
from services.errors import ClientGone, TooManyRequests


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@dataclass
class Naive:
    """What the queue promises, said as simply as it can be: lists, and a search for the next."""

    at_once: int
    each: int
    waiting_each: int
    waiting_all: int
    at_work: list[tuple[str, int]] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    def ask(self, request: tuple[str, int]) -> bool:
        caller = request[0]
        mine = sum(w[0] == caller for w in self.waiting)
        self.waiting.append(request)
        if caller not in self.callers:
            self.callers.append(caller)
        self.serve()
        if request in self.waiting and (
            mine >= self.waiting_each or len(self.waiting) > self.waiting_all
        ):
            self.leave(request)
            return False
        return True

    def leave(self, request: tuple[str, int]) -> None:
        (self.at_work if request in self.at_work else self.waiting).remove(request)
        self.serve()

    def serve(self) -> None:
        self.callers = [c for c in self.callers if any(w[0] == c for w in self.waiting)]
        for caller in list(self.callers):
            busy = sum(w[0] == caller for w in self.at_work)
            if len(self.at_work) < self.at_once and busy < self.each:
                first = next(w for w in self.waiting if w[0] == caller)
                self.waiting.remove(first)
                self.at_work.append(first)
                self.callers.remove(caller)
                self.callers.append(caller)
                self.serve()
                return


class Crowd:
    """Requests as tasks: each takes a place, works until told, and gives it back."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self.finish: dict[tuple[str, int], asyncio.Event] = {}
        self.gone: dict[tuple[str, int], asyncio.Future[None]] = {}
        self.at_work: list[tuple[str, int]] = []
        self.worked: list[tuple[str, int]] = []
        self.refused: list[tuple[str, int]] = []
        self.left: list[tuple[str, int]] = []

    def ask(self, request: tuple[str, int]) -> None:
        self.finish[request] = asyncio.Event()
        self.gone[request] = asyncio.get_running_loop().create_future()
        self.tasks[request] = asyncio.create_task(self._work(request))

    async def _work(self, request: tuple[str, int]) -> None:
        try:
            await self.queue.take(request[0], gone=self.gone[request])
        except TooManyRequests:
            self.refused.append(request)
            return
        except ClientGone:
            self.left.append(request)
            return
        self.at_work.append(request)
        try:
            self.check()
            await self.finish[request].wait()
            self.worked.append(request)
        finally:
            self.at_work.remove(request)
            self.queue.give_back(request[0])

    def check(self) -> None:
        """The bounds, counted by those at work themselves."""
        assert len(self.at_work) <= self.queue.at_once
        assert max(Counter(c for c, _ in self.at_work).values(), default=0) <= self.queue.each

    def leave(self, request: tuple[str, int]) -> None:
        if not self.gone[request].done():
            self.gone[request].set_result(None)


def whole(queue: FairQueue) -> None:
    """Assert that every place is free, and that all of them can be taken."""
    assert (queue.working, queue.waiting) == (0, 0)
    taken = [f"new {n}" for n in range(queue.at_once)]
    assert all(queue.try_take(caller) for caller in taken)
    assert not queue.try_take("one more")
    for caller in taken:
        queue.give_back(caller)


bounds = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 9))
steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "finish", "cancel", "leave"]),
        st.sampled_from("abcd"),
        st.integers(0, 1000),
    ),
    max_size=60,
)


@given(bounds=bounds, steps=steps)
def test_step_by_step_as_the_naive_model(
    bounds: tuple[int, int, int, int], steps: list[tuple[str, str, int]]
) -> None:
    async def run() -> None:
        queue, naive = FairQueue(*bounds), Naive(*bounds)
        crowd, refused = Crowd(queue), []
        for number, (what, caller, chosen) in enumerate(steps):
            if what == "ask":
                request = (caller, number)
                if not naive.ask(request):
                    refused.append(request)
                crowd.ask(request)
            else:
                there = naive.at_work if what == "finish" else naive.at_work + naive.waiting
                if what == "leave":
                    # Who is at work already isn't listened for by the queue.
                    there = naive.waiting
                if not there:
                    continue
                request = there[chosen % len(there)]
                naive.leave(request)
                if what == "finish":
                    crowd.finish[request].set()
                elif what == "cancel":
                    crowd.tasks[request].cancel()
                else:
                    crowd.leave(request)
            await settle()
            crowd.check()
            assert sorted(crowd.at_work) == sorted(naive.at_work)
            assert crowd.refused == refused
            assert (queue.working, queue.waiting) == (len(naive.at_work), len(naive.waiting))
        for event in crowd.finish.values():
            event.set()
        await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        whole(queue)

    asyncio.run(run())


@given(bounds=bounds, seed=st.integers(0, 2**32))
def test_a_storm_loses_no_place_and_starves_nobody(
    bounds: tuple[int, int, int, int], seed: int
) -> None:
    """Many things in the same step: places given to who is cancelled or leaves in that moment."""

    async def run() -> None:
        chance = random.Random(seed)
        at_once, each = bounds[:2]
        crowd = Crowd(FairQueue(at_once, each, waiting_each=1000, waiting_all=1000))
        stopped = set()
        for number in range(80):
            crowd.ask((chance.choice("aaaabc"), number))
            for _ in range(chance.randrange(3)):
                request = chance.choice(list(crowd.tasks))
                what = chance.choice(["finish", "cancel", "leave"])
                if what == "finish":
                    crowd.finish[request].set()
                else:
                    stopped.add(request)
                    (crowd.tasks[request].cancel if what == "cancel" else crowd.leave)(
                        *([] if what == "cancel" else [request])
                    )
            for _ in range(chance.choice([0, 0, 1, 2, 5])):
                await asyncio.sleep(0)
            crowd.check()
        for event in crowd.finish.values():
            event.set()
        await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        assert set(crowd.tasks) - stopped <= set(crowd.worked)
        assert crowd.refused == []
        whole(crowd.queue)

    asyncio.run(run())


def test_all_cancelled_at_once() -> None:
    async def run() -> None:
        crowd = Crowd(FairQueue(at_once=3, each=2, waiting_each=500, waiting_all=1000))
        for number in range(400):
            crowd.ask(("ab"[number % 2], number))
        await settle()
        assert len(crowd.at_work) == 3
        # Those at work give their places to those who wait, who are cancelled in the same step.
        for task in crowd.tasks.values():
            task.cancel()
        ended = await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended)
        whole(crowd.queue)

    asyncio.run(run())


def test_five_hundred_do_not_hold_up_one() -> None:
    async def run() -> list[tuple[str, int]]:
        crowd = Crowd(FairQueue(at_once=1, each=1, waiting_each=500, waiting_all=1000))
        for number in range(501):
            crowd.ask(("many", number))
        await settle()
        for caller in ("one", "two", "two", "three"):
            crowd.ask((caller, len(crowd.tasks)))
        await settle()
        for event in crowd.finish.values():
            event.set()
        await asyncio.gather(*crowd.tasks.values())
        return crowd.worked

    order = [caller for caller, _ in asyncio.run(run())]
    assert order[:8] == ["many", "many", "one", "two", "three", "many", "two", "many"]
    assert order[8:] == ["many"] * 497


def test_a_caller_has_no_more_than_its_part() -> None:
    async def run() -> None:
        queue = FairQueue(at_once=4, each=2)
        assert [queue.try_take("a") for _ in range(3)] == [True, True, False]
        assert [queue.try_take(c) for c in "bcd"] == [True, True, False]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("waiting_each", "waiting_all", "words"),
    [(2, 100, "2 requests of yours wait"), (100, 2, "more to do than it can")],
)
def test_who_waits_is_bounded(waiting_each: int, waiting_all: int, words: str) -> None:
    async def run() -> None:
        queue = FairQueue(1, 1, waiting_each, waiting_all)
        crowd = Crowd(queue)
        for number in range(3):
            crowd.ask(("a", number))
        await settle()
        with pytest.raises(TooManyRequests, match=words) as refused:
            await queue.take("a")
        assert refused.value.seconds >= 1
        assert queue.waiting == 2
        for event in crowd.finish.values():
            event.set()
        await asyncio.gather(*crowd.tasks.values())
        async with queue.place("a"):
            assert queue.working == 1
        whole(queue)

    asyncio.run(run())


def test_nobody_waits_for_ever() -> None:
    async def run() -> None:
        queue = FairQueue(1, 1, wait_s=0.01)
        async with queue.place("a"):
            for caller in "ab":
                with pytest.raises(TooManyRequests, match=r"no place was free within 0\.01 s"):
                    await queue.take(caller)
        whole(queue)

    asyncio.run(run())


def test_a_place_is_free_after_an_error() -> None:
    async def run() -> Any:
        queue = FairQueue(1, 1)
        with pytest.raises(ZeroDivisionError):
            async with queue.place("a"):
                raise ZeroDivisionError
        whole(queue)

    asyncio.run(run())
