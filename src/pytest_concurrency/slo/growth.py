"""How the time of a function grows with the size of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import log, log2
from time import perf_counter_ns
from typing import Any, Final

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.assertions import Policy, conclude, current_policy
from pytest_concurrency.slo.figures import format_count, format_duration
from pytest_concurrency.slo.intervals import Interval, mean_interval
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.stopwatch import Stopwatch
from pytest_concurrency.slo.verdicts import State
from pytest_concurrency.slo.wording import table

__tracebackhide__ = is_on_purpose

GROWTHS: Final[dict[str, Callable[[float], float]]] = {
    "1": lambda _: 1.0,
    "log n": log2,
    "n": lambda n: n,
    "n log n": lambda n: n * log2(n),
    "n^2": lambda n: n**2,
    "n^2 log n": lambda n: n**2 * log2(n),
    "n^3": lambda n: n**3,
}
"""The classes that can be claimed, from the slowest growth to the fastest."""

_ROOM: Final = 0.25
_FEWEST_SIZES: Final = 3
_FEWEST_SPAN: Final = 4
_SMALLEST: Final = 2
_FEWEST_ROUNDS: Final = 5
_MOST_ROUNDS: Final = 200
_SECONDS: Final = 5.0
_QUICK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How a function was found to grow.

    Attributes:
        claim: The class that was claimed.
        state: Whether it grows no faster.
        exponent: The power of the size by which the time grows, with its bounds.
        claimed: The power that the claimed class has between these sizes.
        best: The class whose power is nearest.
        fit: Each size with the median time, in nanoseconds.
        rounds: How many rounds over all sizes were made.
    """

    claim: str
    state: State
    exponent: Interval
    claimed: float
    best: str
    fit: tuple[tuple[int, float], ...]
    rounds: int

    def __str__(self) -> str:
        """Show the fit, each size beside the time that the claimed class would give it."""
        growth = GROWTHS[self.claim]
        first_size, first_ns = self.fit[0]
        rows = [("n", "time", f"if {self.claim}")]
        for size, took_ns in self.fit:
            expected_ns = first_ns * growth(size) / growth(first_size)
            rows.append(
                (format_count(size), format_duration(took_ns), format_duration(expected_ns))
            )
        return "\n".join(f"  {line}" for line in table(rows))


def assert_scales(
    function: Callable[[Any], object],
    sizes: Sequence[int],
    growth: str,
    *,
    given: Callable[[int], Any] | None = None,
    seconds: float | str | None = None,
    error: float = 0.05,
    policy: Policy | None = None,
) -> Scaling:
    """Assert that a function's time grows no faster than a class, between the upper sizes.

    Args:
        function: Called with a size, or with what ``given`` makes of it.
        sizes: At least three, the largest at least four times the smallest.
        growth: One of :data:`GROWTHS`, such as ``"n log n"``.
        given: Makes the input of a size; not timed.
        seconds: The longest to go on; 5 if left out, half a second with ``--slo-quick``.
        error: How often the verdict may be wrong.
        policy: What a missed and an undecided claim do; the session's if left out.

    Raises:
        MissedObjective: It grows faster.
        UndecidedObjective: The budget ended first, and that was to fail.
    """
    __tracebackhide__ = True
    ordered, policy = _check(growth, sizes), policy or current_policy()
    if seconds is None:
        seconds = _QUICK_SECONDS if policy.is_quick else _SECONDS
    budget_ns, given = duration_ns(seconds, where="assert_scales(seconds)"), given or _as_it_is
    scaling = _measure(function, ordered, growth, given=given, budget_ns=budget_ns, error=error)
    conclude(scaling.state, _text(scaling, error), policy, row=_row(scaling))
    return scaling


def _as_it_is(size: int) -> int:
    return size


def _check(growth: str, sizes: Sequence[int]) -> list[int]:
    if growth not in GROWTHS:
        meant = nearest(growth.lower().replace("²", "^2").replace("**", "^"), GROWTHS) or "n log n"
        msg = f"assert_scales: {growth!r} is not a class of growth. Write {meant!r}."
        raise UsageError(msg)
    ordered = sorted(set(sizes))
    if (
        len(ordered) < _FEWEST_SIZES
        or ordered[0] < _SMALLEST
        or ordered[-1] < _FEWEST_SPAN * ordered[0]
    ):
        msg = (
            f"assert_scales: the sizes {list(sizes)!r} show no growth. "
            "Write at least three from 2 on, such as [1_000, 4_000, 16_000]."
        )
        raise UsageError(msg)
    return ordered


def _measure(
    function: Callable[[Any], object],
    sizes: list[int],
    growth: str,
    *,
    given: Callable[[int], Any],
    budget_ns: int,
    error: float,
) -> Scaling:
    calls = [partial(function, given(size)) for size in sizes]
    watch = Stopwatch()
    repeats = [watch.repeats_for(call) for call in calls]
    upper = range(min(len(sizes) - 2, (len(sizes) - 1) // 2), len(sizes))
    claimed = power([sizes[i] for i in upper], [GROWTHS[growth](sizes[i]) for i in upper])
    rounds: list[list[float]] = []
    powers: list[float] = []
    began_ns, looks = perf_counter_ns(), 1
    while True:
        times = [
            watch.call_ns(call, repeats=count) for call, count in zip(calls, repeats, strict=True)
        ]
        rounds.append(times)
        powers.append(power([sizes[i] for i in upper], [times[i] for i in upper]))
        is_last = len(rounds) >= _MOST_ROUNDS or perf_counter_ns() - began_ns > budget_ns
        if len(rounds) < _FEWEST_ROUNDS * looks and not is_last:
            continue
        looks *= 2
        exponent = mean_interval(powers, error / looks)
        state = _state(exponent, claimed)
        if is_last or state != "undecided":
            break
    return Scaling(
        claim=growth,
        state=state,
        exponent=exponent,
        claimed=claimed,
        best=_best(exponent.value, [sizes[i] for i in upper]),
        fit=_fit(sizes, rounds),
        rounds=len(rounds),
    )


def _fit(sizes: list[int], rounds: list[list[float]]) -> tuple[tuple[int, float], ...]:
    """Return each size with the median of its times."""
    medians = [sorted(column)[len(column) // 2] for column in zip(*rounds, strict=True)]
    return tuple(zip(sizes, medians, strict=True))


def power(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Return the power of the size by which the times grow, by least squares on logarithms.

    >>> round(power([10, 100, 1000], [3, 300, 30000]), 3)
    2.0
    """
    xs, ys = [log(size) for size in sizes], [log(max(time, 1e-9)) for time in times]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - middle_x) ** 2 for x in xs)


def _state(exponent: Interval, claimed: float) -> State:
    if exponent.high <= claimed + _ROOM:
        return "met"
    return "missed" if exponent.low > claimed + _ROOM else "undecided"


def _best(exponent: float, sizes: Sequence[float]) -> str:
    powers = {
        name: power(sizes, [growth(size) for size in sizes]) for name, growth in GROWTHS.items()
    }
    return min(powers, key=lambda name: abs(powers[name] - exponent))


def _row(scaling: Scaling) -> tuple[str, str, str, str, str]:
    """Return claim, growth, bounds, number of rounds and state for a table."""
    low, value, high = scaling.exponent.low, scaling.exponent.value, scaling.exponent.high
    bounds = f"({low:.2f} to {high:.2f})"
    rounds = f"{scaling.rounds} rounds"
    return f"grows as {scaling.claim}", f"n^{value:.2f}", bounds, rounds, scaling.state


def _text(scaling: Scaling, error: float) -> str:
    bounds = f"{scaling.exponent.low:.2f} to {scaling.exponent.high:.2f}"
    head = "Missed" if scaling.state == "missed" else "undecided"
    return (
        f"{head}: grows no faster than {scaling.claim}\n"
        f"  grows like n^{scaling.exponent.value:.2f}, {(1 - error) * 100:.4g} % bounds {bounds}; "
        f"{scaling.claim} is n^{scaling.claimed:.2f} here. {scaling.best} is nearest.\n{scaling}"
    )
