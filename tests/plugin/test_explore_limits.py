"""Time limits of others, Ctrl-C, and workers that nobody can stop."""

from __future__ import annotations

import pytest

SUITE = """
import socket
import threading
import pytest

class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        self.value = value + 1

@pytest.mark.timeout(1, func_only=True)
def test_hangs(interleave):
    one, other = socket.socketpair()
    with one, other:
        @interleave
        def body(run):
            counter = Counter()

            def wait():
                counter.increment()
                one.recv(1)

            run(wait, counter.increment)

@pytest.mark.timeout(1, func_only=True)
def test_slow(interleave):
    @interleave(schedules=10**9, seconds=100, preemptions=9)
    def body(run):
        counter = Counter()

        def many():
            for _ in range(9):
                counter.increment()

        run(many, many, many)

def test_goes_on(interleave):
    with pytest.raises(AssertionError):
        @interleave
        def body(run):
            counter = Counter()
            run(counter.increment, counter.increment)
            assert counter.value == 2
    assert threading.Lock.__module__ in {"_thread", "builtins"}
"""


@pytest.mark.parametrize("only", ["test_hangs", "test_slow"])
def test_a_limit_by_signal_ends_the_test_and_accuses_nobody(suite, only):
    """The test ends as pytest-timeout says, without a schedule; the next explores as ever."""
    ran = suite(
        SUITE,
        "-k",
        f"{only} or goes_on",
        "-o",
        "timeout_method=signal",
        plugins=["timeout"],
        apart=True,
    )

    assert ran.outcomes == {"failed": 1, "passed": 1, "deselected": 1}
    assert f"FAILED test_it.py::{only} - Failed: Timeout (>1.0s) from pytest-timeout." in ran.text
    assert "breaks it" not in ran.text
    assert "Replay: " not in ran.text
    assert "release unlocked lock" not in ran.text


def test_a_limit_by_thread_ends_the_session_with_every_stack(suite):
    """As for any test: the stacks of the workers are among those it shows."""
    ran = suite(
        SUITE, "-k", "hangs", "-o", "timeout_method=thread", plugins=["timeout"], apart=True
    )

    assert ran.result.ret == 1
    told = ran.text + ran.errors
    assert "Timeout" in told
    assert "in wait" in told


INTERRUPTED = """
import os
import signal

def test_interrupted(interleave):
    @interleave(seconds=100, schedules=10**9, preemptions=9)
    def body(run):
        rows, left = [], [1]

        def work():
            for _ in range(5):
                rows.append(len(rows))
            if len(played) == 40:
                os.kill(os.getpid(), signal.SIGINT)

        played.append(1)
        run(work, work, work)

played = []
"""


def test_an_interrupt_ends_the_session(suite):
    """Ctrl-C is nobody's finding."""
    ran = suite(INTERRUPTED, apart=True)

    assert ran.result.ret == pytest.ExitCode.INTERRUPTED
    assert "breaks it" not in ran.text
    assert "release unlocked lock" not in ran.text + ran.errors
