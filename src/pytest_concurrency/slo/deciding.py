"""Collecting until the evidence suffices, without being fooled by looking often."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import Final, Protocol

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.assertions import Policy
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.intervals import fewest_samples
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.noise import Noise, NoiseWatch
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.verdicts import Errors, Verdict

__tracebackhide__ = is_on_purpose

_FIRST_LOOK: Final = 5
_GROWTH: Final = 1.5
_SECONDS: Final = 5.0
_QUICK_SECONDS: Final = 0.5
_MOST_CALLS: Final = 200_000
_SHORTEST_NS: Final = 100_000_000
_CANARY_EVERY_NS: Final = 10_000_000


class Timer(Protocol):
    """What is asked of a timer while it collects."""

    noise: Noise | None

    def __len__(self) -> int:
        """Return how many calls were timed."""
        ...

    def evidence(self) -> Evidence:
        """Return what was measured."""
        ...

    def set_aside(self) -> None:
        """Take the samples so far for warm-up."""

    def fold(self) -> None:
        """Move samples beyond a million into bins."""

    def note_pause(self, took_ns: int) -> None:
        """Note a garbage collection for the call during which it ran."""


def share_of_look(look: int) -> float:
    """Return which share of the allowed error a look may spend; all shares add up to one.

    An interval that is wrong with probability e at each of many looks is wrong at some look with
    at most the sum of those, whatever the looks have in common. Spending 1/2, 1/6, 1/12 and so
    on keeps that sum within the error allowed for ever.

    >>> [round(share_of_look(look), 3) for look in range(4)]
    [0.5, 0.167, 0.083, 0.05]
    """
    return 1 / ((look + 1) * (look + 2))


@dataclass(slots=True, kw_only=True)
class Decision:
    """What has been decided so far, and when to look again.

    Attributes:
        objectives: What is to be decided.
        policy: How often a verdict may be wrong.
        verdicts: Those reached; the first one stays.
    """

    objectives: tuple[Objective, ...]
    policy: Policy
    verdicts: dict[Objective, Verdict] = field(default_factory=dict)
    _looks_missed: int = 0
    _looks_met: dict[Objective, int] = field(default_factory=dict)
    _next_look: int = _FIRST_LOOK

    @property
    def is_complete(self) -> bool:
        """Whether every objective is met or missed."""
        return all(
            each in self.verdicts and self.verdicts[each].state != "undecided"
            for each in self.objectives
        )

    def is_due(self, calls: int) -> bool:
        """Return whether there are enough calls for another look."""
        return calls >= self._next_look

    def look(self, evidence: Evidence, *, is_last: bool = False) -> None:
        """Judge what is not decided yet, spending some of the allowed error."""
        calls = evidence.calls
        self._next_look = max(self._next_look + 1, int(calls * _GROWTH))
        missed = self.policy.error * share_of_look(self._looks_missed)
        self._looks_missed += 1
        for objective in self.objectives:
            known = self.verdicts.get(objective)
            if known is None or known.state == "undecided":
                self._judge(objective, evidence, missed, is_last=is_last)

    def _judge(
        self, objective: Objective, evidence: Evidence, missed: float, *, is_last: bool
    ) -> None:
        looks = self._looks_met.get(objective, 0)
        met = self.policy.error * share_of_look(looks)
        if evidence.calls < _fewest(objective, met):
            self._next_look = min(self._next_look, _fewest(objective, met))
            if not is_last:
                met = 0.0
        else:
            self._looks_met[objective] = looks + 1
        errors = Errors(met=met, missed=missed)
        verdict = judge(evidence, objective, errors=errors, by_wall=self.policy.by_wall)
        self.verdicts[objective] = replace(verdict, confidence=1 - self.policy.error)


def _fewest(objective: Objective, error: float) -> int:
    if objective.quantile is not None:
        return fewest_samples(objective.quantile, error)
    return _FIRST_LOOK


def decide(
    timer: Timer,
    decision: Decision,
    *,
    max_calls: int | None = None,
    seconds: float | str | None = None,
) -> Iterator[int]:
    """Yield until everything is decided or a budget is spent; see ``PerfTimer.until_decided``."""
    if decision.policy.collect is not None:
        return decision.policy.collect(timer)
    if not decision.objectives:
        msg = (
            "until_decided(): there is no objective to decide about. "
            "Write @pytest.mark.slo('p95 < 50ms'), or until_decided('p95 < 50ms')."
        )
        raise UsageError(msg)
    default = _QUICK_SECONDS if decision.policy.is_quick else _SECONDS
    budget_ns = duration_ns(default if seconds is None else seconds, where="until_decided(seconds)")
    most = _MOST_CALLS if max_calls is None else max_calls
    if isinstance(most, bool) or not isinstance(most, int):
        msg = f"until_decided(max_calls={most!r}): it is not a whole number. Write max_calls=500."
        raise UsageError(msg)
    if most < 1:
        msg = f"until_decided(max_calls={most!r}): a budget of calls is at least 1."
        raise UsageError(msg)
    return _rounds(timer, decision, most, budget_ns)


def _rounds(timer: Timer, decision: Decision, most: int, budget_ns: int) -> Iterator[int]:
    gc.collect()
    gc.freeze()  # the test runner's own objects are none of the code's under test
    watch = NoiseWatch(reference_ns=decision.policy.reference_ns, on_pause=timer.note_pause)
    try:
        yield 0
        if not len(timer):
            raise UsageError(_nothing_timed())
        if most > len(timer):
            most -= len(timer)
            timer.set_aside()
        yield from _measured(timer, decision, watch, most, budget_ns)
    finally:
        gc.unfreeze()
        timer.noise = noise = watch.read()
        watch.close()
        if decision.policy.on_canary is not None and noise.canary_ns:
            decision.policy.on_canary(noise.canary_ns)
    if not decision.is_complete and len(timer):
        decision.look(timer.evidence(), is_last=True)


def _measured(
    timer: Timer, decision: Decision, watch: NoiseWatch, most: int, budget_ns: int
) -> Iterator[int]:
    began_ns = canary_ns = perf_counter_ns()
    least_ns = 0 if decision.policy.is_quick else min(_SHORTEST_NS, budget_ns)
    rounds = 0
    while len(timer) < most:
        rounds += 1
        yield rounds
        now_ns = perf_counter_ns()
        if now_ns - canary_ns > _CANARY_EVERY_NS:
            watch.tick()
            canary_ns = perf_counter_ns()
        if now_ns - began_ns >= budget_ns:
            return
        if decision.is_due(len(timer)) and now_ns - began_ns >= least_ns:
            timer.noise = watch.read()
            timer.fold()
            decision.look(timer.evidence())
            if decision.is_complete:
                return


def _nothing_timed() -> str:
    return (
        "until_decided(): the body of the loop timed nothing. "
        "Put the call into 'with perf_timer:' inside the loop."
    )
