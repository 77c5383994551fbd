"""Comparing two functions in one session, call by call."""

from __future__ import annotations

import inspect
import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter_ns
from typing import Final

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.assertions import Policy, conclude, current_policy
from pytest_concurrency.slo.deciding import share_of_look
from pytest_concurrency.slo.figures import format_count, format_duration
from pytest_concurrency.slo.intervals import Interval, quantile_interval, quantile_of
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.stopwatch import Stopwatch
from pytest_concurrency.slo.verdicts import State

__tracebackhide__ = is_on_purpose

_CLAIM: Final = re.compile(r"(new|old)\s*(<=|>=|<|>)\s*(?:(\d+(?:\.\d+)?)\s*x\s*)?(new|old)")
_SCALE: Final = 1e9
_FIRST_LOOK: Final = 10
_SHORTEST_SPAN_NS: Final = 50_000_000
_GROWTH: Final = 1.5
_NARROW: Final = 0.01
_ERROR: Final = 0.01
_SECONDS: Final = 5.0
_QUICK_SECONDS: Final = 0.5

ORDERS: Final = ((False, True, True, False), (True, False, False, True))
"""The two orders of two pairs: for each call, whether it is of the old function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing two functions.

    Attributes:
        claim: What was to hold, if anything.
        state: Whether it does; undecided if nothing was claimed.
        ratio: The median ratio of new to old with its bounds.
        pairs: How many pairs it rests on.
        new_ns: The median call of the new function.
        old_ns: The median call of the old function.
        confidence: The probability with which each bound holds.
    """

    claim: str
    state: State
    ratio: Interval
    pairs: int
    new_ns: float
    old_ns: float
    confidence: float

    def __str__(self) -> str:
        """Say what was found, whatever was claimed."""
        low, high = self.ratio.low, self.ratio.high
        return (
            f"new takes {self.ratio.value:.3f}x the time of old, "
            f"{self.confidence * 100:.4g} % bounds {low:.3f} to {high:.3f}x, "
            f"{format_count(self.pairs)} pairs "
            f"({format_duration(self.new_ns)} and {format_duration(self.old_ns)})"
        )

    def row(self) -> tuple[str, str, str, str, str]:
        """Return claim, ratio, bounds, number of pairs and state for a table."""
        return (
            self.claim,
            f"{self.ratio.value:.3f}x",
            f"({self.ratio.low:.3f} to {self.ratio.high:.3f})",
            f"{format_count(self.pairs)} pairs",
            self.state,
        )


def compare(
    new: Callable[[], object],
    old: Callable[[], object],
    claim: str = "",
    *,
    seconds: float | str | None = None,
    max_pairs: int = 20_000,
    error: float = _ERROR,
    policy: Policy | None = None,
) -> Comparison:
    """Call both functions in turn, and compare each pair; a slow spell slows both.

    >>> compare(lambda: sum(range(500)), lambda: sum(range(5000)), "new <= 0.5x old").state
    'met'

    Args:
        new: The function to judge.
        old: The function to judge it by.
        claim: What must hold, such as ``"new <= 1.05x old"``; only measured if left out.
        seconds: The longest to go on; 5 if left out, half a second with ``--slo-quick``.
        max_pairs: The most pairs to collect.
        error: How often a verdict may be wrong.
        policy: What a missed and an undecided claim do; those of the test session if left out.

    Raises:
        MissedObjective: The claim is false, but for the error allowed.
        UndecidedObjective: The budget ended first, and that was to fail.
    """
    __tracebackhide__ = True
    _check("new", new)
    _check("old", old)
    policy = policy or current_policy()
    if seconds is None:
        seconds = _QUICK_SECONDS if policy.is_quick else _SECONDS
    budget_ns, ratios = duration_ns(seconds, where="compare(seconds)"), Ratios(claim, error=error)
    comparison = _decide(ratios, _Pairs(new, old), budget_ns, max_pairs)
    if claim:
        conclude(comparison.state, comparison_text(comparison), policy, row=comparison.row())
    return comparison


def _check(name: str, function: Callable[[], object]) -> None:
    if not callable(function):
        msg = f"compare({name}={function!r}): it cannot be called. Give a function."
        raise UsageError(msg)
    if inspect.iscoroutinefunction(function):
        msg = "compare: it cannot call a coroutine function. Give a function that runs it."
        raise UsageError(msg)


def _decide(ratios: Ratios, pairs: _Pairs, budget_ns: int, max_pairs: int) -> Comparison:
    began_ns, has_ended = perf_counter_ns(), False
    while not has_ended:
        ratios.add(*pairs.take())
        span_ns = perf_counter_ns() - began_ns
        is_last = ratios.pairs >= max_pairs or span_ns > budget_ns
        if is_last or span_ns >= _SHORTEST_SPAN_NS:
            has_ended = ratios.look(is_last=is_last)
    return ratios.comparison()


class Ratios:
    """Ratios of new to old, each of two pairs, and what they say about a claim so far."""

    def __init__(self, claim: str, *, error: float) -> None:
        """Begin without any.

        Args:
            claim: What must hold; the ratio is only measured if it is empty.
            error: How often each verdict may be wrong.
        """
        self._claim, self._error = claim, error
        self._limit, self._is_upper = read_claim(claim) if claim else (1.0, True)
        self._new_ns: array[float] = array("d")
        self._old_ns: array[float] = array("d")
        self._ratios: array[int] = array("q")
        self._looks, self._next_look = 0, _FIRST_LOOK
        self._found: Interval | None = None
        self._state: State = "undecided"

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return len(self._new_ns)

    def add(self, new_ns: Sequence[float], old_ns: Sequence[float]) -> None:
        """Add two calls of each function."""
        self._new_ns.extend(new_ns)
        self._old_ns.extend(old_ns)
        self._ratios.append(round(_SCALE * sum(new_ns) / max(sum(old_ns), 1.0)))

    def look(self, *, is_last: bool) -> bool:
        """Judge if there are enough for another look, and return whether that ends it."""
        if not is_last and len(self._ratios) < self._next_look:
            return False
        error = self._error * share_of_look(self._looks)
        self._looks, self._next_look = self._looks + 1, int(len(self._ratios) * _GROWTH)
        ratio = self._found = quantile_interval(self._ratios, 0.5, error).over(_SCALE)
        if not self._claim:
            return is_last or ratio.high - ratio.low <= _NARROW * ratio.value
        self._state = state_of(ratio, self._limit, is_upper=self._is_upper)
        return is_last or self._state != "undecided"

    def comparison(self) -> Comparison:
        """Return what the last look found."""
        medians = (
            quantile_of(sorted(round(each) for each in durations), 0.5)
            for durations in (self._new_ns, self._old_ns)
        )
        new_ns, old_ns = medians
        return Comparison(
            claim=self._claim,
            state=self._state,
            ratio=self._found or quantile_interval(self._ratios, 0.5, self._error).over(_SCALE),
            pairs=self.pairs,
            new_ns=new_ns,
            old_ns=old_ns,
            confidence=1 - self._error,
        )


def read_claim(claim: str) -> tuple[float, bool]:
    """Return the limit of new over old that a claim names, and whether it is an upper one.

    >>> read_claim("new <= 1.05x old"), read_claim("old >= 2x new")
    ((1.05, True), (0.5, True))

    Raises:
        UsageError: It is not a claim about new and old.
    """
    match = _CLAIM.fullmatch(claim.strip())
    if match is None or match[1] == match[4] or float(match[3] or 1) == 0:
        msg = f"{claim!r}: the claim does not compare new with old. Write 'new <= 1.05x old'."
        raise UsageError(msg)
    factor, is_upper = float(match[3] or 1), match[2].startswith("<")
    if match[1] == "new":
        return factor, is_upper
    return 1 / factor, not is_upper


def state_of(ratio: Interval, limit: float, *, is_upper: bool) -> State:
    """Return whether the whole interval of a ratio is within a limit, or none of it."""
    if is_upper:
        return "met" if ratio.high <= limit else "missed" if ratio.low > limit else "undecided"
    return "met" if ratio.low >= limit else "missed" if ratio.high < limit else "undecided"


def comparison_text(
    comparison: Comparison, *, more: str = "Collect more:  compare(..., seconds=30)."
) -> str:
    """Return what to say of a comparison that is missed or undecided."""
    if comparison.state == "missed":
        return f"Missed: {comparison.claim}\n  {comparison}"
    return f"undecided: {comparison.claim}: {comparison}\n  {more}"


class _Pairs:
    """Takes pairs of calls, with the waits for a processor taken out."""

    def __init__(self, new: Callable[[], object], old: Callable[[], object]) -> None:
        self._new, self._old = new, old
        self._watch = Stopwatch()
        self._draw = Random(0)  # noqa: S311 - an order, not a secret
        self._repeats = max(self._watch.repeats_for(new), self._watch.repeats_for(old))

    def take(self) -> tuple[list[float], list[float]]:
        """Take two pairs, in the order new, old, old, new, or the other way round.

        Calls at even places can differ from those at odd places for a while, by where their
        memory happens to lie. This order gives both functions as many of either, and the coin
        that chooses between the two beats in time with nothing.
        """
        new_ns: list[float] = []
        old_ns: list[float] = []
        for is_old in self._draw.choice(ORDERS):
            function, taken = (self._old, old_ns) if is_old else (self._new, new_ns)
            taken.append(self._watch.call_ns(function, repeats=self._repeats))
        return new_ns, old_ns
