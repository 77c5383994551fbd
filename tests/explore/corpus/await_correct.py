"""Coroutines that are right, and what breaks when a part of them is taken away."""

import asyncio

from pytest_concurrency.explore.failures import Deadlock

from . import correct


async def _io():
    await asyncio.sleep(0)


class NoAsyncLock:
    """Looks like `asyncio.Lock` and keeps nobody out."""

    def __init__(self, *_):
        """Take what a semaphore takes."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


def _deposit_twice(run, guard):
    account = {"balance": 0}

    async def deposit():
        async with guard:
            balance = account["balance"]
            await _io()
            account["balance"] = balance + 10

    run(deposit, deposit)
    assert account["balance"] == 20


@correct("await race", sound=asyncio.Lock, broken=NoAsyncLock)
def async_lock_around_an_await(run, lock):
    _deposit_twice(run, lock())


@correct("await race", sound=asyncio.Semaphore, broken=NoAsyncLock)
def async_semaphore_around_an_await(run, semaphore):
    _deposit_twice(run, semaphore(1))


@correct("await race")
def no_await_between_read_and_write(run):
    account = {"balance": 0}

    async def deposit():
        await _io()
        account["balance"] += 10
        await _io()

    run(deposit, deposit, deposit)
    assert account["balance"] == 30


@correct("await deadlock", sound=sorted, broken=list, fails=Deadlock)
def async_locks_in_one_order(run, order):
    locks = {"a": asyncio.Lock(), "b": asyncio.Lock()}

    async def take(*names):
        first, second = order(names)
        async with locks[first]:
            await _io()
            async with locks[second]:
                pass

    run(lambda: take("a", "b"), lambda: take("b", "a"))


async def _no_wait(_event):
    return None


@correct("await event", sound=asyncio.Event.wait, broken=_no_wait)
def value_behind_an_async_event(run, wait):
    ready, state, seen = asyncio.Event(), {}, []

    async def load():
        await _io()
        state["answer"] = 42
        ready.set()

    async def read():
        await wait(ready)
        seen.append(state.get("answer"))

    run(load, read)
    assert seen == [42]


@correct("await queue", sound=2, broken=1, fails=Deadlock)
def async_queue_with_a_sentinel_for_each(run, sentinels):
    jobs, got = asyncio.Queue(1), []

    async def produce():
        await jobs.put("a")
        for _ in range(sentinels):
            await jobs.put(None)

    async def consume():
        while (item := await jobs.get()) is not None:
            got.append(item)

    run(produce, consume, consume)
    assert got == ["a"]


@correct("await gather")
def gather_keeps_the_order(run):
    got = []

    async def square(number):
        await _io()
        return number * number

    async def both():
        got.extend(await asyncio.gather(square(2), square(3)))

    run(both)
    assert got == [4, 9]


@correct("await task group")
def task_group_waits_for_all(run):
    done = []

    async def work(name):
        await _io()
        done.append(name)

    async def parent():
        async with asyncio.TaskGroup() as group:
            group.create_task(work("a"))
            group.create_task(work("b"))
        assert sorted(done) == ["a", "b"]

    run(parent)


@correct("await cancellation", sound=True, broken=False)
def put_back_when_cancelled(run, careful):
    pool = ["connection"]

    async def use():
        connection = pool.pop()
        try:
            await asyncio.sleep(10)
        finally:
            if careful:
                pool.append(connection)

    async def impatient():
        try:
            async with asyncio.timeout(1):
                await use()
        except TimeoutError:
            return

    run(impatient, _io)
    assert pool == ["connection"]


@correct("await cancellation", sound=True, broken=False)
def flag_taken_back_when_cancelled(run, careful):
    state = {"busy": False}

    async def work():
        state["busy"] = True
        try:
            await _io()
        finally:
            if careful:
                state["busy"] = False
        state["busy"] = False

    async def parent():
        task = asyncio.ensure_future(work())
        await _io()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(parent)
    assert not state["busy"]


@correct("await time-out", sound=3, broken=1)
def time_out_longer_than_the_reply(run, patience):
    late = []

    async def ask():
        try:
            await asyncio.wait_for(asyncio.sleep(2, "reply"), timeout=patience)
        except TimeoutError:
            late.append(1)

    run(ask, ask)
    assert late == []


@correct("await condition")
def async_condition_with_wait_for(run):
    changed, box, got = asyncio.Condition(), [], []

    async def take():
        async with changed:
            await changed.wait_for(lambda: box)
            got.append(box.pop())

    async def put():
        for item in ("a", "b"):
            async with changed:
                box.append(item)
                changed.notify_all()

    run(take, take, put)
    assert sorted(got) == ["a", "b"]
