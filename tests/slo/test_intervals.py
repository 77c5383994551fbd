"""Intervals hold as often as they say, for neighbours that resemble each other too."""

import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_concurrency.slo import intervals as i
from pytest_concurrency.slo.bins import Bins


def autoregressive(n, rho, draw):
    """Return normal values of which each resembles the one before."""
    value, values = draw.gauss(0, 1), array("q")
    for _ in range(n):
        value = rho * value + math.sqrt(1 - rho * rho) * draw.gauss(0, 1)
        values.append(round(1_000_000 * (value + 10)))
    return values


@settings(max_examples=60)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=200), st.floats(0.01, 0.999))
def test_a_quantile_leaves_its_share_at_or_below(values, quantile):
    """At least the share asked for is at or below it, and not yet below the sample before."""
    ordered = sorted(values)
    found = i.quantile_of(ordered, quantile)

    assert sum(v <= found for v in values) >= quantile * len(values) - 1e-6
    assert sum(v < found for v in values) < quantile * len(values) + 1e-6


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [10, 59, 100, 299, 500])
def test_independent_samples_have_the_exact_ranks(n, quantile):
    """The bounds are the order statistics that brute force over the binomial finds."""
    stats = pytest.importorskip("scipy.stats")
    shuffles = (array("q", random.Random(seed).sample(range(n), n)) for seed in range(50))
    found = (i.quantile_interval(values, quantile, 0.05) for values in shuffles)
    got = next(each for each in found if each.method == "order statistics")

    above = [r for r in range(n) if stats.binom.cdf(r, n, quantile) >= 0.95]
    below = [r for r in range(n) if stats.binom.cdf(r, n, quantile) <= 0.05]

    assert got.high == (min(above) if above else math.inf)
    assert got.low == (max(below) if below else -math.inf)


@pytest.mark.parametrize(
    ("quantile", "fewest"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)]
)
def test_the_fewest_samples_are_the_fewest(quantile, fewest):
    """One sample less has no upper bound."""
    assert i.fewest_samples(quantile) == fewest
    enough, short = (
        i.quantile_interval(array("q", [7] * n), quantile, 0.05) for n in (fewest, fewest - 1)
    )
    assert (enough.high, short.high) == (7, math.inf)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_a_bound_is_wrong_as_seldom_as_it_says(rho, quantile):
    """Over many series with resembling neighbours, each bound is wrong about one time in twenty."""
    from statistics import NormalDist

    draw = random.Random(f"{rho} {quantile}")
    truth = round(1_000_000 * (NormalDist().inv_cdf(quantile) + 10))
    trials = 120
    found = [
        i.quantile_interval(autoregressive(400, rho, draw), quantile, 0.05) for _ in range(trials)
    ]

    assert sum(each.low > truth for each in found) <= 0.12 * trials
    assert sum(each.high < truth for each in found) <= 0.12 * trials


def test_bursts_are_worth_fewer_samples():
    """A hundred slow calls in a row are worth far fewer than a hundred slow calls."""
    draw = random.Random(3)
    spread = [1 if draw.random() < 0.1 else 0 for _ in range(1_000)]
    bursts = [1 if (k // 50) % 10 == 0 else 0 for k in range(1_000)]

    assert i.inflation(spread) < 2
    assert i.inflation(bursts) > 20
    assert i.inflation([0] * 100) == i.inflation([1] * 100) == 1.0


def test_folded_samples_count():
    """Samples in bins move the quantile and narrow its bounds."""
    exact = array("q", range(1, 1_001))
    folded = Bins()
    folded.add(range(1, 1_001))
    alone = i.quantile_interval(exact, 0.95, 0.05)
    both = i.quantile_interval(exact, 0.95, 0.05, folded=folded)

    assert both.value == pytest.approx(alone.value, rel=0.004)
    assert both.effective == pytest.approx(2 * alone.effective)


def test_a_rate_of_independent_calls_is_exact():
    """Without an order, the bounds are the exact ones; 400 flawless calls are below 0.75 %."""
    got = i.rate_interval(0, 400, 0.05)

    assert (got.value, got.low, got.method) == (0.0, 0.0, "exact binomial")
    assert got.high == pytest.approx(0.00746, abs=1e-5)


def test_a_rate_of_bursts_has_wider_bounds():
    """Errors in bursts say less about the rate than as many errors here and there."""
    flags = [1 if 100 <= k < 150 else 0 for k in range(1_000)]
    burst = i.rate_interval(50, 1_000, 0.05, flags=flags)
    spread = i.rate_interval(50, 1_000, 0.05)

    assert burst.method == "bootstrap"
    assert burst.low < spread.low < spread.high < burst.high


def test_the_bootstrap_repeats_itself():
    """The same flags give the same bounds."""
    flags = [1 if (k // 9) % 4 == 0 else 0 for k in range(300)]

    assert i.bootstrap_mean(flags, 0.05) == i.bootstrap_mean(flags, 0.05)


def test_a_mean_agrees_with_scipy_where_samples_are_independent():
    """The half width is that of Student's t, or wider."""
    stats = pytest.importorskip("scipy.stats")
    draw = random.Random(2)
    values = [draw.gauss(100, 5) for _ in range(200)]
    low, high = stats.t.interval(0.9, 199, sum(values) / 200, stats.sem(values))
    got = i.mean_interval(values, 0.05)

    assert got.low <= low + 1e-9
    assert got.high >= high - 1e-9
    assert got.high - got.low < 1.6 * (high - low)


def test_one_value_has_a_mean_without_bounds():
    """A single value says nothing about the next."""
    got = i.mean_interval([5.0], 0.05)

    assert (got.value, got.low, got.high) == (5.0, -math.inf, math.inf)


def test_apdex_counts_halves():
    """Satisfied calls count once, tolerable ones half, others not."""
    got = i.apdex_interval(array("q", [10] * 60 + [30] * 20 + [100] * 20), 10, 0.05)

    assert got.value == pytest.approx(0.7)
    assert got.low < 0.7 < got.high


def test_share_above_excludes_the_limit():
    """A call of exactly the limit is not over it."""
    assert i.share_above(array("q", [1, 2, 3, 4]), 2) == 0.5
