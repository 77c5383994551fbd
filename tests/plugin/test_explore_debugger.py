"""A debugger in a worker, on replay: it stops, steps and shows, and the schedule stays as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

SUITE = """
class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        STOP
        self.value = value + 1

def test_count(interleave):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2
"""
TAKEN = """
def test_take(interleave):
    @interleave
    def body(run):
        rows = {"n": 1}

        def take():
            if "n" in rows:
                amount = 41
                rows.pop("n")

        run(take, take)
"""


@pytest.fixture
def debug(pytester, environment):
    """Return what runs a test with a script for the debugger, and returns what it printed."""

    def run(test, script, *arguments):
        pytester.makepyfile(test_it=test)
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "concurrency-slo", *arguments],
            input=script,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.stderr == ""
        return ran.stdout

    return run


def test_a_breakpoint_in_a_worker_stops_there_and_steps(debug):
    """Each worker stops once, with its own values; the race is as it was, and told as ever."""
    script = "p 'first', value\nn\np 'next', value, self.value\nc\np 'now', self.value\nc\n"
    text = debug(SUITE.replace("STOP", "breakpoint()"), script, "--concurrency-replay=T0x1 T1x*")

    assert "('first', 0)" in text
    assert "('next', 0, 0)" in text
    assert "unknown debugging event" not in text
    assert text.count("PDB set_trace") == 2
    assert "assert 1 == 2" in text
    assert "worker 1's write is lost" in text
    assert "--concurrency-replay='T0x1 T1x*'" in text


def test_quitting_in_a_worker_ends_the_session(debug):
    """Nobody is accused of it."""
    text = debug(SUITE.replace("STOP", "breakpoint()"), "q\n", "--concurrency-replay=T0x1 T1x*")

    assert "Exit: Quitting debugger" in text
    assert "preemption" not in text


def test_a_failure_in_a_worker_is_looked_at_where_it_was(debug):
    """``--pdb`` shows the frame of the worker that failed, and its variables."""
    text = debug(TAKEN, "p 'amount', amount\nq\n", "--pdb", "--concurrency-replay=T0x2 T1x*")

    assert '-> rows.pop("n")' in text
    assert "('amount', 41)" in text


def test_a_failed_assertion_is_looked_at_in_the_body(debug):
    """``--pdb`` shows the state that the schedule has left."""
    text = debug(
        SUITE.replace("STOP", ""),
        "p 'left', counter.value\nq\n",
        "--pdb",
        "--concurrency-replay=T0x1 T1x*",
    )

    assert "-> assert counter.value == 2" in text
    assert "('left', 1)" in text


def test_tracing_a_test_that_explores(debug):
    """``--trace`` stops at its first line, steps over the exploration, and finds the same."""
    text = debug(SUITE.replace("STOP", ""), "n\nc\n", "--trace", "--concurrency-replay=T0x1 T1x*")

    assert "PDB runcall" in text
    assert "unknown debugging event" not in text
    assert "worker 1's write is lost" in text
