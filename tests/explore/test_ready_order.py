"""Which orders of ready tasks and timers are explored, and which no event loop could produce."""

from __future__ import annotations

import asyncio

import pytest

from pytest_concurrency.explore.coroutines import TaskProgram, explore_coroutines
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings


def logs_of(work, workers=1):
    """Return every order in which a body's workers wrote into a log."""
    seen = set()

    async def body(run):
        log = []
        await run(*(work(log) for _ in range(workers)), asyncio.sleep(0))
        seen.add("".join(log))

    with TaskProgram(body, Settings(preemptions=9)) as program:
        search = Search(program, Settings(preemptions=9))
        assert search.failure() is None
        assert search.exhausted
    return seen


async def say(log, word, *, after=0.0):
    await asyncio.sleep(after)
    log.append(word)


async def two_started(log):
    await asyncio.gather(say(log, "a"), say(log, "b"))


async def two_timers_at_once(log):
    await asyncio.gather(say(log, "a", after=1), say(log, "b", after=1))


async def two_timers_one_after_the_other(log):
    await asyncio.gather(say(log, "a", after=1), say(log, "b", after=2))


async def two_puts_and_a_reader(log):
    queue = asyncio.Queue()
    queue.put_nowait("a")
    queue.put_nowait("b")
    log += [await queue.get(), await queue.get()]


async def two_wait_for_one_lock(log):
    lock = asyncio.Lock()
    await lock.acquire()

    async def take(word):
        async with lock:
            log.append(word)

    first = asyncio.create_task(take("a"))
    await asyncio.sleep(1)
    second = asyncio.create_task(take("b"))
    await asyncio.sleep(1)
    lock.release()
    await asyncio.gather(first, second)


async def two_callbacks(log):
    for word in ("a", "b"):
        asyncio.get_running_loop().call_soon(lambda word=word: log.append(word))
    await asyncio.sleep(1)


async def callback_before_a_task(log):
    asyncio.get_running_loop().call_soon(lambda: log.append("a"))
    await asyncio.create_task(say(log, "b"))


async def task_before_a_callback(log):
    task = asyncio.create_task(say(log, "a", after=1))
    asyncio.get_running_loop().call_soon(lambda: log.append("b"))
    await task


async def done_callback_before_who_waits(log):
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda _: log.append("a"))
    await task
    log.append("b")


async def callback_that_is_cancelled(log):
    first = asyncio.get_running_loop().call_soon(lambda: log.append("a"))
    asyncio.get_running_loop().call_soon(lambda: log.append("b"))
    first.cancel()
    await asyncio.sleep(1)


async def a_step_without_await(log):
    async def both():
        log.append("a")
        log.append("b")

    await asyncio.gather(both(), both())


@pytest.mark.parametrize(
    ("work", "orders"),
    [
        (two_started, {"ab", "ba"}),
        (two_timers_at_once, {"ab", "ba"}),
        (two_timers_one_after_the_other, {"ab"}),
        (two_puts_and_a_reader, {"ab"}),
        (two_wait_for_one_lock, {"ab"}),
        (a_step_without_await, {"abab"}),
        (two_callbacks, {"ab"}),
        (callback_before_a_task, {"ab"}),
        (task_before_a_callback, {"ba"}),
        (done_callback_before_who_waits, {"ab"}),
        (callback_that_is_cancelled, {"b"}),
    ],
)
def test_order_is_free_only_among_those_that_are_ready(work, orders):
    """Ready workers and timers of one moment come in any order; all else keeps asyncio's."""
    assert logs_of(work) == orders


async def relies_on_the_order_of_start(log):
    first = asyncio.create_task(say(log, "a"))
    second = asyncio.create_task(say(log, "b"))
    await asyncio.gather(first, second)
    assert log == ["a", "b"]


def test_order_of_start_is_not_relied_on():
    """Code that counts on first come, first served is told, though asyncio serves so today."""

    async def body(run):
        await run(relies_on_the_order_of_start([]), asyncio.sleep(0))

    with pytest.raises(AssertionError, match="'b', 'a'"):
        explore_coroutines(body, Settings())


def test_timer_never_fires_while_a_worker_can_run():
    """Code between two awaits takes no virtual time, so a timer cannot overtake it."""

    async def body(run):
        log = []

        async def busy():
            for _ in range(3):
                await asyncio.sleep(0)
            log.append("busy")

        await run(busy(), say(log, "timer", after=0.001))
        assert log == ["busy", "timer"]

    assert explore_coroutines(body, Settings()).complete == 2


def test_callback_that_cancels_a_task_comes_in_any_order():
    """``call_soon(task.cancel)`` is a worker of its own: before the task's next step, or after."""
    seen = set()

    async def body(run):
        async def work():
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return "cancelled"
            return "done"

        async def impatient():
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.wait([task])
            seen.add("never began" if task.cancelled() else task.result())

        await run(impatient(), asyncio.sleep(0))

    explore_coroutines(body, Settings())

    assert seen == {"never began", "cancelled", "done"}


def test_each_worker_may_be_the_first():
    """No start order is left out when the body is a coroutine, and none costs a preemption."""
    seen = set()

    async def body(run):
        log = []

        async def work(word):
            log.append(word)

        await run(work("a"), work("b"), work("c"))
        seen.add("".join(log))

    found = explore_coroutines(body, Settings(preemptions=0))

    assert seen == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert found.complete == 0


def test_what_is_awaited_as_completed_starts_in_its_order():
    """``as_completed`` keeps what it is given in a set, whose order is not that of a schedule."""
    starts = []

    async def body(run):
        log = []

        async def work(number):
            log.append(number)

        async def every():
            for each in asyncio.as_completed([work(number) for number in range(20)]):
                await each

        await run(every(), asyncio.sleep(0))
        starts.append(log)

    with TaskProgram(body, Settings()) as program:
        for _ in range(3):
            program.play(Plan([]))

    assert {tuple(log) for log in starts} == {tuple(range(20))}
