"""Other plugins beside ours: neither disturbs the other."""

from __future__ import annotations

import importlib.util
import sys

import pytest

RUN = """
import threading
together = threading.Barrier(3)

def test_run(concurrent_runner):
    outcome = concurrent_runner(lambda worker: (together.wait(5), worker.index)[1], workers=3)
    assert outcome.raise_errors().values == [0, 1, 2]
"""
HYPOTHESIS = """
from hypothesis import assume, given, settings, strategies as st
from pytest_concurrency import concurrent_runner

@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(), min_size=1, max_size=5))
def test_max(numbers):
    assume(numbers[0] != 3)
    outcome = concurrent_runner(max, items=[numbers] * 3)
    assert outcome.assert_all_equal() == max(numbers)

@settings(deadline=None)
@given(st.integers())
def test_finds(number):
    def check():
        assert number < 100
    concurrent_runner(check, workers=2).raise_errors()
"""
TIMEOUT = """
import pytest, time, threading
release = threading.Event()

@pytest.mark.timeout(30)
def test_ours_first(concurrent_runner):
    concurrent_runner(release.wait, workers=2, timeout="50ms")

@pytest.mark.timeout(0.3)
def test_theirs_first(concurrent_runner):
    concurrent_runner(release.wait, workers=2, timeout=50)

def test_goes_on():
    release.set()
"""
COVERED = """
import threading
import covered

def test_run(concurrent_runner):
    concurrent_runner(covered.call, items=[0, 1, 2]).raise_errors()

release = threading.Event()

def test_hangs(concurrent_runner):
    concurrent_runner(lambda: release.wait(60), workers=2, timeout="50ms")

def test_goes_on():
    assert covered.call(7) == "many"
    release.set()
"""
MODULE = """
def call(number):
    if number == 0:
        return "none"
    if number == 1:
        return "one"
    return "many"
"""


def test_hypothesis(suite):
    """The importable name under ``@given``: no complaint about fixtures, failures shrink."""
    # Apart: another plugin of this session may have changed how Hypothesis prints.
    ran = suite(HYPOTHESIS, plugins=["hypothesispytest"], apart=True)

    assert ran.outcomes == {"passed": 1, "failed": 1}
    assert "number=100" in ran.text
    assert "HealthCheck" not in ran.text
    assert "2 of 2 workers failed" in ran.text


def test_timeout_by_signal(suite):
    """Whose deadline is first ends the test; the session goes on."""
    ran = suite(TIMEOUT, "-o", "timeout_method=signal", plugins=["timeout"], apart=True)

    assert ran.outcomes == {"failed": 2, "passed": 1}
    assert "HangError: 2 of 2 workers did not end within" in ran.text
    assert "Failed: Timeout (>0.3s) from pytest-timeout." in ran.text


def test_timeout_by_thread(suite):
    """Ours comes first, before theirs ends the process."""
    ran = suite(TIMEOUT, "-o", "timeout_method=thread", "-k", "not theirs", plugins=["timeout"])

    assert ran.outcomes == {"failed": 1, "passed": 1, "deselected": 1}


def test_coverage(suite, pytester):
    """Lines that only workers reach are covered; a traced session outlives a hang."""
    pytester.makepyfile(covered=MODULE)
    ran = suite(COVERED, "--cov=covered", "--cov-report=term", plugins=["pytest_cov"], apart=True)

    assert ran.outcomes == {"passed": 2, "failed": 1}
    assert "covered.py       6      0   100%" in ran.text


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_run_parallel") is None, reason="needs pytest-run-parallel"
)
def test_run_parallel(suite):
    """A test that it repeats in threads may run workers of its own in each."""
    test = """
    def test_run(concurrent_runner):
        outcome = concurrent_runner(lambda worker: worker.index, workers=3)
        assert outcome.raise_errors().values == [0, 1, 2]
    """
    ran = suite(test, "--parallel-threads=3", plugins=["pytest_run_parallel.plugin"])

    assert ran.outcomes["passed"] == 1


@pytest.mark.parametrize(
    "more",
    [
        ("-p", "pytest_concurrency.plugin"),
        ("-p", "concurrency-slo", "-W", "error"),
        ("-p", "concurrency-slo", "--strict-markers", "--strict-config"),
        ("-p", "concurrency-slo", "-p", "no:terminal"),
        ("-p", "concurrency-slo", "-p", "no:logging", "-p", "no:capture"),
        ("-p", "concurrency-slo", "--import-mode=importlib"),
        ("-p", "concurrency-slo", "--collect-only", "-q"),
    ],
    ids=lambda more: " ".join(more[2:]) or "by module",
)
def test_a_session_of_any_make(suite, more):
    """Loaded by its module, warnings as errors, without terminal, logging or capture."""
    ran = suite(RUN, *more, plain=("-p", "no:cacheprovider"))

    assert ran.result.ret == 0
    assert ran.errors == ""


def test_switched_off(suite):
    """Without the plugin its names are unknown, and nothing of it is loaded."""
    ran = suite(RUN, "-p", "no:concurrency-slo", plain=("-p", "no:cacheprovider"))

    assert ran.outcomes == {"errors": 1}
    assert "fixture 'concurrent_runner' not found" in ran.text


def test_importable_without_pytest(pytester):
    """A script needs no pytest."""
    script = pytester.makepyfile(
        script="""
        import sys
        from pytest_concurrency import concurrent_runner
        print(concurrent_runner(int, workers=2).values, "pytest" in sys.modules)
        """
    )
    ran = pytester.run(sys.executable, script)

    assert ran.outlines == ["[0, 0] False"]
