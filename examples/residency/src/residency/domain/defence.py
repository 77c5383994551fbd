"""Defence in depth: how many layers stand between a schedule and harm.

Five layers, as in the safety of plants, each between 0 (gone) and 1 (whole):

1. prevention: the share of residents and blocks that break no rule;
2. reserve: the hours that the busiest resident has left, a fifth of the eighty being whole;
3. one missing: the share of people any one of whom can be missing;
4. two missing: the share of pairs who can be missing together;
5. fallback: the share of places that the fallback schedule fills.

The score is their mean, of a hundred. The level is how many layers are whole before the first that
is not.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from itertools import takewhile

WHOLE = 0.9999
RESERVE = 0.2
MOST_HOURS = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Defence:
    """The layers, each from 0 to 1."""

    prevention: float
    reserve: float
    one_missing: float
    two_missing: float
    fallback: float

    @property
    def score(self) -> float:
        """How well the schedule is defended, from 0 to 100."""
        layers: tuple[float, ...] = astuple(self)
        return round(100 * sum(layers) / len(layers), 1)

    @property
    def level(self) -> int:
        """How many layers are whole before the first that is not, from 0 to 5."""
        return sum(1 for _ in takewhile(lambda layer: layer >= WHOLE, astuple(self)))


def reserve_of(busiest_hours: float) -> float:
    """Return how whole the reserve is when the busiest resident works so many hours a week.

    >>> reserve_of(64), reserve_of(72), reserve_of(90)
    (1.0, 0.5, 0.0)
    """
    left = (MOST_HOURS - busiest_hours) / MOST_HOURS
    return min(1.0, max(0.0, round(left / RESERVE, 6)))
