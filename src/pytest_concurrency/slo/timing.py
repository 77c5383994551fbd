"""One operation timed: a block, a stopwatch, and an assertion with a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter_ns
from types import TracebackType
from typing import Self

from pytest_concurrency.errors import BrokenPromise, UsageError, is_on_purpose
from pytest_concurrency.slo.figures import format_duration
from pytest_concurrency.slo.quantities import duration_ns

__tracebackhide__ = is_on_purpose


@dataclass(slots=True, eq=False)
class Timing:
    """The time one block took; made by :func:`measure_time`.

    Attributes:
        name: What was timed.
    """

    name: str
    _started_ns: int | None = field(default=None, init=False, repr=False)
    _duration_ns: int | None = field(default=None, init=False, repr=False)

    @property
    def duration(self) -> float:
        """The block's duration in seconds, known once it has ended, by an exception too.

        Raises:
            UsageError: The block has not ended.
        """
        if self._duration_ns is None:
            msg = (
                f"measure_time({self.name!r}): the block has not ended. "
                "Read .duration after the with statement."
            )
            raise UsageError(msg)
        return self._duration_ns / 1e9

    def __enter__(self) -> Self:
        """Start the clock."""
        self._duration_ns = None
        self._started_ns = perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the clock; what the block raised goes on."""
        ended_ns = perf_counter_ns()
        if self._started_ns is not None:
            self._duration_ns = ended_ns - self._started_ns

    def __str__(self) -> str:
        """Say what took how long."""
        if self._duration_ns is None:
            return f"{self.name}: not ended"
        return f"{self.name}: {format_duration(self._duration_ns)}"


def measure_time(name: str = "block") -> Timing:
    """Time one block of code.

    >>> with measure_time("sum") as timing:
    ...     _ = sum(range(1000))
    >>> timing.duration < 1
    True

    Args:
        name: What is timed, for failure texts.
    """
    return Timing(name)


@dataclass(slots=True, eq=False)
class PerformanceTimer:
    """A stopwatch: it can be started, read while it runs, stopped, and started again.

    >>> with PerformanceTimer("three steps") as timer:
    ...     for _ in range(3):
    ...         _ = timer.lap()
    >>> len(timer.laps), timer.elapsed >= sum(timer.laps)
    (3, True)

    Attributes:
        name: What is timed, for failure texts.
    """

    name: str = "timer"
    _before_ns: int = field(default=0, init=False, repr=False)
    _started_ns: int | None = field(default=None, init=False, repr=False)
    _lap_started_ns: int = field(default=0, init=False, repr=False)
    _laps_ns: list[int] = field(default_factory=list, init=False, repr=False)

    @property
    def is_running(self) -> bool:
        """Whether the clock is running."""
        return self._started_ns is not None

    @property
    def elapsed(self) -> float:
        """Seconds on the clock, up to now while it runs; zero before the first start."""
        running_ns = 0 if self._started_ns is None else perf_counter_ns() - self._started_ns
        return (self._before_ns + running_ns) / 1e9

    @property
    def laps(self) -> tuple[float, ...]:
        """The seconds of each lap."""
        return tuple(lap / 1e9 for lap in self._laps_ns)

    def start(self) -> Self:
        """Start the clock, or go on after :meth:`stop`.

        Raises:
            UsageError: The clock is running.
        """
        if self._started_ns is not None:
            msg = f"{self!r}: the timer is running. Call .stop() first, or .lap() for a split."
            raise UsageError(msg)
        self._started_ns = self._lap_started_ns = perf_counter_ns()
        return self

    def stop(self) -> float:
        """Stop the clock and return the seconds on it.

        Raises:
            UsageError: The clock is not running.
        """
        now_ns = perf_counter_ns()
        if self._started_ns is None:
            raise UsageError(self._not_running())
        self._before_ns += now_ns - self._started_ns
        self._started_ns = None
        return self._before_ns / 1e9

    def lap(self) -> float:
        """End a lap and return its seconds; the next one starts at once.

        Raises:
            UsageError: The clock is not running.
        """
        now_ns = perf_counter_ns()
        if self._started_ns is None:
            raise UsageError(self._not_running())
        lap_ns = now_ns - self._lap_started_ns
        self._laps_ns.append(lap_ns)
        self._lap_started_ns = now_ns
        return lap_ns / 1e9

    def reset(self) -> None:
        """Stop the clock, set it to zero and forget the laps."""
        self._before_ns = 0
        self._started_ns = None
        self._laps_ns.clear()

    def __enter__(self) -> Self:
        """Start the clock."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the clock if the block has not; what the block raised goes on."""
        if self._started_ns is not None:
            self.stop()

    def _not_running(self) -> str:
        return f"{self!r}: the timer is not running. Call .start() first, or use it in a with."


def assert_performance(
    duration: float | str, limit: float | str, name: str = "the operation"
) -> None:
    """Assert that something took no longer than a limit.

    One duration says little about the next one; to hold a quantile of many calls, use
    ``perf_timer`` with an objective.

    >>> assert_performance(0.012, "50ms", "validation")

    Args:
        duration: Seconds, or text with a unit.
        limit: Seconds, or text with a unit; a duration equal to it passes.
        name: What took that long.

    Raises:
        BrokenPromise: It took longer; the text shows the margin.
        UsageError: One of the two is not a duration.
    """
    where = f"assert_performance({name!r})"
    took_ns = duration_ns(duration, where=where)
    limit_ns = duration_ns(limit, where=where)
    if took_ns <= limit_ns:
        return
    margin = f"{format_duration(took_ns - limit_ns)} over"
    if limit_ns:
        margin += f", {took_ns / limit_ns:,.2f} times the limit"
    msg = (
        f"Missed: {name} within {format_duration(limit_ns)}\n"
        f"  took    {format_duration(took_ns)}\n"
        f"  margin  {margin}"
    )
    raise BrokenPromise(msg)
