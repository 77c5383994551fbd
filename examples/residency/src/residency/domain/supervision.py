"""Supervision: how many faculty the residents of a block need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt

from residency.domain.hours import Violation

RESIDENTS_PER_FACULTY = {1: 2, 2: 4, 3: 4}
"""How many residents of each year one member of the faculty supervises."""
YEARS = tuple(RESIDENTS_PER_FACULTY)

Counts = npt.NDArray[np.int64]


def faculty_needed(residents: Counts) -> Counts:
    """Return how many faculty the residents of each block need.

    Args:
        residents: A row for each block, a column for each of the years 1 to 3.

    >>> faculty_needed(np.array([[3, 4, 0], [0, 0, 0]])).tolist()
    [3, 0]
    """
    shares = np.array([1 / RESIDENTS_PER_FACULTY[year] for year in YEARS])
    needed: Counts = np.ceil(residents @ shares - 1e-9).astype(np.int64)
    return needed


def unsupervised(
    residents: Counts, faculty: Counts, blocks: Sequence[tuple[date, str]]
) -> Iterator[Violation]:
    """Yield every block with too few faculty."""
    needed = faculty_needed(residents)
    for row in np.flatnonzero(faculty < needed).tolist():
        day, half = blocks[row]
        there, wanted = int(faculty[row]), int(needed[row])
        yield Violation(
            rule="supervision",
            person="",
            first_day=day,
            last_day=day,
            measured=float(there),
            limit=float(wanted),
            detail=f"{day} {half}: {there} faculty for {int(residents[row].sum())} residents; "
            f"{wanted} are needed (one for 2 of year 1, one for 4 of years 2 and 3).",
        )
