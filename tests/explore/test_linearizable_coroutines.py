"""`linearizable` on coroutines: classes that it must catch, and classes that it must pass."""

# ruff: noqa: E501 - texts are as wide as they are shown

from __future__ import annotations

import asyncio
import functools
import re
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.history import Call
from pytest_concurrency.explore.linearizable import linearizable
from pytest_concurrency.explore.specification import Sequential
from pytest_concurrency.explore.trial import NotLinearizable

HERE = Path(__file__).read_text(encoding="utf-8").splitlines()


class Counter:
    def __init__(self):
        self.value = 0

    async def increment(self):
        value = self.value
        await asyncio.sleep(0)
        self.value = value + 1
        return self.value


class Locked(Counter):
    def __init__(self):
        super().__init__()
        self.lock = asyncio.Lock()

    async def increment(self):
        async with self.lock:
            return await super().increment()


class Wrapped:
    """Has operations that are not coroutine functions, but return coroutines."""

    def __init__(self, kind):
        self.counter = kind()

    def increment(self):
        return self.counter.increment()


class Box:
    def __init__(self):
        self.jobs = asyncio.Queue(1)

    async def put(self, job):
        await self.jobs.put(job)

    async def take(self):
        return await self.jobs.get()


def test_race_of_coroutines_is_told():
    """The failure shows the history, the order that comes nearest, and the timeline of awaits."""
    with pytest.raises(NotLinearizable) as caught:
        linearizable(Counter, increment=())

    text = "\n".join([str(caught.value), *caught.value.__notes__])
    text = re.sub(r"schedule \d+, [\d,.]+ m?s", "...", text)
    text = re.sub(
        r"test_linearizable_coroutines\.py:(\d+)",
        lambda at: f"[{HERE[int(at[1]) - 1].strip()}]",
        text,
    )
    assert (
        text
        == dedent("""\
        Counter is not linearizable. No order of these 2 calls gives these answers:

           worker 0          worker 1
         1 increment()
         2 |                 increment() -> 1
         3 `-> 1

        The most that an order explains:
          1. worker 1  increment()  -> 1
          then Counter, run by one worker alone, answers otherwise:
             worker 0  increment()  alone -> 2, together -> 1

        One preemption breaks it (...):

          worker 0                              worker 1
        1 [value = self.value]
            value = self.value
            reads value = 0
        2                                       [value = self.value]
                                                  value = self.value
                                                  reads value = 0
        3                                       [self.value = value + 1]
                                                  self.value = value + 1
                                                  value: 0 -> 1
        4                                       [return self.value]
                                                  return self.value
                                                  reads value = 1
        5 [self.value = value + 1]
            self.value = value + 1
            value: 1 -> 1
            <- worker 1's write is lost
        6 [return self.value]
            return self.value
            reads value = 1

        Replay: linearizable(…, replay=Case([('increment',)], [('increment',)], schedule='T0x1 T1x*'))""")
    )


@pytest.mark.parametrize(
    ("factory", "operations"),
    [
        (Locked, {"increment": ()}),
        (Box, {"put": st.integers(0, 1), "take": ()}),
        (functools.partial(Wrapped, Locked), {"increment": ()}),
        (lambda: Locked(), {"increment": ()}),  # noqa: PLW0108 - as people write it
        (Locked, {"increment": lambda counter: counter.increment()}),
    ],
)
def test_right_class_of_coroutines_passes(factory, operations):
    """Coroutines are noticed by what an operation returns, whatever makes the object."""
    tried = linearizable(factory, operations, examples=10)

    assert tried.complete == tried.programs == 10


@pytest.mark.parametrize(
    ("factory", "operations"),
    [
        (functools.partial(Wrapped, Counter), {"increment": ()}),
        (lambda: Counter(), {"increment": ()}),  # noqa: PLW0108 - as people write it
        (Counter, {"increment": lambda counter: counter.increment()}),
    ],
)
def test_race_is_found_behind_what_returns_coroutines(factory, operations):
    """Operations that return coroutines are raced as coroutines."""
    with pytest.raises(NotLinearizable):
        linearizable(factory, operations)


def test_example_of_a_test_may_be_of_coroutines():
    """Within a test of Hypothesis, one program is drawn, also if it moves onto a loop."""
    seen = []

    @settings(max_examples=3, database=None, deadline=None)
    @given(st.just("a"))
    def test(_):
        seen.append(linearizable(lambda: Locked(), increment=()).programs)  # noqa: PLW0108

    test()

    assert set(seen) == {1}


def test_specification_of_coroutines_needs_a_loop():
    """Where no loop can be made, what an operation returns cannot be awaited."""
    specification = Sequential(Counter)

    with pytest.raises(UsageError) as caught:
        specification.step(
            specification.initial, Call(worker=0, operation="increment", arguments=(), invoked=0)
        )

    assert str(caught.value) == (
        "linearizable: an operation returns something to await. Make it a coroutine function."
    )
