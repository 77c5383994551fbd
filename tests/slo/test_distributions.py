"""The distributions agree with scipy and with brute force."""

from math import comb, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_concurrency.slo import distributions as d

shapes = st.floats(0.5, 500)


def test_beta_agrees_with_scipy():
    """The incomplete beta function and its inverse are scipy's, over a wide grid."""
    special = pytest.importorskip("scipy.special")

    for a in (0.5, 1, 3, 20, 400.5):
        for b in (0.5, 1, 7, 60, 2_000):
            for x in (0.001, 0.05, 0.3, 0.5, 0.8, 0.999):
                assert d.beta_cdf(x, a, b) == pytest.approx(
                    special.betainc(a, b, x), rel=1e-9, abs=1e-12
                )
            for probability in (0.01, 0.05, 0.5, 0.95):
                assert d.beta_quantile(probability, a, b) == pytest.approx(
                    special.betaincinv(a, b, probability), rel=1e-6, abs=1e-12
                )


def test_rate_bounds_agree_with_scipy():
    """The bounds of a rate are those of the exact binomial test."""
    stats = pytest.importorskip("scipy.stats")

    for hits, total in ((0, 59), (3, 100), (50, 100), (100, 100), (1, 1)):
        exact = stats.binomtest(hits, total).proportion_ci(0.9, method="exact")
        low, high = d.rate_bounds(hits, total, 0.05)
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_student_agrees_with_scipy():
    """Quantiles of Student's t are scipy's."""
    stats = pytest.importorskip("scipy.stats")

    for degrees in (1, 4, 19, 300):
        for probability in (0.9, 0.95, 0.995):
            assert d.student_quantile(probability, degrees) == pytest.approx(
                stats.t.ppf(probability, degrees), rel=1e-6
            )
    assert d.student_quantile(0.95, 0) == inf


def test_chi_square_is_close_to_scipy():
    """The approximation of chi-square quantiles is within one in a hundred."""
    stats = pytest.importorskip("scipy.stats")

    for degrees in (7, 15, 100):
        assert d.chi_square_quantile(0.8, degrees) == pytest.approx(
            stats.chi2.ppf(0.8, degrees), rel=0.01
        )


@settings(max_examples=50)
@given(st.integers(1, 40), st.floats(0.01, 0.99), st.data())
def test_binomial_is_the_sum_of_its_terms(trials, chance, data):
    """The probability of at least so many successes is the sum over all of them."""
    successes = data.draw(st.integers(0, trials + 1))
    terms = (
        comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
        for k in range(successes, trials + 1)
    )

    assert d.binomial_at_least(successes, trials, chance) == pytest.approx(sum(terms), abs=1e-9)


def test_beta_ends_are_certain():
    """Nothing lies below 0, and everything below 1."""
    assert (d.beta_cdf(-1, 2, 3), d.beta_cdf(2, 2, 3)) == (0.0, 1.0)
