"""Inner sessions whose calls take exactly as long as their test says."""

from __future__ import annotations

import pytest

import pytest_concurrency.plugin.against
import pytest_concurrency.plugin.baseline
import pytest_concurrency.plugin.canary
import pytest_concurrency.plugin.marked
import pytest_concurrency.plugin.measured
import pytest_concurrency.plugin.summary
import pytest_concurrency.plugin.verdicts
import pytest_concurrency.slo.perf  # noqa: F401 - inner sessions forget what they import first

CALLS = """
import pytest
from pytest_concurrency.slo import perf

@pytest.fixture
def calls(perf_timer, monkeypatch):
    now = 1
    monkeypatch.setattr(perf, "perf_counter_ns", lambda: now)

    def make(milliseconds, timer=perf_timer):
        nonlocal now
        for each in milliseconds:
            with timer:
                now += round(each * 1_000_000)

    return make
"""


def _told(result) -> list[str]:
    """Return the lines of this plugin's section at the end of a run."""
    lines = iter(result.stdout.lines)
    found = []
    for line in lines:
        if "concurrency and objectives" in line:
            break
    for line in lines:
        if line.startswith(("=", "FAILED", "ERROR")) or " passed in " in line or " failed" in line:
            break
        found.append(line)
    return found


def _shown(result, first: str) -> list[str]:
    """Return the lines of a failure from the one that starts with a text, without the ``E``."""
    lines = [line.removeprefix("E").removeprefix("   ") for line in result.stdout.lines]
    start = next(i for i, line in enumerate(lines) if first in line)
    end = next(i for i in range(start, len(lines)) if not lines[i].strip())
    return lines[start:end]


@pytest.fixture
def told():
    """Return what reads the lines of this plugin's section at the end of a run."""
    return _told


@pytest.fixture
def shown():
    """Return what reads the lines of a failure."""
    return _shown


@pytest.fixture
def timed(pytester):
    """Give inner tests the fixture ``calls``, and run them by the wall clock."""
    pytester.makeconftest(CALLS)

    def run(*options):
        return pytester.runpytest(
            "-q", "-p", "no:randomly", "--slo-clock=wall", "-W", "always", *options
        )

    return run


@pytest.fixture
def bare(pytester, monkeypatch):  # noqa: ARG001 - which would set the options itself
    """Start inner processes with no plugins but ours and xdist, for each costs time to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p concurrency-slo -p xdist")
