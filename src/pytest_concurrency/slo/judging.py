"""Holding evidence against an objective."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from math import ceil, log
from typing import NoReturn

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.evidence import Evidence, Source, evidence_of
from pytest_concurrency.slo.intervals import (
    Interval,
    apdex_interval,
    fewest_samples,
    mean_interval,
    quantile_interval,
    rate_interval,
    share_above,
)
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.reach import within_reach
from pytest_concurrency.slo.samples import Samples
from pytest_concurrency.slo.verdicts import ERROR, Errors, Slowest, State, Verdict

__tracebackhide__ = is_on_purpose

_FILLED_BY = {
    "": "Put the calls into 'with perf_timer:'",
    "lock wait": "Take a database, or time the wait with perf_timer.waiting('lock wait')",
    "pool wait": "Take pool_watch, or time the wait with perf_timer.waiting('pool wait')",
}
"""Where the samples of each series come from."""


def judge(
    source: Source,
    objective: Objective,
    *,
    errors: Errors | None = None,
    by_wall: bool = False,
) -> Verdict:
    """Hold evidence against an objective.

    Args:
        source: What was measured.
        objective: What was to hold.
        errors: How often each verdict may be wrong; one in twenty if left out.
        by_wall: Judge latency by the wall clock, waits for a processor included.

    Raises:
        UsageError: There is nothing to judge: no calls, or the figure was not measured.
    """
    evidence = evidence_of(source).select(objective.tags)
    if evidence is None:
        tags = ", ".join(f"{name}={value}" for name, value in objective.tags)
        _refuse(objective, f"no call had the tags {tags}", "Tag calls with .tagged(...)")
    errors = errors or Errors()
    if objective.is_latency or objective.metric == "apdex":
        return _judge_latency(evidence, objective, errors, by_wall=by_wall)
    if objective.metric in ("errors", "success", "availability", "checks"):
        return _judge_rate(evidence, objective, errors)
    return _judge_fact(evidence, objective)


def _judge_latency(
    evidence: Evidence, objective: Objective, errors: Errors, *, by_wall: bool
) -> Verdict:
    samples = evidence.samples_for(objective)
    if not len(samples):
        _refuse(
            objective, f"no {objective.series or 'call'} was recorded", _FILLED_BY[objective.series]
        )
    noise = evidence.noise or Noise()
    excused = 0.0 if by_wall else noise.excused
    durations = samples.without_waits(excused)
    interval = _latency_interval(samples, durations, objective, errors)
    verdict = Verdict(
        objective=objective,
        state=_state(objective, interval, errors, factor=1.0 if by_wall else noise.factor),
        interval=interval,
        calls=len(samples),
        confidence=1 - max(errors.met, errors.missed),
        slowest=_slowest(evidence, samples),
        noise=evidence.noise,
        warm_up_ns=evidence.warm_up_ns,
    )
    if objective.quantile is not None:
        needed = fewest_samples(objective.quantile, errors.met or ERROR)
        verdict = replace(
            verdict,
            needed=needed if needed > interval.effective else None,
            beyond=share_above(durations, objective.limit) if durations else None,
        )
    if durations is not samples.ns:
        raw = _latency_interval(samples, samples.ns, objective, errors).value
        verdict = replace(verdict, wall=raw)
    return verdict


def _latency_interval(
    samples: Samples, durations: array[int], objective: Objective, errors: Errors
) -> Interval:
    if objective.quantile is not None:
        return _bounds(
            objective, errors, lambda error: _quantile(samples, durations, objective, error)
        )
    if objective.metric == "mean":
        return _bounds(objective, errors, lambda error: mean_interval(durations, error))
    if objective.metric == "apdex":
        threshold_ns = objective.threshold_ns or 0
        return _bounds(
            objective, errors, lambda error: apdex_interval(durations, threshold_ns, error)
        )
    folded_max = samples.folded.at_rank(samples.folded.total - 1) if samples.folded else 0
    return _fact(max(*durations, folded_max), len(samples))


def _quantile(
    samples: Samples, durations: array[int], objective: Objective, error: float
) -> Interval:
    quantile, folded = objective.quantile or 0.5, samples.folded
    interval = quantile_interval(durations, quantile, error, limit=objective.limit, folded=folded)
    if folded is not None or interval.effective == len(durations):
        return interval
    return within_reach(interval, durations, quantile, error, limit=objective.limit)


def _judge_rate(evidence: Evidence, objective: Objective, errors: Errors) -> Verdict:
    hits, total, flags = _hits(evidence, objective)
    if not total:
        _refuse(objective, "no call was recorded", _FILLED_BY[""])
    interval = _bounds(
        objective, errors, lambda error: rate_interval(hits, total, error, flags=flags)
    )
    room = objective.limit if objective.is_lower_better else 1 - objective.limit
    needed = None
    if room <= 0:  # every call or none: a statement about these calls, which were all counted
        interval = _fact(interval.value, total)
    else:
        needed = ceil(log(errors.met or ERROR) / log(1 - room)) if room < 1 else 1
    return Verdict(
        objective=objective,
        state=_state(objective, interval, errors),
        interval=interval,
        calls=total,
        confidence=1 - max(errors.met, errors.missed),
        needed=needed if needed is not None and needed > interval.effective else None,
        noise=evidence.noise,
    )


def _hits(evidence: Evidence, objective: Objective) -> tuple[int, int, list[int] | None]:
    """Return how many calls count, of how many, and one flag each in order if that is known."""
    if objective.metric == "checks":
        passed, total = evidence.checks or (0, 0)
        return passed, total, None
    bad, total = evidence.errors, evidence.calls
    flags = None
    if evidence.latency.errors == bad and len(evidence.latency.ns) == total and total:
        flags = [0] * total
        for position in evidence.latency.failed:
            flags[position] = 1
    if objective.is_lower_better:
        return bad, total, flags
    return total - bad, total, flags and [1 - flag for flag in flags]


def _judge_fact(evidence: Evidence, objective: Objective) -> Verdict:
    """Judge what was counted rather than sampled: throughput, memory, use of a pool."""
    value: float | None
    if objective.metric == "throughput":
        value = evidence.calls / evidence.seconds if evidence.seconds else None
    elif objective.metric == "memory":
        value = evidence.memory_bytes
    else:
        value = evidence.pool_use
    if value is None:
        advice = {
            "throughput": "Give an outcome, a perf_timer or a load report",
            "memory": "Measure it with track_memory()",
        }.get(objective.metric, "Take pool_watch, or give a pool with in_use and capacity")
        _refuse(objective, f"{objective.metric} was not measured", advice)
    interval = _fact(value, evidence.calls)
    return Verdict(
        objective=objective,
        state="met" if objective.holds_for(value) else "missed",
        interval=interval,
        calls=evidence.calls,
        noise=evidence.noise,
    )


def _bounds(
    objective: Objective, errors: Errors, interval_at: Callable[[float], Interval]
) -> Interval:
    """Return the interval whose bounds are each wrong as often as its verdict may be."""
    met, missed = errors.met or errors.missed, errors.missed or errors.met
    for_met = interval_at(met)
    if met == missed:
        return for_met
    for_missed = interval_at(missed)
    if objective.is_lower_better:
        return replace(for_met, low=for_missed.low)
    return replace(for_met, high=for_missed.high)


def _fact(value: float, calls: int) -> Interval:
    return Interval(value=value, low=value, high=value, effective=calls, method="counted")


def _state(
    objective: Objective, interval: Interval, errors: Errors, *, factor: float = 1.0
) -> State:
    """Return met when the whole interval is within the limit, missed when none of it is.

    A latency that would be within the limit on the same machine at its best is not missed.
    """
    worst, best = interval.high, interval.low / factor
    if not objective.is_lower_better:
        worst, best = interval.low, interval.high
    if errors.met and objective.holds_for(worst):
        return "met"
    if errors.missed and not objective.holds_for(best):
        return "missed"
    return "undecided"


def _slowest(evidence: Evidence, samples: Samples) -> Slowest | None:
    if not samples.ns:
        return None
    position = max(range(len(samples.ns)), key=samples.ns.__getitem__)
    is_own = samples is evidence.latency
    return Slowest(
        ns=samples.ns[position],
        position=position,
        waited_ns=samples.waits_ns[position] if samples.waits_ns else 0,
        where=evidence.where_time_went.get(position, "") if is_own else "",
    )


def _refuse(objective: Objective, what: str, advice: str) -> NoReturn:
    msg = f"{str(objective)!r}: {what}, so there is nothing to judge. {advice}."
    raise UsageError(msg)
