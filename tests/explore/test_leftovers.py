"""Nothing of an exploration is left behind, and nobody else is touched."""

import asyncio
import queue
import sys
import threading
import time
import warnings

import pytest

from pytest_concurrency.explore import code, region, workers
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.linearizable import linearizable
from pytest_concurrency.explore.numbers import Numbers
from pytest_concurrency.explore.patches import Patches
from pytest_concurrency.explore.running import Running
from pytest_concurrency.explore.standins import StandIns


def _names():
    places = [
        (threading, ("Lock", "RLock", "Event", "_allocate_lock", "_time")),
        (queue, ("SimpleQueue", "time")),
        (time, ("sleep", "monotonic", "time", "perf_counter")),
        (threading.Thread, ("start", "join", "is_alive")),
        (warnings, ("_warn_unawaited_coroutine",)),
    ]
    return [getattr(owner, name) for owner, names in places for name in names]


def _racy(run):
    box = []
    run(lambda: box.append(1), lambda: box.append(2))
    assert box == [1, 2]


def _interrupted(run):
    box = []

    def interrupt():
        box.append(1)
        raise KeyboardInterrupt

    run(interrupt, lambda: box.append(2))


@pytest.mark.parametrize(
    ("body", "raised"), [(_racy, AssertionError), (_interrupted, KeyboardInterrupt)]
)
def test_exploration_leaves_nothing_behind(body, raised):
    """Threads end, names are put back and tracing is off, after a failure and an interrupt too."""
    names, threads, trace = _names(), threading.active_count(), sys.gettrace()

    with pytest.raises(raised):
        interleave(body)

    assert _names() == names
    assert threading.active_count() == threads
    assert sys.gettrace() is trace


def test_other_threads_get_the_real_thing():
    """A thread that is not a worker uses locks and time as ever while a schedule runs."""
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    slept, over = [], []

    def live():
        while asked.acquire() and not over:
            lock = threading.Lock()
            with lock:
                time.sleep(0)
            slept.append(type(lock))
            answered.release()

    other = threading.Thread(target=live)
    other.start()
    try:

        @interleave
        def body(run):
            box = []
            asked.release()
            run(lambda: box.append(1), lambda: box.append(2))

        for _ in range(body.schedules):
            answered.acquire()
    finally:
        over.append(True)
        asked.release()
        other.join()
    assert len(slept) >= body.schedules


class Kept:
    """What its one method keeps; somebody presses Ctrl-C in the middle of a play."""

    made = 0

    def __init__(self):
        self.kept = []
        Kept.made += 1
        if Kept.made == 5:
            raise KeyboardInterrupt

    def keep(self):
        self.kept.append(1)


def test_an_interrupted_search_for_a_program_is_over(monkeypatch):
    """Ctrl-C ends linearizable too: it is no failing program to be made smaller."""
    monkeypatch.setattr(Kept, "made", 0)

    with pytest.raises(KeyboardInterrupt):
        linearizable(Kept, keep=(), examples=20)


@pytest.mark.parametrize("play", [2, 4, 6])
def test_an_interrupt_while_a_failure_is_explained_ends_the_test(play):
    """Ctrl-C ends an exploration that has found something, and tells it later."""
    plays = []

    def body(run):
        plays.append(1)
        if len(plays) == play:
            raise KeyboardInterrupt
        _racy(run)

    with pytest.raises(KeyboardInterrupt):
        interleave(body)

    assert len(plays) == play


def _interrupt(monkeypatch, owner, name):
    """Let Ctrl-C be pressed in the first call of a function, before it does anything."""
    original, calls = getattr(owner, name), []

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Numbers, "restart"),
        (region, "leave"),
        (StandIns, "leave"),
        (code, "abort"),
        (Patches, "_put_back"),
        (Patches, "_replace"),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_an_interrupt_between_plays_leaves_nothing_behind(monkeypatch, owner, name):
    """Ctrl-C comes anywhere: also while names are being replaced, or put back."""
    before, threads = _names(), threading.active_count()
    _interrupt(monkeypatch, owner, name)

    async def coroutines(run):
        box = []

        async def fill():
            box.append(1)

        await run(fill, fill)

    with pytest.raises(KeyboardInterrupt):
        interleave(coroutines if owner is Patches else _racy)

    assert _names() == before
    assert region.here() is None
    assert threading.active_count() == threads


def test_a_thread_whose_start_is_interrupted_ends(monkeypatch):
    """Ctrl-C while a thread of the explorer starts: nobody would ever end it."""
    threads = threading.active_count()
    started = []

    def start(thread):
        original(thread)
        started.append(thread)
        raise KeyboardInterrupt

    original = workers._start
    monkeypatch.setattr(workers, "_start", start)

    with pytest.raises(KeyboardInterrupt):
        interleave(_racy)

    started[0].join(10)
    assert threading.active_count() == threads


def test_a_loop_that_is_left_running_by_an_interrupt_is_put_away(monkeypatch):
    """Ctrl-C as a step of a coroutine ends: no loop stays the running one of the thread."""
    _interrupt(monkeypatch, Running, "__exit__")

    async def coroutines(run):
        await run(asyncio.Event().wait, asyncio.Event().wait)

    with pytest.raises(KeyboardInterrupt):
        interleave(coroutines)

    assert asyncio._get_running_loop() is None
