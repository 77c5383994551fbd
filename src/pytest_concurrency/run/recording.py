"""The record of a run while it is made: one list per worker, so that nobody waits to write."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, final

from pytest_concurrency.run.call import Call
from pytest_concurrency.run.hang import Hanging
from pytest_concurrency.run.plan import Plan
from pytest_concurrency.run.worker import Worker


@final
class Recording:
    """What the workers of one run have done so far."""

    __slots__ = (
        "begun_ns",
        "ended_ns",
        "fatal",
        "has_ended",
        "is_partial",
        "plan",
        "rows",
        "workers",
    )

    def __init__(self, plan: Plan, workers: list[Worker]) -> None:
        """Start a record.

        Args:
            plan: What is to be done.
            workers: Who does it.
        """
        self.plan: Plan = plan
        self.workers: list[Worker] = workers
        self.rows: list[list[tuple[int, int, int, int, Any, BaseException | None]]] = [
            [] for _ in workers
        ]
        self.has_ended: list[bool] = [False] * len(workers)
        self.fatal: BaseException | None = None
        """What a worker raised that is no error of its call: a skip, Ctrl-C, an exit."""
        self.begun_ns: int = monotonic_ns()
        self.ended_ns: int = self.begun_ns
        self.is_partial: bool = False
        """Whether workers could not all be released together."""

    def close(self) -> None:
        """Note that the run is over."""
        self.ended_ns = monotonic_ns()

    def calls(self) -> tuple[Call, ...]:
        """Return every call that ended, by worker and then by time."""
        return tuple(Call._make(row) for rows in self.rows for row in list(rows))

    def stuck(self) -> list[int]:
        """Return the workers that have not ended."""
        return [index for index, ended in enumerate(self.has_ended) if not ended]


@final
class Countdown:
    """Tells one waiter when all workers have ended, or when one ended the run."""

    __slots__ = ("_count", "_guard", "_news")

    def __init__(self, count: int) -> None:
        """Count down from ``count``."""
        self._count = count
        self._guard = threading.Lock()
        self._news = threading.Event()
        if count == 0:
            self._news.set()

    def step(self) -> None:
        """Count one worker as ended."""
        with self._guard:
            self._count -= 1
            done = self._count == 0
        if done:
            self._news.set()

    def cut(self) -> None:
        """Stop waiting: one worker has ended the run."""
        self._news.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait for all to end, or for the cut; say whether that came within ``timeout`` seconds."""
        return self._news.wait(timeout)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: who still hung at the deadline, and who could not be stopped."""

    hanging: tuple[Hanging, ...] = ()
    left_running: tuple[str, ...] = ()


def is_fatal(error: BaseException) -> bool:
    """Say whether an exception ends the whole run, as it would in the main thread.

    ``pytest.skip``, ``pytest.fail``, ``pytest.xfail``, Ctrl-C and ``sys.exit`` do; what derives
    from ``Exception`` belongs to the call that raised it, and so does a cancellation.
    """
    from asyncio import CancelledError

    return not isinstance(error, (Exception, CancelledError))
