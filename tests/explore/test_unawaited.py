"""Errors and coroutines that asyncio would only have told the log about."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings

import pytest

from pytest_concurrency.explore.coroutines import explore_coroutines
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.unawaited import NeverAwaited


def failure_of(body):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the tests look at it
        explore_coroutines(body, Settings())
    return caught.value


def line_of(function, text):
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


async def fails():
    await asyncio.sleep(0)
    msg = "disk full"
    raise OSError(msg)


async def background_task_fails(run):
    async def work():
        task = asyncio.create_task(fails())
        await asyncio.sleep(1)
        assert task.done()

    await run(work(), asyncio.sleep(0))


def test_error_of_a_task_that_nobody_awaits_fails_the_schedule():
    """A background task's error is raised, with a note that says whose it is."""
    error = failure_of(background_task_fails)

    assert repr(error) == "OSError('disk full')"
    assert error.__notes__[0] == (
        "worker 2 (fails) raised it, and nobody awaits that task: asyncio only logs it."
    )


async def callback_fails(run):
    def call():
        msg = "too late"
        raise ValueError(msg)

    async def work():
        asyncio.get_running_loop().call_soon(call)
        await asyncio.sleep(1)

    await run(work(), asyncio.sleep(0))


def test_error_of_a_callback_fails_the_schedule():
    """What a callback raises is raised, with what asyncio would have logged."""
    error = failure_of(callback_fails)

    assert repr(error) == "ValueError('too late')"
    assert error.__notes__[0] == (
        "Exception in callback callback_fails.<locals>.call: asyncio only logs it."
    )


async def future_fails(run):
    async def work():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("nobody looks"))

    await run(work(), asyncio.sleep(0))


def test_error_of_a_future_that_is_dropped_fails_the_schedule():
    """An exception that was put into a future and never asked for is raised."""
    error = failure_of(future_fails)

    assert repr(error) == "ValueError('nobody looks')"
    assert error.__notes__[0] == ("Future exception was never retrieved: asyncio only logs it.")


async def save():
    return None


async def await_is_forgotten(run):
    async def work():
        await asyncio.sleep(0)
        save()

    await run(work(), asyncio.sleep(0))


def test_coroutine_that_is_never_awaited_fails_the_schedule():
    """A forgotten await is told with the line that made the coroutine, and is no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = failure_of(await_is_forgotten)

    line = line_of(await_is_forgotten, "save()")
    assert type(error) is NeverAwaited
    assert str(error) == (
        f"test_unawaited.py:{line}: the coroutine 'save' is never awaited, so it does not run.\n"
        "Write await save(...), or asyncio.create_task(save(...))."
    )


async def awaited_only_if_first(run):
    tasks = []

    async def work(name):
        task = asyncio.create_task(fails())
        tasks.append(name)
        if tasks[0] == "ann":
            await asyncio.wait([task])
            assert isinstance(task.exception(), OSError)
        await asyncio.sleep(1)

    await run(work("ann"), work("bob"))


def test_error_that_one_order_leaves_alone_is_found():
    """A task is looked at in the usual order and forgotten in another: that one is found."""
    error = failure_of(awaited_only_if_first)

    assert error.__notes__[0].endswith("and nobody awaits that task: asyncio only logs it.")


async def error_is_asked_for(run):
    async def work():
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        assert str(task.exception()) == "disk full"

    await run(work(), work())


async def errors_are_gathered(run):
    async def work():
        found = await asyncio.gather(fails(), fails(), return_exceptions=True)
        assert len(found) == 2

    await run(work(), asyncio.sleep(0))


async def error_is_awaited(run):
    async def work():
        with pytest.raises(OSError, match="disk full"):
            await asyncio.create_task(fails())

    await run(work(), work())


async def cancelled_before_it_began(run):
    async def work():
        asyncio.create_task(save()).cancel()
        await asyncio.sleep(0)

    await run(work(), asyncio.sleep(0))


@pytest.mark.parametrize(
    "body", [error_is_asked_for, errors_are_gathered, error_is_awaited, cancelled_before_it_began]
)
def test_error_that_somebody_awaits_fails_nothing(body):
    """Errors that the code looks at, and tasks that it takes back, are its own affair."""
    assert explore_coroutines(body, Settings()).complete == 2


def test_warnings_of_other_threads_are_left_alone():
    """While a schedule runs, a coroutine dropped in another thread is still only a warning."""
    original = warnings._warn_unawaited_coroutine
    seen = []

    def drop():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            save()
            seen.extend(str(each.message) for each in caught)

    async def body(run):
        thread = threading.Thread(target=drop)
        thread.start()
        thread.join()
        await run(asyncio.sleep(0), asyncio.sleep(0))

    explore_coroutines(body, Settings())

    assert set(seen) == {"coroutine 'save' was never awaited"}
    assert warnings._warn_unawaited_coroutine is original
