# ruff: noqa: PLW0108 - whose frame a call is in matters here
"""Workers as threads: many, released together, ended at the deadline, none left behind."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import time
from itertools import count

import pytest

from pytest_concurrency import HangError, UsageError, concurrent_runner
from pytest_concurrency.run import threads
from pytest_concurrency.run.plan import Plan, Step
from pytest_concurrency.run.recording import Recording
from pytest_concurrency.run.settings import SURROUNDINGS, Settings
from pytest_concurrency.run.stop import WorkerStopped
from pytest_concurrency.run.threads import SWITCH_INTERVAL
from pytest_concurrency.run.worker import Worker


class Forever:
    """Something that ends for those who wait only when the test says so."""

    def __init__(self):
        self.event = threading.Event()

    def wait(self):
        """Wait as C code does: no exception can be raised before it returns."""
        self.event.wait()


@pytest.fixture
def forever():
    """Return what workers wait for until the end of the test."""
    made = Forever()
    yield made
    made.event.set()


@pytest.fixture
def little_grace(monkeypatch):
    """Do not wait long for workers of which it is known that they cannot be stopped."""
    monkeypatch.setattr(threads, "GRACE", 0.05)


@pytest.mark.parametrize("workers", [1, 2, 100, 500])
def test_all_workers_run_and_meet(workers):
    """Every worker is there: all meet at a barrier inside of their calls."""
    barrier = threading.Barrier(workers)

    outcome = concurrent_runner(
        lambda worker: (barrier.wait(30), worker.index)[1], workers=workers, timeout=60
    )

    assert outcome.raise_errors().values == list(range(workers))
    assert outcome.overlap.peak == workers


def test_rounds_are_made_by_the_same_threads_and_released_together():
    """No worker starts a round before all have ended the one before."""
    running, most = [0] * 5, []

    def work(worker):
        running[worker.round] += 1
        most.append(max(index for index, number in enumerate(running) if number))
        return threading.get_ident()

    outcome = concurrent_runner(work, workers=4, rounds=5)

    assert running == [4] * 5
    assert len(set(outcome.values)) == 4
    assert [call.round for call in outcome.calls] == [0, 1, 2, 3, 4] * 4


def test_threads_are_named_after_test_and_worker():
    """Whoever lists threads sees whose they are, and none is a reason not to exit."""

    def tell():
        thread = threading.current_thread()
        return thread.name, thread.daemon

    outcome = concurrent_runner(tell, workers=2)

    assert outcome.values == [("worker 0", True), ("worker 1", True)]


def test_workers_see_the_context_of_the_caller():
    """Context variables are those of the caller; what a worker sets is its own."""
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("the caller's")

    def change(worker):
        before = variable.get()
        variable.set(worker.index)
        return before

    assert concurrent_runner(change, workers=3).values == ["the caller's"] * 3
    assert variable.get() == "the caller's"


def test_a_short_switch_interval_holds_only_while_a_run_is_on():
    """Calls really alternate; afterwards the interpreter is as it was, also after nested runs."""
    before = sys.getswitchinterval()

    def nested():
        inner = concurrent_runner(sys.getswitchinterval, workers=2).values
        return [*inner, sys.getswitchinterval()]

    outcome = concurrent_runner(nested, workers=2)

    assert [interval for found in outcome.values for interval in found] == pytest.approx(
        [SWITCH_INTERVAL] * 6
    )
    assert sys.getswitchinterval() == before


def test_many_workers_are_switched_less_often():
    """All that wait ask once per interval: it grows with them, up to the interpreter's own."""

    def interval(workers):
        outcome = concurrent_runner(sys.getswitchinterval, workers=workers)
        return outcome.values[0]

    assert [interval(5), interval(50)] == pytest.approx([SWITCH_INTERVAL, 10 * SWITCH_INTERVAL])


def test_an_error_ends_its_call_not_the_run():
    """The worker goes on with its next round; everything raised is kept."""

    def fail(worker):
        if worker.index == 1:
            raise KeyError(worker.round)
        return worker.round

    outcome = concurrent_runner(fail, workers=2, rounds=3)

    assert outcome.values == [0, 1, 2]
    assert [error.args for error in outcome.errors] == [(0,), (1,), (2,)]


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_ends_the_run(fatal, forever):
    """What is no error of a call is raised as it is, and the peers are stopped."""
    error, ended, inside = fatal(3), [], threading.Barrier(3)

    def work(worker):
        try:
            inside.wait(5)
            if worker.index == 1:
                raise error
            for _ in iter(forever.event.is_set, True):
                pass
        finally:
            ended.append(worker.index)

    with pytest.raises(fatal) as raised:
        concurrent_runner(work, workers=3)

    assert raised.value is error
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.usefixtures("little_grace")
def test_peers_that_cannot_be_stopped_are_named_on_what_ended_the_run(forever):
    """The run ends though a worker sits in code that hears nothing; it is told."""
    inside = threading.Barrier(2)

    def work(worker):
        inside.wait(5)
        if worker.index == 1:
            raise SystemExit
        forever.wait()

    with pytest.raises(SystemExit) as raised:
        concurrent_runner(work, workers=2)

    assert raised.value.__notes__ == [
        "\nCannot be stopped and goes on in the background: worker 0."
    ]


def test_what_ends_the_run_starts_no_other_round():
    """Peers before the gate are sent home."""
    rounds = []

    def work(worker):
        rounds.append(worker.round)
        if worker.index == 0:
            raise SystemExit

    with pytest.raises(SystemExit):
        concurrent_runner(work, workers=2, rounds=50)

    assert set(rounds) == {0}


def test_a_busy_worker_is_stopped_at_the_deadline():
    """A loop that never ends is ended, its ``finally`` runs, and nobody is left."""
    cleaned = []

    def spin():
        try:
            while True:
                pass
        finally:
            cleaned.append(True)

    with pytest.raises(HangError) as hung:
        concurrent_runner(spin, workers=2, timeout="50ms")

    assert cleaned == [True, True]
    assert hung.value.left_running == ()
    assert "in the background" not in str(hung.value)


@pytest.mark.usefixtures("little_grace")
def test_a_worker_that_cannot_be_stopped_is_named(forever):
    """The session goes on; the text says which workers do too."""
    with pytest.raises(HangError) as hung:
        concurrent_runner(forever.wait, workers=2, timeout=0.05)

    assert hung.value.left_running == ("worker 0", "worker 1")
    assert str(hung.value).endswith(
        "\nCannot be stopped and go on in the background: workers 0, 1."
    )


@pytest.mark.usefixtures("little_grace")
def test_the_outcome_of_a_hang_holds_what_had_ended(forever):
    """Values and errors of those who ended are there to look at."""

    def work(worker):
        if worker.index == 0:
            forever.wait()
        if worker.index == 1:
            raise KeyError
        return worker.index

    with pytest.raises(HangError) as hung:
        concurrent_runner(work, workers=4, timeout=0.1)
    outcome = hung.value.outcome

    assert (outcome.values, outcome.failures, outcome.unfinished) == ([2, 3], 1, 1)


def test_a_worker_that_ends_as_it_is_stopped_raises_nothing_outside(monkeypatch):
    """A stop that comes when the last call is over does not strike in the thread's own code."""
    strayed = []
    monkeypatch.setattr(threading, "excepthook", strayed.append)
    numbers = count()

    def work(worker):
        for _ in range(next(numbers) % 50):
            pass
        if worker.index == 0:
            raise SystemExit

    for _ in range(100):
        with pytest.raises(SystemExit):
            concurrent_runner(work, workers=3)

    assert strayed == []


def test_a_stop_in_a_callback_of_the_collector_is_not_told(monkeypatch):
    """Hypothesis has such a callback; what is raised there is told as ignored."""
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    numbers, threshold = count(), gc.get_threshold()

    def observe(_phase, _information):
        for _ in range(300):
            pass

    def work(worker):
        kept = [[{}] for _ in range(next(numbers) % 500)]
        if worker.index == 0:
            raise SystemExit
        return kept

    gc.callbacks.append(observe)
    gc.set_threshold(50)
    try:
        for _ in range(100):
            with pytest.raises(SystemExit):
                concurrent_runner(work, workers=3)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(observe)

    assert lost == []


class Departing:
    """What is raised while one goes is told as ignored, and nothing else."""

    def __del__(self):
        for _ in range(20):
            pass


def test_a_stop_that_was_lost_is_sent_again(monkeypatch):
    """A worker that was struck while an object went does not stay for that."""
    monkeypatch.setattr(threads, "GRACE", 30)
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)

    def work():
        while True:
            Departing()
            for _ in range(20):
                pass

    for _ in range(5):
        before = threading.active_count()
        with pytest.raises(HangError) as hung:
            concurrent_runner(work, workers=2, timeout=0.02)
        assert hung.value.left_running == ()
        assert threading.active_count() == before
    assert lost == []
    assert sys.unraisablehook == lost.append


class StrikingLock:
    """A lock in whose taking the worker is struck."""

    def __init__(self):
        self.lock = threading.RLock()

    def __enter__(self):
        self.lock.acquire()
        raise WorkerStopped

    def __exit__(self, *_):
        """Never reached."""

    def release(self):
        self.lock.release()


def test_a_stop_that_strikes_in_the_last_moment_is_swallowed():
    """Wherever in its leaving a worker is struck, it leaves, and the lock is free."""
    plan = Plan(steps=((Step(function=int),),), rounds=1, is_async=False)
    crew = threads.ThreadCrew(Recording(plan, [Worker(index=0, seed=1)]), title="")
    crew._stopping = StrikingLock()

    crew._leave(0)

    assert crew.recording.has_ended == [True]
    free = []
    thread = threading.Thread(target=lambda: free.append(crew._stopping.lock.acquire(timeout=1)))
    thread.start()
    thread.join()
    assert free == [True]


def test_threads_that_cannot_start_end_the_run(monkeypatch):
    """Those that did start are sent home, nothing is called, and a smaller number is proposed."""
    start, started, called = threading.Thread.start, [], []

    def start_three(thread):
        if len(started) == 3:
            msg = "can't start new thread"
            raise RuntimeError(msg)
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_three)

    with pytest.raises(UsageError) as refused:
        concurrent_runner(lambda: called.append(1), workers=9)

    assert str(refused.value) == (
        "concurrent_runner(workers=9): the system starts only 3 threads "
        "(can't start new thread). Use workers=1, or rounds=."
    )
    assert called == []
    assert not any(thread.is_alive() for thread in started)


def test_an_interrupt_of_the_caller_stops_the_workers(monkeypatch):
    """Ctrl-C while the caller waits: the workers are ended and the interrupt goes on."""
    stopped, inside = [], threading.Event()

    def interrupt(*_):
        inside.wait(5)
        raise KeyboardInterrupt

    def spin():
        try:
            inside.set()
            while True:
                pass
        finally:
            stopped.append(True)

    monkeypatch.setattr(threads.Countdown, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        concurrent_runner(spin, workers=1)

    assert stopped == [True]


def test_a_coroutine_that_nobody_awaits_is_refused():
    """A plain function that returns a coroutine made a mistake; nobody is warned besides."""

    async def book():
        """Stand in for a call."""

    outcome = concurrent_runner(lambda: book(), workers=1)

    assert [str(error) for error in outcome.errors] == [
        (
            "concurrent_runner(): the call returned the coroutine "
            "test_a_coroutine_that_nobody_awaits_is_refused.<locals>.book, which nobody awaits. "
            "Pass the coroutine function itself: concurrent_runner("
            "test_a_coroutine_that_nobody_awaits_is_refused.<locals>.book)."
        )
    ]


def test_a_value_that_pretends_to_be_something_is_kept():
    """Values are not asked what they are: a proxy's target is not touched."""

    class Proxy:
        @property
        def __class__(self):
            raise ZeroDivisionError

    assert concurrent_runner(Proxy, workers=1).failures == 0


def test_a_run_inside_of_a_run():
    """A worker may run workers of its own."""
    outcome = concurrent_runner(
        lambda: concurrent_runner(lambda: 1, workers=3).distinct(), workers=3
    )

    assert outcome.raise_errors().values == [1, 1, 1]


def test_without_a_deadline_a_run_waits(monkeypatch):
    """Surroundings that set no limit have none."""
    monkeypatch.setattr(
        SURROUNDINGS, "provide", lambda room: Settings(timeout=None) if room == "run" else None
    )

    assert concurrent_runner(time.monotonic, workers=2).failures == 0


def test_threads_carry_the_title_of_the_test(monkeypatch):
    """Under pytest, a thread's name begins with the test's id."""
    monkeypatch.setattr(
        SURROUNDINGS,
        "provide",
        lambda room: Settings(title="test_a.py::test_b") if room == "run" else None,
    )

    outcome = concurrent_runner(lambda: threading.current_thread().name, workers=1)

    assert outcome.values == ["test_a.py::test_b worker 0"]
