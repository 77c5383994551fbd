"""Timed tests under pytest-xdist: nothing runs beside them, and no sample is lost."""

from __future__ import annotations

import json
from collections import Counter

import pytest

pytest.importorskip("xdist")
pytestmark = pytest.mark.usefixtures("bare")

CONFTEST = """
import json, os, time
import pytest

@pytest.fixture(autouse=True)
def noted(request, tmp_path_factory):
    began = time.monotonic_ns()
    yield
    name = f"{os.getpid()}.jsonl"
    timed = "performance" in request.keywords
    with open(os.path.join(os.environ["NOTES"], name), "a") as notes:
        notes.write(json.dumps([began, time.monotonic_ns(), timed, request.node.name]) + "\\n")
"""
SUITE = """
import os, signal
import pytest

def busy(steps=5_000):
    return sum(step * step % 7 for step in range(steps))

@pytest.mark.parametrize("number", range(160))
def test_other(number):
    busy()
    if number == 80:
        os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.performance
@pytest.mark.parametrize("number", range(40))
def test_timed(number, perf_timer):
    with perf_timer:
        busy()
"""
SINK = """
import json, os

class Keep:
    def write(self, records):
        kept = {
            one["nodeid"]: one["evidence"]["latency"] for one in records if one["kind"] == "samples"
        }
        with open(os.environ["SAMPLES"], "w") as file:
            json.dump(kept, file)

def pytest_concurrency_sink(config):
    return Keep()
"""


@pytest.fixture
def notes(pytester, monkeypatch):
    """Return what the inner tests note: when each began and ended, and whether it was timed."""
    directory = pytester.mkdir("notes")
    monkeypatch.setenv("NOTES", str(directory))
    return lambda: [
        json.loads(line) for file in directory.iterdir() for line in file.read_text().splitlines()
    ]


def test_timed_tests_overlap_no_other(pytester, notes):
    """Eight processes, 200 tests, one process killed: timestamps prove that 40 ran alone."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-q", "-n8", "--dist=load")
    assert result.parseoutcomes() == {"failed": 1, "passed": 199}
    seen = sorted(notes())
    assert Counter(timed for *_, timed, _ in seen) == {True: 40, False: 159}
    for began, ended, timed, name in seen:
        beside = [
            other
            for start, end, is_timed, other in seen
            if other != name and (timed or is_timed) and start < ended and began < end
        ]
        assert beside == []


def test_samples_are_the_same_with_processes_of_which_one_dies(pytester, monkeypatch):
    """What each timer held arrives at the sink to the last sample, and survives its process."""
    pytester.makepyfile(
        conftest=SINK,
        test_a="""
        import os, signal
        import pytest
        from pytest_concurrency.slo import perf

        @pytest.mark.parametrize("number", range(6))
        def test_timed(number, perf_timer, monkeypatch):
            now = 1
            monkeypatch.setattr(perf, "perf_counter_ns", lambda: now)
            for step in range(1_000 + number):
                with perf_timer:
                    now += step * 7919 % 10_007

        def test_last():
            if "PYTEST_XDIST_WORKER" in os.environ:
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    kept = []
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    for options, outcomes in (((), {"passed": 7}), (("-n2",), {"passed": 6, "failed": 1})):
        monkeypatch.setenv("SAMPLES", str(pytester.path / "samples.json"))
        result = pytester.runpytest_subprocess("-q", "--slo-clock=wall", *options)
        result.assert_outcomes(**outcomes)
        kept.append(json.loads((pytester.path / "samples.json").read_text()))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 6


def test_wait_takes_no_time_of_the_limit(pytester, told):
    """A timed test waits for others before pytest-timeout's clock starts, and the wait is told."""
    pytest.importorskip("pytest_timeout")
    pytester.makepyfile(
        """
        import pytest, threading

        def test_other():
            threading.Event().wait(2)

        @pytest.mark.performance
        @pytest.mark.timeout(1)
        def test_timed():
            threading.Event().wait(0.1)
        """
    )
    result = pytester.runpytest_subprocess("-q", "-n2", "-p", "pytest_timeout")
    result.assert_outcomes(passed=2)
    assert [line.split(" ")[0:4] for line in told(result)] in (
        [["1", "timed", "test", "waited"]],
        [],  # the timed one came first
    )
