# ruff: noqa: PLW0108 - whose frame a call is in matters here
"""Workers as jobs of an executor that the caller brings."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.resource_tracker import ensure_running

import pytest

from pytest_concurrency import HangError, UsageError, concurrent_runner
from pytest_concurrency.run import executors


def whoami(worker):
    """Tell who the worker is; at the top of its module, so that it can be sent."""
    return worker.index, worker.round, worker.random.random()


def refuse():
    msg = "B"
    raise KeyError(msg)


def leave():
    os._exit(3)


@pytest.fixture(scope="module", autouse=True)
def tracker():
    """Start what Python's own pools start once and keep."""
    ensure_running()


def test_a_pool_with_a_place_for_each_releases_all_together():
    """Where all workers fit, the gate holds in every round."""
    barrier = threading.Barrier(4)

    with ThreadPoolExecutor(4) as executor:
        outcome = concurrent_runner(lambda: barrier.wait(5), workers=4, rounds=3, on=executor)

        assert executor.submit(int).result() == 0  # it is left open

    assert outcome.raise_errors().overlap.peak == 4


def test_a_pool_that_is_too_small_runs_them_in_turn(monkeypatch):
    """The gate loses patience, and all calls are made."""
    monkeypatch.setattr(executors, "PATIENCE", 0.01)

    with ThreadPoolExecutor(2) as executor:
        outcome = concurrent_runner(lambda worker: worker.index, workers=5, on=executor)

    assert outcome.raise_errors().values == [0, 1, 2, 3, 4]


def test_a_pool_of_processes_runs_them():
    """Calls, rounds and each worker's own numbers are the same as in threads."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        outcome = concurrent_runner(whoami, workers=3, rounds=2, on=executor, seed=5)
        failed = concurrent_runner(refuse, workers=2, on=executor)

    assert outcome.values == concurrent_runner(whoami, workers=3, rounds=2, seed=5).values
    assert failed.error_tally() == {"KeyError: 'B'": 2}


def test_a_pool_whose_process_dies_is_told():
    """The pool knows no more than that one died."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        outcome = concurrent_runner(leave, workers=2, on=executor)

    (told, number), *_ = outcome.error_tally().items()
    assert told.startswith("BrokenProcessPool: A process in the process pool was terminated")
    assert number == 2


def test_what_cannot_be_sent_to_a_pool_of_processes_is_refused():
    """Before anything is started."""
    with ProcessPoolExecutor(1) as executor, pytest.raises(UsageError) as refused:
        concurrent_runner(lambda: 1, workers=2, on=executor)

    assert re.sub(
        r"it cannot be sent to the executor's workers: .*\. Define",
        "... Define",
        str(refused.value),
    ) == (
        "concurrent_runner(test_what_cannot_be_sent_to_a_pool_of_processes_is_refused.<locals>"
        ".<lambda>): ... Define it at the top of its module and give it plain items, "
        "or use on='threads'."
    )


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_closed_executor_is_refused(make):
    """It is named, with what it said."""
    executor = make(1)
    executor.shutdown()

    with pytest.raises(UsageError) as refused:
        concurrent_runner(whoami, workers=2, on=executor)

    assert re.sub(r"<.*? object at 0x\w+>", "<executor>", str(refused.value)) == (
        "concurrent_runner(on=<executor>): cannot schedule new futures after shutdown. "
        "Pass an executor that is open."
    )


def test_a_hang_in_a_pool_of_threads_shows_stacks(monkeypatch):
    """Who runs is shown where it is; who never got a place waits for one."""
    monkeypatch.setattr(executors, "GRACE", 0.05)
    monkeypatch.setattr(executors, "PATIENCE", 0.01)
    release = threading.Event()

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(HangError) as hung:
            concurrent_runner(lambda: release.wait(), workers=2, on=executor, timeout=0.1)
        release.set()
    text = re.sub(r"\S*test_executors.py:\d+", "test_executors.py:N", str(hung.value))

    assert "waits for release\n\n  worker 1  waits for a free place in the executor\n" in text
    assert text.endswith("Cannot be stopped and goes on in the background: worker 0.")


class Lazy(Executor):
    """An executor that keeps its jobs to itself."""

    def __init__(self):
        self.futures = []

    def submit(self, function, *arguments):
        """Keep a job, or do it at once."""
        del function, arguments
        self.futures.append(Future())
        return self.futures[-1]


class Eager(Executor):
    """An executor that does its jobs at once, in the caller's thread."""

    def submit(self, function, *arguments):
        """Do a job."""
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_any_executor_will_do():
    """One of the caller's own is trusted: it may well run what cannot be pickled."""
    outcome = concurrent_runner(lambda worker: worker.index, workers=3, rounds=2, on=Eager())

    assert outcome.values == [0, 0, 1, 1, 2, 2]
    assert not outcome.overlap


def test_a_fatal_error_in_any_executor_ends_the_run():
    """It is raised as it is."""

    def leave_politely():
        raise SystemExit(7)

    with pytest.raises(SystemExit, match="7"):
        concurrent_runner(leave_politely, workers=1, on=Eager())


def test_an_executor_that_does_nothing_hangs():
    """There is no stack to show, and that is said."""
    with pytest.raises(HangError) as hung:
        concurrent_runner(whoami, workers=2, on=Lazy(), timeout=0.02)

    assert str(hung.value).startswith(
        "2 of 2 workers did not end within 20 ms:\n\n"
        "  workers 0, 1  runs in the executor, which keeps its stack\n\n"
        "No call had ended.\n"
    )


def test_jobs_that_somebody_cancels_are_errors():
    """An executor that drops its jobs tells so for each."""

    class Dropping(Lazy):
        def submit(self, function, *arguments):
            future = super().submit(function, *arguments)
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    outcome = concurrent_runner(whoami, workers=2, on=Dropping())

    assert outcome.error_tally() == {"CancelledError": 2}


def test_an_interrupt_of_the_caller_opens_the_gate(monkeypatch):
    """Ctrl-C while workers wait for each other: they are sent home."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(executors, "wait", interrupt)
    monkeypatch.setattr(executors, "PATIENCE", 60)

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        concurrent_runner(whoami, workers=2, on=executor)
