"""Overlap: how much the calls of a run really ran at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from pytest_concurrency.run.call import Call


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How much calls overlapped.

    >>> calls = [Call(0, 0, 0, 3_000_000, None, None), Call(1, 0, 1_000_000, 4_000_000, None, None)]
    >>> measure_overlap(calls).peak
    2
    """

    peak: int
    """The most calls that ran at one time."""
    seconds: float
    """For how long at least two ran."""
    peak_seconds: float
    """For how long as many as ``peak`` ran."""
    skew: float
    """How far apart the first calls of the first round started, in seconds."""

    def __bool__(self) -> bool:
        """Whether any two calls overlapped."""
        return self.peak > 1


def measure_overlap(calls: Sequence[Call]) -> Overlap:
    """Sweep over the starts and ends of calls; one that the clock is too coarse for lasts 1 ns."""
    edges = sorted(
        [(call.started_ns, 1) for call in calls]
        + [(max(call.ended_ns, call.started_ns + 1), -1) for call in calls]
    )
    running = peak = shared = at_peak = before = 0
    for now, step in edges:
        if running > 1:
            shared += now - before
        if running == peak:
            at_peak += now - before
        running += step
        if running > peak:
            peak, at_peak = running, 0
        before = now
    first: dict[int, int] = {}
    for call in calls:
        if call.round == 0:
            first.setdefault(call.worker, call.started_ns)
    skew = max(first.values()) - min(first.values()) if first else 0
    return Overlap(peak=peak, seconds=shared / 1e9, peak_seconds=at_peak / 1e9, skew=skew / 1e9)
