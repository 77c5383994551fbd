"""An objective: a figure, a comparison and a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.figures import format_quantity
from pytest_concurrency.slo.quantities import Kind

__tracebackhide__ = is_on_purpose

Comparison = Literal["<", "<=", ">", ">="]
Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What can be held to a limit.

    Attributes:
        kind: The kind of quantity it is.
        better: Which direction is the good one.
        example: An objective with it, for messages.
        is_latency: Whether it is computed from durations.
    """

    kind: Kind
    better: Better
    example: str
    is_latency: bool = False


METRICS: Final[dict[str, Metric]] = {
    "quantile": Metric(kind="duration", better="lower", example="p95 < 50ms", is_latency=True),
    "mean": Metric(kind="duration", better="lower", example="mean < 20ms", is_latency=True),
    "max": Metric(kind="duration", better="lower", example="max < 1s", is_latency=True),
    "errors": Metric(kind="ratio", better="lower", example="errors < 1%"),
    "success": Metric(kind="ratio", better="higher", example="success >= 95%"),
    "availability": Metric(kind="ratio", better="higher", example="availability >= 99.9%"),
    "checks": Metric(kind="ratio", better="higher", example="checks > 98%"),
    "throughput": Metric(kind="rate", better="higher", example="throughput > 100/s"),
    "memory": Metric(kind="size", better="lower", example="memory < 500MB"),
    "pool": Metric(kind="ratio", better="lower", example="pool < 90%"),
    "apdex": Metric(kind="number", better="higher", example="apdex(500ms) > 0.9"),
}
"""Every figure an objective can name."""

SERIES: Final = ("lock wait", "pool wait")
"""What else than the calls themselves has quantiles, a mean and a maximum."""


def check_series(name: str) -> None:
    """Refuse the name of a wait that no objective can speak of.

    Raises:
        UsageError: There is no such series; the text names the nearest.
    """
    if name not in SERIES:
        meant = nearest(name, SERIES) or SERIES[0]
        msg = f"waiting({name!r}): there is no such wait. Write waiting({meant!r})."
        raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A figure, a comparison and a limit, read by :func:`parse_objective`.

    Attributes:
        metric: A key of :data:`METRICS`.
        quantile: Which one, between 0 and 1, if the metric is a quantile.
        series: Whose durations; empty for those of the calls.
        tags: Only the calls with these tags.
        comparison: How the figure compares to the limit.
        limit: The limit in the unit of the metric's kind.
        limit_text: The limit as it was written.
        threshold_ns: What apdex takes for satisfying.
    """

    metric: str
    comparison: Comparison
    limit: float
    limit_text: str
    quantile: float | None = None
    series: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    threshold_ns: int | None = None

    @property
    def kind(self) -> Kind:
        """The kind of quantity that is limited."""
        return METRICS[self.metric].kind

    @property
    def is_latency(self) -> bool:
        """Whether the figure is computed from durations."""
        return METRICS[self.metric].is_latency

    @property
    def figure(self) -> str:
        """What is limited, without tags and limit: ``p95``, ``lock wait mean``."""
        name = self.metric
        if self.quantile is not None:
            name = f"p{self.quantile * 100:.10g}"
        if self.threshold_ns is not None:
            name += f"({format_quantity('duration', self.threshold_ns).replace(' ', '')})"
        return f"{self.series} {name}".lstrip()

    @property
    def is_lower_better(self) -> bool:
        """Whether the figure must stay below its limit."""
        return self.comparison in ("<", "<=")

    def holds_for(self, value: float) -> bool:
        """Return whether a value satisfies the comparison."""
        if self.comparison == "<":
            return value < self.limit
        if self.comparison == "<=":
            return value <= self.limit
        return value > self.limit if self.comparison == ">" else value >= self.limit

    def __str__(self) -> str:
        """Return the objective in the grammar that it is read from."""
        tags = ", ".join(f"{name}={value}" for name, value in self.tags)
        head = f"{self.figure}{{{tags}}}" if tags else self.figure
        return f"{head} {self.comparison} {self.limit_text}"

    def __bool__(self) -> NoReturn:
        """Refuse: an objective alone is neither met nor missed.

        Raises:
            TypeError: Always; the text says what to write instead.
        """
        msg = (
            "an Objective is neither true nor false before it is held against samples. "
            f"Write assert_slo(outcome, {str(self)!r})."
        )
        raise TypeError(msg)
