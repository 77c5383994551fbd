"""What a timer knows beside the durations of its calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_concurrency.slo.figures import format_duration
from pytest_concurrency.slo.samples import Samples

_WORTH_SAYING = 0.1


class Facts:
    """Memory, the use of a pool, other waits, and garbage collections by the call they ran in.

    Attributes:
        memory_bytes: The peak above the start.
        pool_use: The largest share of a pool that was out.
        series: Other durations by name, such as ``lock wait``.
        pauses_ns: How long garbage was collected during a call, by the call's position.
    """

    __slots__ = ("memory_bytes", "pauses_ns", "pool_use", "series")

    def __init__(self) -> None:
        """Start with nothing known."""
        self.memory_bytes: int | None = None
        self.pool_use: float | None = None
        self.series: dict[str, Samples] = {}
        self.pauses_ns: dict[int, int] = {}

    def note_pause(self, position: int, took_ns: int) -> None:
        """Note that garbage was collected during a call."""
        self.pauses_ns[position] = self.pauses_ns.get(position, 0) + took_ns

    def for_evidence(
        self, samples: Samples, waiting: Mapping[str, Samples], *, is_in_order: bool
    ) -> dict[str, Any]:
        """Return the facts as the attributes of evidence.

        Args:
            samples: The calls.
            waiting: More series.
            is_in_order: Whether positions among the samples are those of the pauses.
        """
        return {
            "memory_bytes": self.memory_bytes,
            "pool_use": self.pool_use,
            "series": {**self.series, **waiting},
            "where_time_went": self._collecting(samples) if is_in_order else {},
        }

    def _collecting(self, samples: Samples) -> dict[int, str]:
        return {
            at: f"{format_duration(took_ns)} of it collecting garbage"
            for at, took_ns in self.pauses_ns.items()
            if at < len(samples.ns) and took_ns > _WORTH_SAYING * samples.ns[at]
        }
