"""Workers as tasks: in a loop of their own, in the caller's, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
import trio

from pytest_concurrency import HangError, concurrent_runner
from pytest_concurrency.run import tasks


async def tell(worker):
    """Let the others run, then tell who it is."""
    await asyncio.sleep(0)
    return worker.index


async def tell_on_trio(worker):
    """Let the others run, then tell who it is."""
    await trio.lowlevel.checkpoint()
    return worker.index


def on_asyncio(function, **arguments):
    """Run workers inside of a running asyncio loop."""

    async def main():
        return await concurrent_runner(function, **arguments)

    return asyncio.run(main())


def on_trio(function, **arguments):
    """Run workers inside of a running trio loop."""

    async def main():
        return await concurrent_runner(function, **arguments)

    return trio.run(main)


WAYS = {
    "own loop": (concurrent_runner, tell, asyncio.sleep),
    "asyncio": (on_asyncio, tell, asyncio.sleep),
    "trio": (on_trio, tell_on_trio, trio.sleep),
}
every_way = pytest.mark.parametrize(("run", "call", "sleep"), WAYS.values(), ids=WAYS)


@every_way
@pytest.mark.parametrize("workers", [1, 2, 500])
def test_tasks_run_together(run, call, sleep, workers):
    """All are started, all overlap, all values are kept."""
    del sleep
    outcome = run(call, workers=workers)

    assert outcome.raise_errors().values == list(range(workers))
    assert outcome.overlap.peak == workers


@every_way
def test_rounds_are_released_together(run, call, sleep):
    """No task starts a round before all have ended the one before."""
    del call
    ended = [0] * 4

    async def work(worker):
        assert worker.round == 0 or ended[worker.round - 1] == 3
        for _ in range(worker.index):
            await sleep(0)
        ended[worker.round] += 1

    run(work, workers=3, rounds=4).raise_errors()

    assert ended == [3] * 4


@every_way
def test_errors_are_kept(run, call, sleep):
    """What a task raises is an error of its call; the others go on."""
    del call

    async def work(worker):
        await sleep(0)
        if worker.index == 1:
            msg = "B"
            raise KeyError(msg)
        return worker.index

    outcome = run(work, workers=3, rounds=2)

    assert outcome.values == [0, 0, 2, 2]
    assert [repr(error) for error in outcome.errors] == ["KeyError('B')"] * 2


@every_way
@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_ends_the_run(run, call, sleep, fatal):
    """It is raised as it is; the peers are cancelled and can clean up."""
    del call
    cleaned = []

    async def work(worker):
        try:
            await sleep(0)
            if worker.index == 1:
                raise fatal
            await sleep(60)
        finally:
            cleaned.append(worker.index)

    with pytest.raises(fatal):
        run(work, workers=3)

    assert sorted(cleaned) == [0, 1, 2]


@every_way
def test_a_deadline_ends_the_run(run, call, sleep):
    """Who has not ended is shown with where it waits, and is cancelled."""
    del call
    cleaned = []

    async def work(worker):
        if worker.index == 0:
            return 0
        try:
            await sleep(60)
        finally:
            cleaned.append(worker.index)

    with pytest.raises(HangError) as hung:
        run(work, workers=3, timeout=0.05)

    assert sorted(cleaned) == [1, 2]
    assert hung.value.left_running == ()
    assert hung.value.outcome.values == [0]
    assert (hung.value.outcome.failures, hung.value.outcome.unfinished) == (0, 2)
    assert str(hung.value).startswith(
        "2 of 3 workers did not end within 50 ms:\n\n  workers 1, 2  in work  "
    )
    assert "  await sleep(60)\n" in str(hung.value)


def test_a_call_that_cancels_itself_is_an_error_of_its_own():
    """A cancellation that nobody else asked for belongs to the call, and loses no other."""

    async def work(worker):
        assert asyncio.current_task().cancelling() == 0
        if worker.index == 1:
            asyncio.current_task().cancel()
        await asyncio.sleep(0)
        return worker.round

    for run in (concurrent_runner, on_asyncio):
        outcome = run(work, workers=2, rounds=2)

        assert outcome.values == [0, 1]
        assert [type(error) for error in outcome.errors] == [asyncio.CancelledError] * 2
        assert outcome.unfinished == 0


def test_a_cancelled_future_is_an_error_of_its_call():
    """Awaiting what somebody else cancelled."""

    async def work():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    assert concurrent_runner(work, workers=1).error_tally() == {"CancelledError": 1}


def test_cancelling_the_caller_cancels_the_workers():
    """Who awaits the run and is cancelled takes the workers along, and stays cancelled."""
    cleaned, inside = [], []

    async def work(worker):
        inside.append(worker.index)
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(worker.index)

    async def main():
        run = asyncio.create_task(concurrent_runner(work, workers=3))
        while len(inside) < 3:  # noqa: ASYNC110 - three of them
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        return run.cancelled(), len(asyncio.all_tasks())

    assert asyncio.run(main()) == (True, 1)
    assert sorted(cleaned) == [0, 1, 2]


def test_a_timeout_of_the_caller_holds():
    """``asyncio.timeout`` around a run ends it as anything else."""

    async def main():
        async with asyncio.timeout(0.02):
            await concurrent_runner(lambda_sleep, workers=2)

    async def lambda_sleep():
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_a_cancel_scope_of_the_caller_holds():
    """So does a scope of trio."""

    async def work():
        await trio.sleep(60)

    async def main():
        with trio.move_on_after(0.02) as scope:
            await concurrent_runner(work, workers=2)
        return scope.cancelled_caught

    assert trio.run(main)


def test_a_task_that_ignores_its_cancellation_is_named(monkeypatch):
    """The run ends; the text says which task goes on."""
    monkeypatch.setattr(tasks, "GRACE", 0.05)
    stop = []

    async def stubborn():
        while not stop:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    async def main():
        with pytest.raises(HangError) as hung:
            await concurrent_runner(stubborn, workers=2, timeout=0.02)
        stop.append(True)
        await asyncio.sleep(0.03)
        return hung.value

    hung = asyncio.run(main())

    assert hung.left_running == ("worker 0", "worker 1")
    assert str(hung).endswith("\nCannot be stopped and go on in the background: workers 0, 1.")


def test_a_call_that_blocks_the_loop_is_named(monkeypatch):
    """A task that never awaits keeps the loop; it is found, and so are those it keeps waiting."""
    monkeypatch.setattr(tasks, "GRACE", 0.05)
    release = threading.Event()

    async def work(worker):
        await asyncio.sleep(0)
        if worker.index == 1:
            release.wait()
        await asyncio.sleep(60)

    with pytest.raises(HangError) as hung:
        concurrent_runner(work, workers=3, timeout=0.05)
    release.set()
    text = str(hung.value)

    assert hung.value.left_running == ("event loop",)
    assert "  worker 1  in work" in text
    assert (
        "            waits for release; blocks the event loop: this call does not await\n\n"
        "  workers 0, 2  waits for the event loop\n"
    ) in text
    assert text.endswith("\nCannot be stopped and goes on in the background: 'event loop'.")


def test_tasks_see_the_context_of_the_caller():
    """Context variables are those of the caller, also in a loop of their own thread."""
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("the caller's")

    async def read():
        await asyncio.sleep(0)
        return variable.get()

    assert concurrent_runner(read, workers=2).values == ["the caller's"] * 2
    assert on_asyncio(read, workers=2).values == ["the caller's"] * 2


def test_tasks_are_named_after_their_workers():
    """Whoever lists tasks sees whose they are."""

    async def name():
        return asyncio.current_task().get_name()

    assert concurrent_runner(name, workers=2).values == ["worker 0", "worker 1"]


def test_an_interrupt_of_the_caller_ends_the_loop(monkeypatch):
    """Ctrl-C while the caller waits for the loop's thread: the tasks are cancelled."""
    inside, cleaned = threading.Event(), []

    class Interrupted(threading.Event):
        def wait(self, timeout=None):
            inside.wait(5)
            del timeout
            raise KeyboardInterrupt

    async def work():
        try:
            inside.set()
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    def own_loop(recording, *, title):
        loop = tasks.OwnLoop(recording, title=title)
        loop._done = Interrupted()
        return loop

    monkeypatch.setattr("pytest_concurrency.run.runner.OwnLoop", own_loop)
    with pytest.raises(KeyboardInterrupt):
        concurrent_runner(work, workers=1)

    assert cleaned == [True]


def test_items_go_to_tasks():
    """Each item is the first argument of one task's call."""

    async def double(item):
        await asyncio.sleep(0)
        return item * 2

    assert concurrent_runner(double, items=[1, 2, 3]).values == [2, 4, 6]
