"""What leaves the event loop, and so cannot be put in an order of our choice."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.explore.awaits import here


class Uncontrolled(BrokenPromise):
    """A worker waits for something outside: a socket, a process, another thread."""

    __module__ = "pytest_concurrency"

    @classmethod
    def by(cls, what: str, explores: Callable[[CodeType], bool]) -> Uncontrolled:
        """Say what is used where, and what to do."""
        at = here(explores)
        place = "explore" if at is None else at.place
        return cls(
            f"{place}: {what} is outside the event loop, so its order cannot be controlled. "
            "Await points are explored in coroutines alone. "
            "Replace it by a coroutine of the test, or use concurrent_runner."
        )
