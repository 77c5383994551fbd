"""Coroutines that lose, double or strand something at an await."""

import asyncio

from pytest_concurrency.explore.failures import Deadlock

from . import buggy


async def _io():
    await asyncio.sleep(0)


@buggy("await race")
def await_between_read_and_write(run):
    account = {"balance": 0}

    async def deposit():
        balance = account["balance"]
        await _io()
        account["balance"] = balance + 10

    run(deposit, deposit)
    assert account["balance"] == 20


@buggy("await race")
def await_between_check_and_book(run):
    bookings = []

    async def book(person):
        if not bookings:
            await _io()
            bookings.append(person)

    run(lambda: book("ann"), lambda: book("bob"))
    assert len(bookings) == 1


@buggy("await race")
def cache_stampede(run):
    cache, loads = {}, []

    async def load(key):
        if key not in cache:
            loads.append(key)
            await _io()
            cache[key] = key
        return cache[key]

    run(lambda: load("a"), lambda: load("a"))
    assert loads == ["a"]


@buggy("await race")
def ready_order_taken_for_start_order(run):
    """Passes in the order in which tasks start, fails in any other."""
    log = []

    async def first():
        await _io()
        log.append("first")

    async def second():
        await _io()
        await _io()
        log.append("second")

    run(first, second)
    assert log == ["first", "second"]


@buggy("await deadlock", fails=Deadlock)
def async_locks_in_two_orders(run):
    left, right = asyncio.Lock(), asyncio.Lock()

    async def take(first, second):
        async with first:
            await _io()
            async with second:
                pass

    run(lambda: take(left, right), lambda: take(right, left))


@buggy("await lost wake-up", fails=Deadlock)
def async_event_cleared_too_late(run):
    ready = asyncio.Event()

    async def tell():
        ready.set()

    async def wait():
        await _io()
        ready.clear()
        await ready.wait()

    run(tell, wait)


@buggy("await queue", fails=asyncio.QueueEmpty)
def async_queue_checked_then_taken(run):
    jobs = asyncio.Queue()
    jobs.put_nowait("a")

    async def work():
        if not jobs.empty():
            await _io()
            jobs.get_nowait()

    run(work, work)


@buggy("await gather")
def gather_loses_an_update(run):
    tally = {"value": 0}

    async def add():
        value = tally["value"]
        await _io()
        tally["value"] = value + 1

    async def both():
        await asyncio.gather(add(), add())

    run(both)
    assert tally["value"] == 2


@buggy("await task group")
def task_group_seen_halfway(run):
    state = {"left": 1, "right": 0}
    seen = []

    async def move():
        state["left"] = 0
        await _io()
        state["right"] = 1

    async def look():
        seen.append(state["left"] + state["right"])

    async def both():
        async with asyncio.TaskGroup() as group:
            group.create_task(move())
            group.create_task(look())

    run(both)
    assert seen == [1]


@buggy("await cancellation")
def cancelled_before_it_puts_back(run):
    pool, taken = ["connection"], []

    async def use():
        connection = pool.pop()
        taken.append(connection)
        await asyncio.sleep(10)
        pool.append(connection)

    async def impatient():
        try:
            async with asyncio.timeout(1):
                await use()
        except TimeoutError:
            return

    run(impatient, _io)
    assert pool == ["connection"]


@buggy("await cancellation")
def cancelled_while_it_holds_a_flag(run):
    state = {"busy": False}

    async def work():
        state["busy"] = True
        await _io()
        state["busy"] = False

    async def parent():
        task = asyncio.ensure_future(work())
        await _io()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(parent)
    assert not state["busy"]


@buggy("await time-out")
def slow_reply_after_the_time_out(run):
    inbox = {}

    async def reply():
        await asyncio.sleep(2)
        inbox["answer"] = 42

    async def ask():
        async with asyncio.timeout(1):
            while "answer" not in inbox:  # noqa: ASYNC110 - polling is what some code does
                await asyncio.sleep(0.5)

    async def asks():
        try:
            await ask()
        except TimeoutError:
            inbox["gave up"] = True

    run(reply, asks)
    assert "gave up" not in inbox
