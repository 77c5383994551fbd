"""Calls that resemble their neighbours, far from the limit that they are held to."""

from __future__ import annotations

from array import array
from math import exp, inf, sqrt
from random import Random
from statistics import NormalDist

import pytest

from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.intervals import Interval
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.reach import reach, within_reach
from pytest_concurrency.slo.samples import Samples

MS = 1_000_000


def wandering(n: int, rho: float, sigma: float, draw: Random) -> list[int]:
    """Return calls of about 1 ms whose logarithm wanders, each near the one before."""
    level, calls = draw.gauss(0, 1), []
    for _ in range(n):
        level = rho * level + sqrt(1 - rho * rho) * draw.gauss(0, 1)
        calls.append(round(MS * exp(sigma * level)))
    return calls


def swinging(low: float, high: float) -> list[int]:
    """Return fifty calls of one level and fifty of another."""
    return [round(level + step) for level in (low, high) for step in range(50)]


def verdict_of(calls: list[int], text: str):
    return judge(Evidence(latency=Samples.of(calls), calls=len(calls)), parse_objective(text))


def test_limit_far_above_every_call_is_met_though_neighbours_agree() -> None:
    """A hundred calls near 1.5 ms meet a p95 of 2 s, however slowly they swing."""
    calls = swinging(1.4 * MS, 1.6 * MS)
    verdict = verdict_of(calls, "p95 < 2s")
    assert (verdict.state, verdict.needed, verdict.interval.effective) == ("met", None, 100)


def test_limit_close_above_the_calls_stays_undecided() -> None:
    """The same calls leave a limit undecided that one more swing would cross."""
    calls = swinging(1.4 * MS, 1.6 * MS)
    assert verdict_of(calls, "p95 < 1.7ms").state == "undecided"


def test_limit_far_below_every_call_is_missed_though_neighbours_agree() -> None:
    """The mirror: swings that come nowhere near the limit do not excuse a miss."""
    calls = swinging(1_400 * MS, 1_600 * MS)[42:58]
    assert verdict_of(calls, "p50 < 1ms").state == "missed"


def test_too_few_calls_meet_nothing_however_far_the_limit() -> None:
    """A p95 needs 59 calls, and no distance stands in for them."""
    assert verdict_of([MS, 2 * MS] * 29, "p95 < 1h").state == "undecided"


def test_one_call_near_the_limit_ends_the_reach() -> None:
    """One call that comes near the limit is what the others may resemble."""
    calls = [*swinging(1.4 * MS, 1.6 * MS)[:-1], 900 * MS]
    assert verdict_of(calls, "p95 < 2s").state == "undecided"


def test_reach_grows_with_the_swings() -> None:
    """Calls whose level changes reach further than calls that keep it."""
    assert reach([100] * 7) == reach([100] * 80) == 4
    assert reach([100] * 40 + [150] * 40) == pytest.approx(1.5**8)
    assert reach([100] * 40 + [200] * 40) == 1 + 64 * (2 - 1)
    assert reach([0] * 40 + [3] * 40) == 1 + 64 * (3 - 1)
    assert reach([100] * 20 + [150] * 20) == pytest.approx(1.5**8)


def test_calls_that_come_back_reach_less_far_than_calls_that_drift() -> None:
    """Sixteen stretches of either level in turn have shown what there is; a drift has not."""
    stretch = 10
    returning = ([100] * stretch + [150] * stretch) * 8
    assert reach(returning) == 4
    assert reach(([100] * stretch + [300] * stretch) * 8) == pytest.approx(9)
    assert reach(sorted(returning)) == pytest.approx(1.5**8)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_calls_that_swing_fast_meet_a_limit_far_above_them(rho: float) -> None:
    """Two hundred calls that come back mostly meet a limit of a hundred times their median."""
    draw = Random(13)
    verdicts = [verdict_of(wandering(200, rho, 0.3, draw), "p95 < 100ms") for _ in range(20)]
    assert [each.state for each in verdicts].count("met") >= 15


def test_bounds_never_widen() -> None:
    """What is known from the calls themselves stays known."""
    known = Interval(value=10, low=9, high=11, effective=5, method="blocks")
    assert within_reach(known, array("q", [10] * 100), 0.95, 0.05, limit=1_000) == known


@pytest.mark.parametrize("rho", [0.9, 0.98, 0.99])
@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0])
def test_missed_limit_is_rarely_called_met(rho: float, sigma: float) -> None:
    """A limit at the true p95 of calls that wander is met in at most 1 run of 20."""
    draw = Random(11)
    limit_ns = MS * exp(sigma * NormalDist().inv_cdf(0.95))
    trials = 120
    met = sum(
        verdict_of(wandering(80, rho, sigma, draw), f"p95 < {limit_ns:.0f}ns").state == "met"
        for _ in range(trials)
    )
    assert met / trials <= 0.05


@pytest.mark.parametrize("rho", [0.9, 0.98, 0.99])
def test_reach_alone_is_rarely_wrong(rho: float) -> None:
    """With no other bound, the reach is beyond the true quantile in at most 1 run of 20."""
    draw, sigma, quantile = Random(12), 1.0, 0.95
    truth = MS * exp(sigma * NormalDist().inv_cdf(quantile))
    nothing = Interval(value=truth, low=-inf, high=inf, effective=1, method="blocks")
    found = [
        within_reach(
            nothing, array("q", wandering(80, rho, sigma, draw)), quantile, 0.05, limit=truth
        )
        for _ in range(120)
    ]
    assert sum(each.high < truth for each in found) / 120 <= 0.05
    assert sum(each.low > truth for each in found) / 120 <= 0.05
