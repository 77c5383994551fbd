"""How far calls that nobody saw may lie from all those that were seen."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import log
from typing import Final

from pytest_concurrency.slo.intervals import Interval, fewest_samples, quantile_of

_FEW: Final = 8
_MANY: Final = 16
_LONG_ENOUGH: Final = 4
_DRIFTS: Final = 2.5
_RETURNS: Final = 4.0
_POWER_OF_DRIFT: Final = 8
_POWER_OF_RETURN: Final = 2
_LONGER: Final = 64
_LEAST: Final = 4.0


def reach(samples: Sequence[int]) -> float:
    """Return by what factor a call that nobody saw may differ from all that were seen.

    It is a power of the factor between the highest and the lowest median of some stretches of
    the calls, and at least four. Something that drifts by a factor while it is watched needs
    about 64 times as long to drift by the eighth power of it, or by 64 times as much if it keeps
    its pace, whichever is less. Something that comes back again and
    again has shown how far it goes, and the second power suffices; which of the two it is shows
    in sixteen stretches, where there are calls enough for so many.

    >>> reach([100] * 80), reach([100] * 40 + [200] * 40), reach([100, 100, 100, 100, 200] * 16)
    (4.0, 65.0, 4.0)
    """
    stretches = _MANY if len(samples) >= _LONG_ENOUGH * _MANY else _FEW
    length = len(samples) // stretches
    if not length:
        return _LEAST
    starts = range(0, stretches * length, length)
    medians = [
        max(quantile_of(sorted(samples[start : start + length]), 0.5), 1) for start in starts
    ]
    swing = max(medians) / min(medians)
    power = _power(medians, swing) if stretches == _MANY else _POWER_OF_DRIFT
    return float(max(_LEAST, min(swing**power, 1 + _LONGER * (swing - 1))))


def _power(medians: Sequence[int], swing: float) -> float:
    """Return which power of their swing the medians may reach.

    The way they went, over how far they came: it is about two for a drift, and five for medians
    that have nothing to do with each other.
    """
    if swing <= 1:
        return _POWER_OF_DRIFT
    way = sum(abs(log(after / before)) for before, after in pairwise(medians))
    back = (way / log(swing) - _DRIFTS) / (_RETURNS - _DRIFTS)
    return _POWER_OF_DRIFT + (_POWER_OF_RETURN - _POWER_OF_DRIFT) * min(max(back, 0.0), 1.0)


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
