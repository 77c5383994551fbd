"""The few probability distributions that verdicts rest on, for real-valued counts."""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p, sqrt
from typing import Final

_TINY: Final = 1e-300
_PRECISION: Final = 1e-14
_MOST_TERMS: Final = 10_000
_HALVINGS: Final = 60


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function.

    >>> round(beta_cdf(0.5, 2, 3), 4)
    0.6875

    Args:
        x: Where, from 0 to 1.
        a: First shape, above 0.
        b: Second shape, above 0.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front * _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the fraction of the incomplete beta function by Lentz's method."""
    d = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    c, value = 1.0, d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for numerator in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + numerator * d)
            c = _away_from_zero(1.0 + numerator / c)
            step = c * d
            value *= step
        if abs(step - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Return where the beta distribution reaches a probability.

    >>> round(beta_quantile(0.6875, 2, 3), 6)
    0.5
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def binomial_at_least(successes: float, trials: float, chance: float) -> float:
    """Return the probability of at least so many successes.

    >>> binomial_at_least(1, 2, 0.5)
    0.75
    """
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return beta_cdf(chance, successes, trials - successes + 1)


def rate_bounds(successes: float, trials: float, error: float) -> tuple[float, float]:
    """Return the exact bounds of a rate, each wrong with at most the given probability.

    >>> [round(bound, 5) for bound in rate_bounds(0, 400, 0.05)]
    [0.0, 0.00746]
    """
    failures = trials - successes
    low = 0.0 if successes <= 0 else beta_quantile(error, successes, failures + 1)
    high = 1.0 if failures <= 0 else beta_quantile(1 - error, successes + 1, failures)
    return low, high


def student_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's t distribution, for probabilities above one half.

    >>> round(student_quantile(0.95, 9), 4)
    1.8331
    """
    if degrees <= 0:
        return inf
    x = beta_quantile(2 * (1 - probability), degrees / 2, 0.5)
    return sqrt(degrees * (1 - x) / x) if x > 0 else inf


def chi_square_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of the chi-square distribution by Wilson and Hilferty.

    >>> round(chi_square_quantile(0.8, 9), 1)
    12.2
    """
    from statistics import NormalDist

    ninth = 2 / (9 * degrees)
    return degrees * (1 - ninth + NormalDist().inv_cdf(probability) * sqrt(ninth)) ** 3
