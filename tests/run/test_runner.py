"""The runner's arguments: what they mean, and what is refused."""

from __future__ import annotations

import pytest

import pytest_concurrency
from pytest_concurrency import HangError, UsageError, concurrent_runner
from pytest_concurrency.run.recording import Countdown
from pytest_concurrency.run.settings import SURROUNDINGS, Settings


def first():
    return 1


async def later():
    return 1


WRONG = [
    (
        first,
        {"on": "tasks"},
        (
            "concurrent_runner(on='tasks'): a plain function never awaits, so tasks would run it "
            "one after the other. Pass a coroutine function, or use on='threads'."
        ),
    ),
    (
        later,
        {"on": "threads"},
        (
            "concurrent_runner(on='threads'): coroutine functions run as tasks. "
            "Leave out on='threads', or pass lambda: asyncio.run(...)."
        ),
    ),
    (
        first,
        {"on": "thread"},
        (
            "concurrent_runner(on='thread'): workers are threads, tasks, processes, or the jobs of "
            "a concurrent.futures executor. Write on='threads'."
        ),
    ),
    (
        first,
        {"on": 3},
        (
            "concurrent_runner(on=3): workers are threads, tasks, processes, or the jobs of a "
            "concurrent.futures executor. Use one of 'threads', 'tasks', 'processes'."
        ),
    ),
    (
        first,
        {"seed": "x"},
        "concurrent_runner(seed='x'): use an integer, such as seed=1.",
    ),
    (first, {"seed": True}, "concurrent_runner(seed=True): use an integer, such as seed=1."),
    (
        first,
        {"timeout": 0},
        "concurrent_runner(timeout=0): a run needs time. Write timeout='10s'.",
    ),
    (
        first,
        {"timeout": "10"},
        "concurrent_runner(timeout='10'): '10' has no unit. Write '10ms' or '10s'.",
    ),
    (
        first,
        {"timeout": "10 secs"},
        "concurrent_runner(timeout='10 secs'): 'secs' is not a unit. Write '10s'.",
    ),
    (
        first,
        {"timeout": -1},
        "concurrent_runner(timeout=-1): -1 is negative. A duration is zero or more.",
    ),
    (
        first,
        {"timeout": [1]},
        (
            "concurrent_runner(timeout=[1]): [1] is not a duration. "
            "Write seconds as a number, or '50ms'."
        ),
    ),
]


@pytest.mark.parametrize(("call", "arguments", "text"), WRONG)
def test_arguments_that_make_no_sense_are_refused(call, arguments, text):
    """What, why, and what to type; no frame of ours in the traceback."""
    with pytest.raises(UsageError) as refused:
        concurrent_runner(call, **arguments)

    assert str(refused.value) == text
    frames = [entry.name for entry in refused.traceback]
    assert frames == ["test_arguments_that_make_no_sense_are_refused", "concurrent_runner"]
    assert refused.value.__suppress_context__


def test_a_coroutine_function_on_an_executor_is_refused():
    """An executor has no loop."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor, pytest.raises(UsageError) as refused:
        concurrent_runner(later, on=executor)

    assert str(refused.value) == (
        "concurrent_runner(on=<executor>): coroutine functions run as tasks. "
        "Leave out on=, or pass lambda: asyncio.run(...)."
    )


def test_surroundings_say_what_the_call_does_not(monkeypatch):
    """Workers, deadline and seed are the session's where nobody says."""
    seen = []
    settings = Settings(workers=3, timeout=9, seed=5, observe=seen.append)
    monkeypatch.setattr(SURROUNDINGS, "provide", lambda room: settings if room == "run" else None)

    outcome = concurrent_runner(lambda worker: worker.seed)

    assert outcome.values == [5, 5, 5]
    assert seen == [outcome]


def test_observers_do_not_speak_for_the_caller(monkeypatch):
    """An observer that reads the errors does not hide that nobody else did."""
    settings = Settings(observe=lambda outcome: outcome.errors)
    monkeypatch.setattr(SURROUNDINGS, "provide", lambda room: settings if room == "run" else None)

    def fail():
        raise KeyError

    assert concurrent_runner(fail, workers=1).has_unseen_errors


def test_a_default_number_of_workers_is_checked_too(monkeypatch):
    """A slip in the settings is no reason to start a million threads."""
    monkeypatch.setattr(
        SURROUNDINGS, "provide", lambda room: Settings(workers=1_000_000) if room == "run" else None
    )

    with pytest.raises(UsageError, match="at most 10,000 workers are started"):
        concurrent_runner(first)


def test_the_limits_source_is_told(monkeypatch):
    """Who set the limit that a run went over."""
    import threading

    settings = Settings(timeout=0.02, timeout_source="--concurrency-timeout=20ms")
    monkeypatch.setattr(SURROUNDINGS, "provide", lambda room: settings if room == "run" else None)
    monkeypatch.setattr("pytest_concurrency.run.threads.GRACE", 0.01)
    release = threading.Event()

    with pytest.raises(HangError) as hung:
        concurrent_runner(release.wait, workers=1)
    release.set()

    assert "\nThe limit is --concurrency-timeout=20ms.\n" in str(hung.value)


def test_a_failed_run_is_a_claim_that_did_not_hold():
    """A hang and a dead worker are broken promises: assertions, for whoever expects any."""
    for name in ("HangError", "WorkerDied"):
        failure = getattr(pytest_concurrency, name)
        assert issubclass(failure, pytest_concurrency.BrokenPromise)
        assert issubclass(failure, AssertionError)
        assert failure.__module__ == "pytest_concurrency"


def test_a_countdown_of_nobody_is_over():
    """Who waits for nobody does not wait."""
    assert Countdown(0).wait(0)


def test_a_countdown_ends_with_the_last():
    """And not before."""
    countdown = Countdown(2)
    countdown.step()
    assert not countdown.wait(0)
    countdown.step()
    assert countdown.wait(0)


def test_a_countdown_can_be_cut():
    """One who ends the run ends the waiting."""
    countdown = Countdown(2)
    countdown.cut()
    assert countdown.wait(0)
