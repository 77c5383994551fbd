"""How far calls that nobody saw may lie from all those that were seen."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pytest_concurrency.slo.intervals import Interval, fewest_samples, quantile_of

_STRETCHES: Final = 8
_POWER: Final = 8
_LEAST: Final = 4.0


def reach(samples: Sequence[int]) -> float:
    """Return by what factor a call that nobody saw may differ from all that were seen.

    It is the eighth power of the factor between the highest and the lowest median of eight
    stretches of the calls, and at least four. Something that wanders by a factor while it is
    watched needs about 64 times as long to wander by the eighth power of it.

    >>> reach([100] * 80), reach([100] * 40 + [200] * 40)
    (4.0, 256.0)
    """
    length = len(samples) // _STRETCHES
    if not length:
        return _LEAST
    starts = range(0, _STRETCHES * length, length)
    medians = [quantile_of(sorted(samples[start : start + length]), 0.5) for start in starts]
    highest, lowest = max(medians), max(min(medians), 1)
    return max(_LEAST, (highest / lowest) ** _POWER)


def within_reach(
    interval: Interval, samples: array[int], quantile: float, error: float, *, limit: float
) -> Interval:
    """Return the interval, cut off where the reach of what was seen ends, if the limit is beyond.

    That calls resemble their neighbours says how slowly, and by how much, the machine or the
    code swings. Where no swing comes near, there is nothing to resemble: whether a call is over
    a limit far above all of them is as independent as can be seen. So a bound beyond the reach
    of the slowest call, or of the fastest, needs only as many calls as independent ones would,
    where one that is close needs as many as they are worth.

    Args:
        interval: The quantile with the bounds that the calls are worth.
        samples: Durations in the order they were taken.
        quantile: Which one, between 0 and 1.
        error: How often each bound may be wrong.
        limit: What the quantile is held to.
    """
    factor, n = reach(samples), len(samples)
    highest, lowest = max(samples) * factor, min(samples) / factor
    if n >= fewest_samples(quantile, error) and highest < min(limit, interval.high):
        interval = replace(interval, high=highest, effective=float(n))
    if n >= fewest_samples(1 - quantile, error) and lowest > max(limit, interval.low):
        interval = replace(interval, low=lowest, effective=float(n))
    return interval
