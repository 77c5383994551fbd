"""The timing fixtures are the importable names."""

from __future__ import annotations

SUITE = """
import pytest
import pytest_concurrency as pc

def test_names(measure_time, assert_performance, perf_timer):
    assert measure_time is pc.measure_time
    assert assert_performance is pc.assert_performance

def test_time(measure_time, assert_performance):
    with measure_time("sum") as timing:
        sum(range(10))
    assert 0 < timing.duration < 5
    assert_performance(timing.duration, "5s", "sum")

def test_timer():
    with pc.PerformanceTimer("steps") as timer:
        timer.lap()
    assert timer.elapsed >= timer.laps[0]

def test_missed(assert_performance):
    assert_performance("61.3ms", "50ms", "validation")
"""
MISSED = """\
E       pytest_concurrency.BrokenPromise: Missed: validation within TIME
E         took    TIME
E         margin  TIME over, 1.23 times the limit"""


def test_fixtures_are_the_importable_names(suite):
    """They time, and claim; a claim that does not hold shows its margin."""
    ran = suite(SUITE)

    assert ran.outcomes == {"passed": 3, "failed": 1}
    assert ran.section("test_missed").count(MISSED) == 1
