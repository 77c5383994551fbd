"""One call, or many short ones as one, timed without the waits for a processor."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from pytest_concurrency.slo.waits import open_reader

_SHORTEST_NS: Final = 20_000
_MOST_REPEATS: Final = 1_000


class Stopwatch:
    """Times calls of the thread that made it."""

    def __init__(self) -> None:
        """Open the kernel's figures of the calling thread, if there are any."""
        self._reader = open_reader()

    def call_ns(self, function: Callable[[], object], *, repeats: int = 1) -> float:
        """Return the nanoseconds of one call, without waits for a processor.

        Args:
            function: What to call.
            repeats: How many calls to time as one.
        """
        reader = self._reader
        before_ns = reader.read_ns() if reader else 0
        began_ns = perf_counter_ns()
        for _ in range(repeats):
            function()
        took_ns = perf_counter_ns() - began_ns
        waited_ns = reader.read_ns() - before_ns if reader else 0
        return max(took_ns - waited_ns if waited_ns < took_ns else took_ns, 1) / repeats

    def repeats_for(self, function: Callable[[], object]) -> int:
        """Return how many calls make up one that the clock measures well, after a warm-up."""
        function()
        once_ns = min(self.call_ns(function) for _ in range(3))
        return max(1, min(_MOST_REPEATS, round(_SHORTEST_NS / once_ns)))
