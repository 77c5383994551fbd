"""Work-hour rules: the 80-hour week and the day off, for everybody at once.

A schedule is a matrix of hours: a row for each person, a column for each day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

MOST_HOURS = 80.0
"""A week, averaged over four."""
WEEKS = 4
DAYS_IN_ROW = 7
"""So many days of work without one free are too many."""

Hours = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule broken once, in words a person can act on."""

    rule: str
    person: str
    first_day: date
    last_day: date
    measured: float
    limit: float
    detail: str


def hours_by_day(
    *,
    people: npt.NDArray[np.int64],
    days: npt.NDArray[np.int64],
    hours: Hours,
    shape: tuple[int, int],
) -> Hours:
    """Add assignments up to hours of each person and day.

    Args:
        people: The row of each assignment's person.
        days: The column of its day.
        hours: What it counts for.
        shape: How many people and days there are.
    """
    cells = np.bincount(people * shape[1] + days, weights=hours, minlength=shape[0] * shape[1])
    return cells.reshape(shape)


def weekly_averages(by_day: Hours) -> Hours:
    """Return the weekly hours averaged over every four weeks, or over all days if fewer.

    What is worked in less than a week is a week's work.
    """
    days = by_day.shape[1]
    window = min(days, WEEKS * 7)
    sums = np.cumsum(np.pad(by_day, ((0, 0), (1, 0))), axis=1)
    averages: Hours = (sums[:, window:] - sums[:, :-window]) * (7 / max(window, 7))
    return averages


def long_weeks(by_day: Hours, names: list[str], first: date) -> Iterator[Violation]:
    """Yield the worst four weeks of everybody who works more than eighty hours a week."""
    averages = weekly_averages(by_day)
    worst = averages.argmax(axis=1)
    measured = averages[np.arange(len(averages)), worst]
    window = by_day.shape[1] - averages.shape[1] + 1
    for row in np.flatnonzero(measured > MOST_HOURS + 1e-9):
        begin = first + timedelta(days=int(worst[row]))
        end = begin + timedelta(days=window - 1)
        value = round(float(measured[row]), 1)
        yield Violation(
            rule="80 hours a week",
            person=names[row],
            first_day=begin,
            last_day=end,
            measured=value,
            limit=MOST_HOURS,
            detail=f"{names[row]} works {value:g} hours a week from {begin} to {end}; "
            f"at most {MOST_HOURS:g}, averaged over four weeks.",
        )


def streaks(by_day: Hours) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the longest run of days of work of each person, and the column where it ends."""
    columns = np.arange(1, by_day.shape[1] + 1)
    last_free = np.maximum.accumulate(np.where(by_day > 0, 0, columns), axis=1)
    lengths = columns - last_free
    ends = lengths.argmax(axis=1)
    return lengths[np.arange(len(lengths)), ends], ends


def missing_days_off(by_day: Hours, names: list[str], first: date) -> Iterator[Violation]:
    """Yield the longest run of everybody who works seven days or more without one free."""
    lengths, ends = streaks(by_day)
    for row in np.flatnonzero(lengths >= DAYS_IN_ROW):
        end = first + timedelta(days=int(ends[row]))
        begin = end - timedelta(days=int(lengths[row]) - 1)
        yield Violation(
            rule="one day in seven free",
            person=names[row],
            first_day=begin,
            last_day=end,
            measured=float(lengths[row]),
            limit=DAYS_IN_ROW - 1,
            detail=f"{names[row]} works {lengths[row]} days without a free one, "
            f"from {begin} to {end}; one day in seven must be free.",
        )
