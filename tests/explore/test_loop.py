"""Coroutines explored over await points, on a loop of ours."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.coroutines import (
    OnALoop,
    explore_coroutines,
    refuse_coroutines,
)
from pytest_concurrency.explore.failures import Deadlock, Hang, NothingExplored
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.outside import Uncontrolled
from pytest_concurrency.explore.settings import Settings


def explored(body, **options):
    return explore_coroutines(body, Settings(**options))


class Counter:
    def __init__(self):
        self.value = 0

    async def increment(self):
        value = self.value
        await asyncio.sleep(0)
        self.value = value + 1


# ---- buggy ------------------------------------------------------------------------------------


def lost_update(run):
    counter = Counter()
    run(counter.increment, counter.increment)
    assert counter.value == 2


async def lost_update_within_a_coroutine(run):
    counter = Counter()
    await run(counter.increment(), counter.increment())
    assert counter.value == 2


async def lost_update_in_a_task_group(run):
    counter = Counter()

    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(counter.increment())
            group.create_task(counter.increment())

    await run(parent())
    assert counter.value == 2


async def lost_update_in_gather(run):
    counter = Counter()

    async def parent():
        await asyncio.gather(counter.increment(), counter.increment())

    await run(parent())
    assert counter.value == 2


async def check_then_act(run):
    made = {}

    async def get():
        if "it" not in made:
            await asyncio.sleep(0.01)
            assert "it" not in made
            made["it"] = object()

    await run(get(), get())


async def if_for_while_around_a_wait(run):
    changed, items = asyncio.Condition(), []

    async def put():
        async with changed:
            items.append(1)
            changed.notify()

    async def take():
        async with changed:
            if not items:
                await changed.wait()
            items.pop()

    await run(take(), take(), put(), put())


async def order_is_taken_for_granted(run):
    ready = []

    async def producer():
        await asyncio.sleep(0)
        ready.append(1)

    async def consumer():
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ready

    await run(producer(), consumer())


def forgotten_clean_up(run):
    held = []

    async def use():
        held.append("it")
        await asyncio.sleep(1)
        held.pop()

    run(use, cancel=0)
    assert not held


async def clean_up_that_awaits_is_cancelled(run):
    steps = []

    async def use():
        steps.append("open")
        await asyncio.sleep(0)
        steps.append("close")

    await run(use(), cancel=0)
    assert steps in ([], ["open", "close"])


async def time_out_in_the_middle(run):
    written = []

    async def write():
        for part in range(2):
            await asyncio.sleep(1)
            written.append(part)

    async def caller():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(write(), 1.5)

    await run(caller())
    assert written in ([], [0, 1])


async def callback_races(run):
    counter = Counter()

    async def work():
        value = counter.value
        await asyncio.sleep(0)
        counter.value = value + 1

    def add():
        counter.value += 1

    async def schedule():
        asyncio.get_running_loop().call_soon(add)
        await asyncio.sleep(0)

    await run(work(), schedule())
    assert counter.value == 2


async def to_thread_races(run):
    counter = Counter()

    async def work():
        value = await asyncio.to_thread(lambda: counter.value)
        counter.value = value + 1

    await run(work(), work())
    assert counter.value == 2


BUGGY = [
    lost_update,
    lost_update_within_a_coroutine,
    lost_update_in_a_task_group,
    lost_update_in_gather,
    check_then_act,
    if_for_while_around_a_wait,
    order_is_taken_for_granted,
    forgotten_clean_up,
    clean_up_that_awaits_is_cancelled,
    time_out_in_the_middle,
    callback_races,
    to_thread_races,
]


@pytest.mark.parametrize("body", BUGGY, ids=lambda body: body.__name__)
def test_loop_finds(body):
    """A race between awaits is found within a few schedules."""
    with pytest.raises((AssertionError, IndexError)) as caught:
        explored(body, schedules=200)

    assert "Replay: interleave(replay=" in caught.value.__notes__[-1]


# ---- correct ----------------------------------------------------------------------------------


async def lock(run):
    counter, lock = Counter(), asyncio.Lock()

    async def work():
        async with lock:
            await counter.increment()

    await run(work(), work(), work())
    assert counter.value == 3


async def semaphore(run):
    inside, semaphore = [], asyncio.Semaphore(2)

    async def work():
        async with semaphore:
            inside.append(1)
            assert len(inside) <= 2
            await asyncio.sleep(0)
            inside.pop()

    await run(work(), work(), work())


async def event(run):
    ready, seen = asyncio.Event(), []

    async def waiter():
        await ready.wait()
        assert seen

    async def setter():
        seen.append(1)
        await asyncio.sleep(0)
        ready.set()

    await run(waiter(), waiter(), setter())


async def condition(run):
    changed, items = asyncio.Condition(), []

    async def put():
        async with changed:
            items.append(1)
            changed.notify()

    async def take():
        async with changed:
            await changed.wait_for(lambda: items)
            items.pop()

    await run(take(), take(), put(), put())


async def queue(run):
    queue, got = asyncio.Queue(1), []

    async def produce():
        for item in range(3):
            await queue.put(item)
        await queue.join()
        assert got == [0, 1, 2]

    async def consume():
        for _ in range(3):
            got.append(await queue.get())
            queue.task_done()

    await run(produce(), consume())


async def gather_and_shield(run):
    async def answer(value):
        await asyncio.sleep(0)
        return value

    async def parent():
        assert await asyncio.gather(answer(1), asyncio.shield(answer(2))) == [1, 2]

    await run(parent(), parent())


async def time_outs(run):
    async def slow():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.sleep(7200)
        assert asyncio.get_running_loop().time() == 3600

    async def fast():
        assert await asyncio.wait_for(asyncio.sleep(1, "done"), 2) == "done"

    await run(slow(), fast())


def clean_up(run):
    held = []

    async def use():
        held.append("it")
        try:
            await asyncio.sleep(1)
            await asyncio.to_thread(len, held)
        finally:
            held.pop()

    (result,) = run(use, cancel=0)
    assert result is None or isinstance(result, asyncio.CancelledError)
    assert not held


async def failing_group(run):
    async def fail():
        await asyncio.sleep(0)
        raise KeyError

    async def parent():
        with pytest.raises(ExceptionGroup):  # noqa: PT012 - a group raises at its end
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(3600))

    await run(parent(), parent())


async def asynchronous_generator(run):
    async def numbers():
        for number in range(2):
            await asyncio.sleep(0)
            yield number

    async def work():
        async for number in numbers():
            if number == 0:
                break

    await run(work(), work())


async def looking_again_and_again(run):
    done = []

    async def look():
        while not done:  # noqa: ASYNC110 - it is what is tested
            await asyncio.sleep(0)

    async def work():
        await asyncio.sleep(1)
        done.append(1)

    await run(look(), work())


def run_twice(run):
    lock, counter = asyncio.Lock(), Counter()

    async def work():
        async with lock:
            await counter.increment()

    run(work, work)
    run(work, work)
    assert counter.value == 4


CORRECT = [
    lock,
    semaphore,
    event,
    condition,
    queue,
    gather_and_shield,
    time_outs,
    clean_up,
    failing_group,
    asynchronous_generator,
    looking_again_and_again,
    run_twice,
]


@pytest.mark.parametrize("body", CORRECT, ids=lambda body: body.__name__)
def test_loop_passes(body):
    """A correct program is never accused."""
    assert explored(body, schedules=100).schedules > 1


def test_loop_tells_that_a_worker_was_made_to_yield():
    """A worker that only looks makes orders without end: nothing is complete, and that is said."""
    found = explored(looking_again_and_again, schedules=100)

    assert found.complete is None
    (note,) = found.notes
    assert note == (
        "A worker went on for 200 points while others could run, and was made to let them: a "
        "loop that waits has orders without end. Wait with an Event, a Condition or sleep()."
    )


def test_loop_is_complete_where_it_can_be():
    """A small program is explored in all its orders."""
    assert explored(lock).exhausted


# ---- texts ------------------------------------------------------------------------------------


def test_loop_deadlock_tells_who_holds_what():
    """A deadlock names the locks as the code does, with the lines where each is held and wanted."""

    async def body(run):
        first, second = asyncio.Lock(), asyncio.Lock()

        async def move(source, target):
            async with source:
                await asyncio.sleep(0)
                async with target:
                    pass

        await run(move(first, second), move(second, first))

    with pytest.raises(Deadlock) as caught:
        explored(body)

    line = body.__code__.co_firstlineno + 4
    assert str(caught.value) == (
        "Deadlock: 2 workers wait for what nobody will ever do.\n"
        "\n"
        f"  worker 0  holds  first   taken at test_loop.py:{line}  async with source:\n"
        f"            wants  second  at       test_loop.py:{line + 2}  async with target:\n"
        f"  worker 1  holds  second  taken at test_loop.py:{line}  async with source:\n"
        f"            wants  first   at       test_loop.py:{line + 2}  async with target:"
    )


def test_loop_deadlock_of_one_tells_where_it_waits():
    """A worker that waits for what nobody does is shown at its line."""

    async def body(run):
        async def wait():
            await asyncio.get_running_loop().create_future()

        await run(wait())

    with pytest.raises(Deadlock) as caught:
        explored(body)

    line = body.__code__.co_firstlineno + 2
    assert str(caught.value) == (
        "Deadlock: 1 worker waits for what nobody will ever do.\n"
        "\n"
        f"  worker 0  waits    at       test_loop.py:{line}  "
        "await asyncio.get_running_loop().create_future()"
    )


def test_loop_tells_what_failed_before_the_others_waited():
    """A worker that fails is the cause; that others then wait for ever is a note."""

    async def body(run):
        ready = asyncio.Event()

        async def fail():
            raise KeyError("it")  # noqa: EM101

        await run(ready.wait(), fail())

    with pytest.raises(KeyError) as caught:
        explored(body)

    assert caught.value.__notes__[0].startswith("The others then wait for ever:")


def test_loop_tells_of_all_errors():
    """What the first worker raised is raised; the others' errors are noted."""

    async def fail(error):
        raise error

    def body(run):
        run(partial(fail, KeyError(1)), partial(fail, KeyError(2)))

    with pytest.raises(KeyError) as caught:
        explored(body)

    assert caught.value.args == (1,)
    assert caught.value.__notes__[0] == "Worker 1 raised KeyError(2) as well."


def test_loop_refuses_what_it_cannot_control():
    """Leaving the loop fails the play, even if the code under test swallows the error."""

    def body(run):
        async def connect():
            with contextlib.suppress(Exception):
                await asyncio.open_connection("localhost", 1)

        run(connect)

    with pytest.raises(Uncontrolled) as caught:
        explored(body)

    line = body.__code__.co_firstlineno + 3
    assert str(caught.value) == (
        f"test_loop.py:{line}: loop.create_connection is outside the event loop.\n"
        "Its order cannot be controlled: await points are explored in coroutines alone.\n"
        "Replace it by a coroutine of the test, or use concurrent_runner."
    )


def test_loop_gives_up_on_workers_that_never_end():
    """Workers that go from await to await for ever are a hang, shown with where they are."""

    def body(run):
        async def spin():
            while True:  # noqa: ASYNC110 - it is what is tested
                await asyncio.sleep(0)

        run(spin)

    with pytest.raises(Hang) as caught:
        explored(body)

    line = body.__code__.co_firstlineno + 3
    assert str(caught.value) == (
        "After 10,000 steps the workers still run, from await to await.\n"
        "\n"
        f"  worker 0  waits    at       test_loop.py:{line}  await asyncio.sleep(0)"
    )


def test_run_refuses_to_cancel_nobody():
    """The worker to cancel must be one of those given."""
    counter = Counter()

    with pytest.raises(UsageError) as caught:
        explored(lambda run: run(counter.increment, cancel=1))

    assert str(caught.value) == (
        "run: cancel=1 names no worker. There are 1, counted from 0. "
        "Write cancel=0 to cancel the first."
    )


def test_run_refuses_a_plain_function_among_coroutines():
    """Workers are all coroutines or all functions."""

    def plain():
        return 1

    with pytest.raises(UsageError) as caught:
        explored(lambda run: run(plain))

    assert str(caught.value).startswith("run: <function")
    assert str(caught.value).endswith(
        "is not a coroutine and does not make one. Workers are all coroutines or all functions. "
        "Write run(f(), g()) with async def f and async def g."
    )


def test_loop_refuses_to_explore_one_worker():
    """One worker alone has no orders, so it is no pass."""
    counter = Counter()

    with pytest.raises(NothingExplored) as caught:
        explored(lambda run: run(counter.increment))

    assert str(caught.value) == (
        "Nothing was explored: one worker ran alone. Start two or more: run(f, g)."
    )


def test_body_beside_one_task_of_its_own_is_explored():
    """A coroutine that makes one task goes on beside it: that makes two."""

    async def body(_):
        counter = Counter()
        task = asyncio.create_task(counter.increment())
        await counter.increment()
        await task
        assert counter.value == 2

    with pytest.raises(AssertionError):
        explored(body)


def test_body_that_only_waits_for_one_worker_is_no_pass():
    """Run by a coroutine or by a function, one worker has no orders."""
    counter = Counter()

    async def body(run):
        await run(counter.increment())

    with pytest.raises(NothingExplored):
        explored(body)


def test_coroutines_are_noticed_among_calls_and_results():
    """A coroutine function, a coroutine or a result that is one needs a loop; others do not."""
    counter = Counter()

    refuse_coroutines([len, print, None])
    for given in (counter.increment, counter.increment()):
        with pytest.raises(OnALoop):
            refuse_coroutines([given])


# ---- manners ----------------------------------------------------------------------------------


def test_run_returns_what_workers_return():
    """Results come in the order of the workers."""
    results = []

    async def body(run):
        results.append(await run(asyncio.sleep(2, "a"), asyncio.sleep(1, "b")))

    explored(body)

    assert results[0] == ["a", "b"]


def test_loop_steps_aside_for_a_running_one():
    """Within a running loop, exploring leaves that loop and its task as they were."""

    async def outer():
        task = asyncio.current_task()
        with pytest.raises(AssertionError):
            explored(lost_update)
        assert asyncio.current_task() is task
        await asyncio.sleep(0)

    asyncio.run(outer())


def test_loop_leaves_nothing_patched():
    """After a failure and its explanation, asyncio is as it was."""
    before = (asyncio.Lock.acquire, asyncio.Semaphore.release, threading.active_count())
    with pytest.raises(AssertionError):
        explored(lost_update)

    assert (asyncio.Lock.acquire, asyncio.Semaphore.release, threading.active_count()) == before


def test_loop_replays_a_token():
    """A token that failed fails again, at once."""
    with pytest.raises(AssertionError) as caught:
        explored(lost_update, replay="T0x1 T1x*")

    assert "schedule 1" in caught.value.__notes__[-1]


def test_loop_timeline_shows_what_each_read_and_wrote():
    """The timeline has one column per worker, with values."""
    with pytest.raises(AssertionError) as caught:
        explored(lost_update)

    note = caught.value.__notes__[-1]
    assert "One preemption breaks it" in note
    assert "reads value = 0" in note
    assert "write is lost" in note


def test_plain_body_may_cancel_a_coroutine():
    """A body that is no coroutine itself may name the one to cancel, from its first play on."""
    ends = set()

    async def use():
        await asyncio.sleep(1)

    def body(run):
        (result,) = run(use, cancel=0)
        ends.add(type(result).__name__)

    interleave(body)

    assert ends == {"CancelledError", "NoneType"}


def test_function_cannot_be_cancelled():
    """``cancel`` with functions is refused, before any of them runs."""
    ran = []

    with pytest.raises(UsageError) as caught:
        interleave(lambda run: run(lambda: ran.append(1), cancel=0))

    assert str(caught.value) == (
        "run: cancel=0 is for coroutines, and these workers are functions."
        " Write async def, or leave cancel out."
    )
    assert ran == []
