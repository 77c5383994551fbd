"""Intervals for quantiles, rates and means of samples that resemble their neighbours."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, log, sqrt
from typing import Final, Literal

from pytest_concurrency.slo.bins import Bins
from pytest_concurrency.slo.distributions import (
    binomial_at_least,
    chi_square_quantile,
    rate_bounds,
    student_quantile,
)

Method = Literal["order statistics", "exact binomial", "blocks", "bootstrap", "counted"]

_FEWEST_BLOCKS: Final = 8
_FEWEST_ABOVE: Final = 20
_FEWEST_BESIDE: Final = 5
_NOTICED: Final = 0.8
_BOOTSTRAPS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What the samples allow to be said about a figure.

    Attributes:
        value: The figure itself.
        low: The true figure is above it, but for the error allowed.
        high: The true figure is below it, but for the error allowed.
        effective: How many independent samples the samples are worth.
        method: How the bounds were found.
    """

    value: float
    low: float
    high: float
    effective: float
    method: Method

    def over(self, scale: float) -> Interval:
        """Return the same interval with the figure and its bounds divided."""
        return replace(self, value=self.value / scale, low=self.low / scale, high=self.high / scale)


def fewest_samples(quantile: float, error: float = 0.05) -> int:
    """Return how many samples, all within the limit, a quantile needs to be met.

    >>> [fewest_samples(q) for q in (0.5, 0.95, 0.99, 0.999)]
    [5, 59, 299, 2995]
    """
    return ceil(log(error) / log(quantile))


def quantile_of(ordered: Sequence[int], quantile: float) -> int:
    """Return the smallest sample that has at least the asked share at or below it."""
    return ordered[max(0, ceil(quantile * len(ordered) - 1e-9) - 1)]


def inflation(flags: Sequence[int]) -> float:
    """Return by how much the flags of neighbours agree more than chance would make them.

    It is the variance of block means over that of independent flags, the largest among block
    lengths 2, 4, 8 and so on with at least eight blocks; 1 where chance explains it. A sample of
    n flags is worth n divided by it.
    """
    total, n = sum(flags), len(flags)
    worst = 1.0
    if not 0 < total < n:
        return worst
    sums, length = list(flags), 1
    while len(sums) // 2 >= _FEWEST_BLOCKS:
        sums = [sums[i] + sums[i + 1] for i in range(0, len(sums) - 1, 2)]
        length *= 2
        blocks = len(sums)
        mean = sum(sums) / blocks
        spread = sum((each - mean) ** 2 for each in sums) / (blocks - 1)
        share = mean / length
        chance = length * share * (1 - share)
        ratio = spread / chance if chance else 1.0
        if ratio > chi_square_quantile(_NOTICED, blocks - 1) / (blocks - 1):
            worst = max(worst, ratio)
    return min(worst, n / 2)


def effective_samples(
    samples: array[int], ordered: Sequence[int], quantile: float, limit: float | None = None
) -> float:
    """Return how many independent samples the samples are worth for a quantile.

    Neighbours are compared by whether they are over the limit, if enough are on either side of
    it. Otherwise by a level that has at least twenty samples above it, so that a far quantile of
    few samples is not judged by two or three of them.
    """
    n = len(samples)
    if n < 2 * _FEWEST_BLOCKS:
        return float(n)
    over = [1 if each > limit else 0 for each in samples] if limit is not None else []
    if not _FEWEST_BESIDE <= sum(over) <= n - _FEWEST_BESIDE:
        level = max(0.5, min(quantile, 1 - _FEWEST_ABOVE / n))
        mark = quantile_of(ordered, level)
        over = [1 if each > mark else 0 for each in samples]
    return n / inflation(over)


def quantile_interval(
    samples: array[int],
    quantile: float,
    error: float,
    *,
    limit: float | None = None,
    folded: Bins | None = None,
) -> Interval:
    """Return a quantile with its bounds, from order statistics over the effective samples.

    Args:
        samples: Durations in the order they were taken.
        quantile: Which one, between 0 and 1.
        error: How often each bound may be wrong.
        limit: The limit that the quantile is held to.
        folded: More samples, whose order is lost.
    """
    ordered = sorted(samples)
    effective = effective_samples(samples, ordered, quantile, limit)
    total = len(ordered)
    ranked: Callable[[int], int] = ordered.__getitem__
    if folded is not None and folded.total:
        total += folded.total
        effective *= total / len(ordered)
        both = Bins()
        both.add(ordered)
        both.merge(folded)
        ranked = both.at_rank
    above = _rank_above(total, effective, quantile, error)
    below = _rank_below(total, effective, quantile, error)
    return Interval(
        value=ranked(max(0, ceil(quantile * total - 1e-9) - 1)),
        low=-inf if below is None else ranked(below),
        high=inf if above is None else ranked(above),
        effective=effective,
        method="order statistics" if effective == total else "blocks",
    )


def _rank_above(total: int, effective: float, quantile: float, error: float) -> int | None:
    """Return the lowest rank, from 0, that is above the quantile but for the error."""
    worth = effective / total
    if binomial_at_least(effective, effective, quantile) > error:
        return None
    low, high = 1, total
    while low < high:
        middle = (low + high) // 2
        if binomial_at_least(middle * worth, effective, quantile) <= error:
            high = middle
        else:
            low = middle + 1
    return low - 1


def _rank_below(total: int, effective: float, quantile: float, error: float) -> int | None:
    """Return the highest rank, from 0, that is below the quantile but for the error."""
    mirrored = _rank_above(total, effective, 1 - quantile, error)
    return None if mirrored is None else total - 1 - mirrored


def share_above(samples: array[int], limit: float) -> float:
    """Return which share of the samples is over a limit."""
    return sum(1 for each in samples if each > limit) / len(samples)


def rate_interval(
    hits: int, total: int, error: float, *, flags: Sequence[int] | None = None
) -> Interval:
    """Return a rate with its bounds.

    Independent calls have exact binomial bounds. Calls that fail in bursts have the wider of
    a block bootstrap and of exact bounds for as many calls as they are worth.

    Args:
        hits: How many calls count.
        total: Of how many.
        error: How often each bound may be wrong.
        flags: One for each call in order, if the order is known.
    """
    worth = inflation(flags) if flags is not None else 1.0
    low, high = rate_bounds(hits / worth, total / worth, error)
    method: Method = "exact binomial"
    if flags is not None and worth > 1:
        method = "bootstrap"
        drawn_low, drawn_high = bootstrap_mean(flags, error)
        low, high = min(low, drawn_low), max(high, drawn_high)
    return Interval(value=hits / total, low=low, high=high, effective=total / worth, method=method)


def bootstrap_mean(values: Sequence[float], error: float) -> tuple[float, float]:
    """Return the bounds of a mean from blocks of neighbours drawn again and again.

    The block length grows with the square root of the number of values. Draws are seeded by the
    values, so the same samples give the same bounds.
    """
    from random import Random

    n = len(values)
    length = max(1, round(sqrt(n)))
    sums = [0.0]
    for each in values:
        sums.append(sums[-1] + each)
    starts = n - length + 1
    drawing = Random(f"{n} {sums[-1]}")  # noqa: S311 - statistics, not secrets
    blocks = ceil(n / length)
    means = sorted(
        sum(
            sums[start + length] - sums[start]
            for start in (drawing.randrange(starts) for _ in range(blocks))
        )
        / (blocks * length)
        for _ in range(_BOOTSTRAPS)
    )
    cut = min(int(error * _BOOTSTRAPS), _BOOTSTRAPS - 1)
    return means[cut], means[-1 - cut]


def mean_interval(values: Sequence[float], error: float) -> Interval:
    """Return a mean with its bounds from Student's t over the means of blocks."""
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return Interval(value=mean, low=-inf, high=inf, effective=1.0, method="blocks")
    means, spread = list(values), _spread(values)
    widest, worst = student_quantile(1 - error, n - 1) * sqrt(spread / n), 1.0
    while len(means) // 2 >= _FEWEST_BLOCKS and spread > 0:
        means = [(means[i] + means[i + 1]) / 2 for i in range(0, len(means) - 1, 2)]
        blocks = len(means)
        squared = _spread(means) / blocks
        width = student_quantile(1 - error, blocks - 1) * sqrt(squared)
        if width > widest:
            widest, worst = width, max(1.0, squared * n / spread)
    return Interval(
        value=mean, low=mean - widest, high=mean + widest, effective=n / worst, method="blocks"
    )


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((each - mean) ** 2 for each in values) / (len(values) - 1)


def apdex_interval(samples: array[int], threshold_ns: float, error: float) -> Interval:
    """Return the application performance index with its bounds.

    It counts a call within the threshold once and one within four times the threshold half.
    It is half the sum of two rates, so its bounds are half the sum of theirs, each at half the
    error.
    """
    n = len(samples)
    rates = []
    for limit in (threshold_ns, 4 * threshold_ns):
        flags = [1 if each <= limit else 0 for each in samples]
        rates.append(rate_interval(sum(flags), n, error / 2, flags=flags))
    return Interval(
        value=sum(rate.value for rate in rates) / 2,
        low=sum(rate.low for rate in rates) / 2,
        high=sum(rate.high for rate in rates) / 2,
        effective=min(rate.effective for rate in rates),
        method=rates[0].method,
    )
