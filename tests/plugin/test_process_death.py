"""A worker's process that dies is a failure that says how, and nobody waits for its peers."""

from __future__ import annotations

SUITE = """
import os, signal, time

def die(worker):
    if worker.index == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)

def test_dies(concurrent_runner):
    concurrent_runner(die, workers=2, on="processes")

def test_session_goes_on():
    pass
"""

DIES = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_dies(concurrent_runner):
>       concurrent_runner(die, workers=2, on="processes")
E       pytest_concurrency.WorkerDied: The process of worker 1 (pid N) was killed by SIGSEGV after 0 finished calls.
E       The others were stopped: worker 0.

test_it.py:9: WorkerDied"""


def test_a_dead_worker_is_told_by_its_signal(suite):
    """The whole text."""
    ran = suite(SUITE)

    assert ran.outcomes == {"failed": 1, "passed": 1}
    assert ran.section("test_dies") == DIES
