"""What the tests of objectives share."""

import pytest


class Clock:
    """A clock that the test moves."""

    now = 1_000

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Replace every clock of the timer by one that the test moves."""
    from pytest_concurrency.slo import cells, deciding, perf, timing, waits

    clock = Clock()
    for module in (cells, deciding, perf, timing, waits):
        monkeypatch.setattr(module, "perf_counter_ns", clock)
    return clock
