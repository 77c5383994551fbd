"""A call: one worker, one invocation, what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Call(NamedTuple):
    """What one call did. Times are nanoseconds of the monotonic clock.

    >>> call = Call(0, 0, 1_000, 251_000, "booked", None)
    >>> call.duration
    0.00025
    >>> call.succeeded
    True
    """

    worker: int
    """The index of the worker that made it."""
    round: int
    """The round in which it was made, from 0."""
    started_ns: int
    """When it started."""
    ended_ns: int
    """When it returned or raised."""
    value: Any
    """What it returned; ``None`` if it raised."""
    error: BaseException | None
    """What it raised, with its traceback."""

    @property
    def duration(self) -> float:
        """How long it took, in seconds."""
        return (self.ended_ns - self.started_ns) / 1e9

    @property
    def succeeded(self) -> bool:
        """Whether it returned."""
        return self.error is None
