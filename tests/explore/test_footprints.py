"""What steps between two awaits touch: nothing that matters is left out."""

from __future__ import annotations

import asyncio
import random
import sys

import pytest

from pytest_concurrency.explore.coroutines import TaskProgram
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings

looked_into = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")


# ---- small programs, drawn ------------------------------------------------------------------


class State:
    def __init__(self):
        self.a = self.b = 0
        self.items = []
        self.keys = {}
        self.pair = (0, 0)
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()
        self.queue = asyncio.Queue()
        self.future = asyncio.get_running_loop().create_future()
        self.tasks = []

    def seen(self):
        return (self.a, self.b, *self.items, *sorted(self.keys.items()), *self.pair)


async def read_then_write(state, log):
    value = state.a
    await asyncio.sleep(0)
    state.a = value + 1
    log.append(value)


async def swap(state, log):
    state.a, state.b = state.b + 1, state.a
    log.append(state.b)
    await asyncio.sleep(0)


async def write_b(state, _log):
    await asyncio.sleep(0)
    state.b += 1


async def only_if(state, log):
    if state.a:
        await asyncio.sleep(0)
        log.append(state.b)
    else:
        state.items.append(len(log))


async def locked(state, log):
    async with state.lock:
        log.append(state.a)
        await asyncio.sleep(0)
        state.a += 1


async def signal(state, _log):
    state.event.set()
    await asyncio.sleep(0)


async def asks(state, log):
    log.append(state.event.is_set())
    await asyncio.sleep(0)
    log.append(state.lock.locked())


async def puts(state, log):
    state.queue.put_nowait(len(log))
    await asyncio.sleep(0)
    log.append(state.queue.qsize())


async def takes(state, log):
    if not state.queue.empty():
        await asyncio.sleep(0)
        log.append(state.queue.empty() or state.queue.get_nowait())


async def gathers(state, log):
    log.append(len(await asyncio.gather(write_b(state, log), swap(state, log))))


async def groups(state, log):
    async with asyncio.TaskGroup() as group:
        group.create_task(write_b(state, log))
    log.append(state.b)


async def times_out(state, log):
    try:
        async with asyncio.timeout(1):
            await asyncio.sleep(state.b + 0.5)
            log.append(state.a)
    except TimeoutError:
        log.append("late")
        state.a += 1


async def resolves(state, log):
    if not state.future.done():
        state.future.set_result(state.a)
    await asyncio.sleep(0)
    log.append(state.future.result())


async def starts(state, log):
    state.tasks.append(asyncio.create_task(write_b(state, log)))
    await asyncio.sleep(0)


async def cancels(state, log):
    if state.tasks:
        log.append(state.tasks[0].cancel())
    await asyncio.sleep(0)
    log.append([task.done() for task in state.tasks])


async def keys(state, log):
    await asyncio.sleep(0)
    state.keys[len(state.keys)] = state.pair
    log.append("x" in state.keys)


async def unpacks(state, log):
    first, _ = state.pair
    await asyncio.sleep(0)
    state.pair = (first + 1, state.a)
    log.append(sum(value for value in state.pair))


async def generates(state, log):
    async def numbers():
        for number in range(2):
            yield number + state.b
            await asyncio.sleep(0)

    log.append([number async for number in numbers()])


async def calls_back(state, log):
    loop = asyncio.get_running_loop()
    loop.call_soon(state.items.append, "plain")
    loop.call_soon(lambda: log.append(state.a))
    await asyncio.sleep(0)


async def in_a_thread(state, log):
    log.append(await asyncio.to_thread(lambda: state.a))
    state.b = f"{state.items}".count("0")


PARTS = [
    *(read_then_write, swap, write_b, only_if, locked, signal, asks, puts, takes, gathers),
    *(groups, times_out, resolves, starts, cancels, keys, unpacks, generates, calls_back),
    in_a_thread,
]


class Drawn:
    """A program of two or three workers; each play of it adds how it ended to `endings`."""

    def __init__(self, seed):
        draw = random.Random(seed)
        sizes = draw.choice([(2, 1), (1, 2), (2, 2), (1, 1, 1)])
        self.workers = [[draw.choice(PARTS) for _ in range(size)] for size in sizes]
        self.endings = set()

    async def __call__(self, run):
        state = State()
        logs = [[] for _ in self.workers]

        async def worker(parts, log):
            for part in parts:
                await part(state, log)

        await run(*(worker(*each) for each in zip(self.workers, logs, strict=True)))
        for task in state.tasks:
            await asyncio.wait([task])
        self.endings.add(repr((logs, state.seen())))

    def __str__(self):
        return " || ".join("; ".join(part.__name__ for part in each) for each in self.workers)


class Every:
    """Enumerates each choice there is, without any idea of what matters."""

    def __init__(self):
        self.path = []
        self.at = 0

    def choose(self, _current, able):
        if self.at == len(self.path):
            self.path.append((0, len(able)))
        chosen, _ = self.path[self.at]
        self.at += 1
        return able[chosen], 1

    def advance(self):
        self.at = 0
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if not self.path:
            return False
        chosen, among = self.path[-1]
        self.path[-1] = (chosen + 1, among)
        return True


def every_ending(program, *, limit):
    """Return how a program can end, by playing all orders; nothing if there are too many."""
    guide = Every()
    with TaskProgram(program.__call__, Settings(), looks="never") as played:
        for _ in range(limit):
            trace = played.play(guide, record=False)
            assert trace.ending.kind == "passed", trace.ending.error
            if not guide.advance():
                return program.endings
    return None


def endings_that_the_search_finds(program):
    settings = Settings(preemptions=99, schedules=100_000, seconds=60)
    with TaskProgram(program.__call__, settings, looks="always") as played:
        search = Search(played, settings, beyond=10**6)
        assert search.failure() is None
        assert search.exhausted
        return program.endings, search.plays


def compare(seeds, *, limit):
    """Compare both for each seed, and return how many could be."""
    compared = 0
    for seed in seeds:
        wanted = every_ending(Drawn(seed), limit=limit)
        if wanted is not None:
            found, _ = endings_that_the_search_finds(Drawn(seed))
            assert found == wanted, f"{seed}: {Drawn(seed)}"
            compared += 1
    return compared


def answer():
    return "old"


def new_answer():
    return "new"


async def rebinds(state, _log):
    global answer  # noqa: PLW0603 - what it is about
    await asyncio.sleep(0)
    state.a += 1
    answer = new_answer


async def calls_by_name(_state, log):
    log.append(answer())
    await asyncio.sleep(0)
    log.append(answer())


class Rebound(Drawn):
    """One worker calls a function by its global name, the other gives the name to another."""

    def __init__(self):
        super().__init__(0)
        self.workers = [(calls_by_name,), (rebinds,)]

    async def __call__(self, run):
        global answer  # noqa: PLW0603 - each play begins with the first meaning
        before = answer
        try:
            await super().__call__(run)
        finally:
            answer = before


@looked_into
def test_function_that_is_rebound_is_no_constant():
    """A global name that some worker gives another function is looked at wherever it is read."""
    assert endings_that_the_search_finds(Rebound())[0] == every_ending(Rebound(), limit=400)


@looked_into
def test_footprints_lose_no_ending():
    """What any order of a small program can end with, the reduced search ends with too."""
    assert compare([1, 3, 7, 15, 19, 33, 36, 1058], limit=400) > 4


@looked_into
@pytest.mark.slow
def test_footprints_lose_no_ending_of_many_programs():
    """The same for more and larger programs than a desk has patience for."""
    assert compare(range(60), limit=1_000) > 30


# ---- which object is which --------------------------------------------------------------------


def schedules_of(worker):
    """Return how many schedules it takes to explore three workers that meet nowhere."""

    async def body(run):
        await run(worker(), worker(), worker())

    with TaskProgram(body, Settings(), looks="always") as program:
        search = Search(program, Settings())
        assert search.failure() is None
        assert search.exhausted
        return search.plays


class Mine:
    value = 0


async def with_an_object():
    mine = Mine()
    for _ in range(3):
        mine.value += 1
        await asyncio.sleep(0)


async def with_nothing():
    for _ in range(3):
        await asyncio.sleep(0)


@looked_into
def test_object_in_the_place_of_another_is_another():
    """What a worker makes where something of one that has ended lay is not taken for it."""
    assert schedules_of(with_an_object) == schedules_of(with_nothing)


class Door:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append(len(self.log))


async def closes_a_door(state, log):
    doors = [Door(state.items)]
    doors.append(len(state.items))
    await asyncio.sleep(0)
    del doors
    log.append(len(state.items))


class Doors(Drawn):
    """A finalizer changes what others look at, when the last reference to a list is gone."""

    def __init__(self):
        super().__init__(0)
        self.workers = [(closes_a_door,), (closes_a_door,)]


@looked_into
def test_finalizers_are_parts_of_steps():
    """What a finalizer touches belongs to the step that lets the object go."""
    assert endings_that_the_search_finds(Doors())[0] == every_ending(Doors(), limit=400)
