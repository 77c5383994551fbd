"""Burnout that spreads: how many colleagues one exhausted resident exhausts.

The model is that of an epidemic on a network (the next-generation matrix of Diekmann, Heesterbeek
and Metz, 1990). Two people are in contact in every half-day in which they do the same work. In one
such half-day an exhausted person exhausts a colleague with probability ``per_contact``, times the
colleague's susceptibility: their weekly hours over eighty. Exhaustion lasts ``weeks`` weeks. Entry
(i, j) of the matrix is the expected number of times that j exhausts i. Its largest eigenvalue is
the reproduction number Rt: above 1 burnout grows, below 1 it dies out.

The parameters are assumptions to compare schedules with, not measurements of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PER_CONTACT = 0.001
WEEKS = 4.0
MOST_HOURS = 80.0

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How burnout spreads.

    Attributes:
        reproduction_number: Rt; above 1 burnout grows.
        drivers: Names and shares of the people through whom it spreads most, the first most.
    """

    reproduction_number: float
    drivers: tuple[tuple[str, float], ...]

    @property
    def is_growing(self) -> bool:
        """Whether burnout spreads faster than it ends."""
        return self.reproduction_number > 1


def contacts(activities: npt.NDArray[np.int64]) -> Matrix:
    """Return in how many blocks each two people do the same.

    >>> contacts(np.array([[0, 1], [0, 0], [-1, 1]])).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]

    Args:
        activities: For each person and block what they do, or -1.
    """
    kinds = max(activities.ravel().tolist(), default=-1) + 1
    met = np.zeros((len(activities), len(activities)))
    for kind in range(kinds):
        there = (activities == kind).astype(np.float64)
        met += there @ there.T
    np.fill_diagonal(met, 0)
    return met


def spread(
    met: Matrix,
    weekly_hours: Matrix,
    names: list[str],
    *,
    observed_weeks: float,
    per_contact: float = PER_CONTACT,
    weeks: float = WEEKS,
) -> Spread:
    """Work out the reproduction number of burnout, and who drives it.

    Args:
        met: How often each two people met, symmetric.
        weekly_hours: How much each of them works.
        names: Who they are.
        observed_weeks: In how many weeks they met so often.
        per_contact: The chance of one contact.
        weeks: How long exhaustion lasts.
    """
    if not len(met):
        return Spread(reproduction_number=0.0, drivers=())
    susceptible = np.sqrt(weekly_hours / MOST_HOURS)
    rate = per_contact * weeks / observed_weeks
    # The next-generation matrix is similar to this symmetric one, which has the same eigenvalues.
    values, vectors = np.linalg.eigh(rate * susceptible[:, None] * met * susceptible[None, :])
    shares = vectors[:, -1] ** 2
    top = np.argsort(-shares, kind="stable")[:5].tolist()
    return Spread(
        reproduction_number=max(0.0, float(values[-1])),
        drivers=tuple((names[one], round(float(shares[one]), 4)) for one in top),
    )
