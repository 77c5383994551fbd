"""Comparing two functions in one session, call by call."""

from __future__ import annotations

import inspect
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.assertions import Policy, conclude
from pytest_concurrency.slo.deciding import share_of_look
from pytest_concurrency.slo.figures import format_count, format_duration
from pytest_concurrency.slo.intervals import Interval, quantile_interval, quantile_of
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.stopwatch import Stopwatch
from pytest_concurrency.slo.verdicts import State

_CLAIM: Final = re.compile(r"(new|old)\s*(<=|>=|<|>)\s*(?:(\d+(?:\.\d+)?)\s*x\s*)?(new|old)")
_SCALE: Final = 1e9
_FIRST_LOOK: Final = 10
_SHORTEST_SPAN_NS: Final = 50_000_000
_GROWTH: Final = 1.5
_NARROW: Final = 0.01
_ERROR: Final = 0.01


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


def compare(
    new: Callable[[], object],
    old: Callable[[], object],
    claim: str = "",
    *,
    seconds: float | str = 5.0,
    max_pairs: int = 20_000,
    error: float = _ERROR,
    policy: Policy | None = None,
) -> Comparison:
    """Call both functions in turn and compare each pair.

    Whatever slows the machine for longer than two calls slows both of a pair, so it leaves their
    ratio alone: this is the strongest evidence that one machine can give.

    >>> comparison = compare(lambda: sum(range(500)), lambda: sum(range(5000)), "new <= 0.5x old")
    >>> comparison.state
    'met'

    Args:
        new: The function to judge.
        old: The function to judge it by.
        claim: What must hold, such as ``"new <= 1.05x old"``; only measured if left out.
        seconds: The longest to go on.
        max_pairs: The most pairs to collect.
        error: How often each verdict may be wrong.
        policy: What an undecided claim does.

    Raises:
        MissedObjective: The claim is false, but for the error allowed.
        UndecidedObjective: The budget ended first, and that was to fail.
        UsageError: The claim cannot be read.
    """
    __tracebackhide__ = True
    limit, is_upper = read_claim(claim) if claim else (1.0, True)
    for each in (new, old):
        if inspect.iscoroutinefunction(each):
            msg = "compare: it cannot call a coroutine function. Give a function that runs it."
            raise UsageError(msg)
    budget_ns = duration_ns(seconds, where="compare(seconds)")
    pairs = _Pairs(new, old)
    began_ns, next_look, look = perf_counter_ns(), _FIRST_LOOK, 0
    while True:
        pairs.take()
        span_ns = perf_counter_ns() - began_ns
        is_last = len(pairs.ratios) >= max_pairs or span_ns > budget_ns
        if not is_last and (len(pairs.ratios) < next_look or span_ns < _SHORTEST_SPAN_NS):
            continue
        ratio = pairs.ratio(error * share_of_look(look))
        look, next_look = look + 1, int(len(pairs.ratios) * _GROWTH)
        state = state_of(ratio, limit, is_upper=is_upper) if claim else "undecided"
        is_narrow = ratio.high - ratio.low <= _NARROW * ratio.value
        if is_last or state != "undecided" or (not claim and is_narrow):
            break
    comparison = Comparison(
        claim=claim,
        state=state,
        ratio=ratio,
        pairs=len(pairs.ratios),
        new_ns=pairs.median(pairs.new_ns),
        old_ns=pairs.median(pairs.old_ns),
        confidence=1 - error,
    )
    if claim:
        conclude(comparison.state, _text(comparison), policy or Policy())
    return comparison


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


def _text(comparison: Comparison) -> str:
    if comparison.state == "missed":
        return f"Missed: {comparison.claim}\n  {comparison}"
    advice = "Collect more:  compare(..., seconds=30)."
    return f"undecided: {comparison.claim}: {comparison}\n  {advice}"


class _Pairs:
    """Pairs of calls, with the waits for a processor taken out."""

    def __init__(self, new: Callable[[], object], old: Callable[[], object]) -> None:
        self.new, self.old = new, old
        self.new_ns: array[float] = array("d")
        self.old_ns: array[float] = array("d")
        self.ratios: array[int] = array("q")
        self._watch = Stopwatch()
        self._repeats = max(self._watch.repeats_for(new), self._watch.repeats_for(old))

    def take(self) -> None:
        """Take one pair; which function goes first alternates."""
        watch, repeats = self._watch, self._repeats
        if len(self.ratios) % 2:
            old_ns = watch.call_ns(self.old, repeats=repeats)
            new_ns = watch.call_ns(self.new, repeats=repeats)
        else:
            new_ns = watch.call_ns(self.new, repeats=repeats)
            old_ns = watch.call_ns(self.old, repeats=repeats)
        self.new_ns.append(new_ns)
        self.old_ns.append(old_ns)
        self.ratios.append(round(_SCALE * new_ns / max(old_ns, 1.0)))

    def ratio(self, error: float) -> Interval:
        """Return the median ratio with its bounds."""
        return quantile_interval(self.ratios, 0.5, error).over(_SCALE)

    def median(self, durations: array[float]) -> float:
        """Return the median of one function's calls."""
        return quantile_of([round(each) for each in sorted(durations)], 0.5)
