"""Nothing of an exploration is left behind, and nobody else is touched."""

import queue
import sys
import threading
import time

import pytest

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.linearizable import linearizable


def _names():
    places = [
        (threading, ("Lock", "RLock", "Event", "_allocate_lock", "_time")),
        (queue, ("SimpleQueue", "time")),
        (time, ("sleep", "monotonic", "time", "perf_counter")),
        (threading.Thread, ("start", "join", "is_alive")),
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
    slept = []

    def live():
        while asked.acquire():
            if slept and slept[-1] is None:
                return
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
        slept.append(None)
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
