"""The parts of a timer: the calls with some tags, and the waits with a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from pytest_concurrency.errors import is_on_purpose
from pytest_concurrency.slo.evidence import Evidence, Tags
from pytest_concurrency.slo.objectives import check_series
from pytest_concurrency.slo.samples import Samples

__tracebackhide__ = is_on_purpose


class Part(Protocol):
    """What is asked of the timer of a part."""

    @property
    def samples(self) -> Samples:
        """Its samples."""
        ...

    @property
    def span_ns(self) -> tuple[int, int]:
        """When its first call began and its last one ended; zeros if there was none."""
        ...

    def __len__(self) -> int:
        """Return how many calls were timed."""
        ...

    def clear(self) -> None:
        """Drop the samples."""

    def evidence(self) -> Evidence:
        """Return what was measured."""
        ...


T = TypeVar("T", bound=Part)


class Parts(Generic[T]):
    """Makes the timer of a part when it is first asked for.

    Attributes:
        tagged: The timers of calls, by tags.
        waits: The timers of waits, by name.
    """

    def __init__(self) -> None:
        """Start with no part."""
        self.tagged: dict[Tags, T] = {}
        self.waits: dict[str, T] = {}

    def of_tags(self, tags: Mapping[str, object], make: Callable[[], T]) -> T:
        """Return the timer of the calls with these tags."""
        key = tuple(sorted((name, str(value)) for name, value in tags.items()))
        if key not in self.tagged:
            self.tagged[key] = make()
        return self.tagged[key]

    def of_wait(self, series: str, make: Callable[[], T]) -> T:
        """Return the timer of a wait.

        Raises:
            UsageError: No objective can speak of it.
        """
        if series not in self.waits:
            check_series(series)
            self.waits[series] = make()
        return self.waits[series]

    def clear(self) -> None:
        """Drop the samples of every part."""
        for part in (*self.tagged.values(), *self.waits.values()):
            part.clear()

    def __len__(self) -> int:
        """Return how many tagged calls were timed."""
        return sum(len(each) for each in self.tagged.values())

    @property
    def samples(self) -> list[Samples]:
        """The samples of the tagged calls."""
        return [each.samples for each in self.tagged.values()]

    @property
    def series(self) -> dict[str, Samples]:
        """The samples of the waits."""
        return {name: each.samples for name, each in self.waits.items()}

    def evidence(self) -> dict[Tags, Evidence]:
        """Return the evidence of the tagged calls."""
        return {tags: each.evidence() for tags, each in self.tagged.items()}

    def span_ns(self, first_ns: int, ended_ns: int) -> tuple[int, int]:
        """Return a span, widened by those of the tagged calls; zeros if there is none."""
        spans = [(first_ns, ended_ns), *(each.span_ns for each in self.tagged.values())]
        spans = [span for span in spans if span[1]]
        return min((s[0] for s in spans), default=0), max((s[1] for s in spans), default=0)
