"""Contingency: who can be missing before cover breaks, for all singles and all pairs at once.

A block breaks when a template has fewer residents than it needs, or the faculty there are too few
for the residents there. Both are sums over those who are present, so a missing person subtracts a
fixed amount, and each person is judged with all the others by one addition over arrays. Supervision
is counted in quarters of a member of the faculty: one resident of year 1 takes two, others one, and
each member of the faculty gives four.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

QUARTERS = 4
"""What one member of the faculty gives."""
NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A block that breaks, and what is missing there."""

    day: date
    half: str
    what: str

    def __str__(self) -> str:
        return f"{self.day} {self.half}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Who is missing, and the blocks that break for it."""

    missing: tuple[str, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Who holds which place in each block, and what there is to spare.

    Attributes:
        names: The name of each person.
        blocks: Day and half of each block.
        templates: The name of each template.
        place: For each person and block the template that a resident covers, or ``NOWHERE``.
        quarters: What each person adds to the supervision of each block.
        spare: For each template and block, residents beyond those needed.
    """

    names: Sequence[str]
    blocks: Sequence[tuple[date, str]]
    templates: Sequence[str]
    place: Numbers
    quarters: Numbers
    spare: Numbers

    @cached_property
    def spare_quarters(self) -> Numbers:
        """What supervision each block has to spare."""
        total: Numbers = self.quarters.sum(axis=0)
        return total

    @cached_property
    def broken_already(self) -> tuple[Gap, ...]:
        """What is broken with nobody missing."""
        gaps = [
            self._gap(block, self.templates[template])
            for template, block in np.argwhere(self.spare < 0).tolist()
        ]
        blocks = np.flatnonzero(self.spare_quarters < 0).tolist()
        return (*gaps, *(self._gap(block, "supervision") for block in blocks))

    def single_losses(self) -> list[Loss]:
        """Return everybody whose absence alone breaks a block that nothing else breaks."""
        is_short, is_unsupervised = self._singles()
        found = []
        for person in np.flatnonzero((is_short | is_unsupervised).any(axis=1)).tolist():
            gaps = self._gaps(person, is_short[person], is_unsupervised[person])
            found.append(Loss(missing=(self.names[person],), gaps=tuple(gaps)))
        return found

    def pair_losses(self) -> list[Loss]:
        """Return every pair that together breaks a block that neither of them breaks alone."""
        found = []
        for one, (is_short, is_unsupervised) in enumerate(self._pairs()):
            for after in np.flatnonzero((is_short | is_unsupervised).any(axis=1)).tolist():
                names = self.names[one], self.names[one + 1 + after]
                gaps = self._gaps(one, is_short[after], is_unsupervised[after])
                found.append(Loss(missing=names, gaps=tuple(gaps)))
        return found

    def safe_shares(self) -> tuple[float, float]:
        """Return the shares of people who can be missing, and of pairs: either or both of them."""
        people = len(self.names)
        single = np.logical_or(*self._singles()).any(axis=1)
        broken = sum(
            int((np.logical_or(*flags).any(axis=1) | single[one] | single[one + 1 :]).sum())
            for one, flags in enumerate(self._pairs())
        )
        pairs = people * (people - 1) // 2
        return 1 - int(single.sum()) / max(people, 1), 1 - broken / max(pairs, 1)

    def _singles(self) -> tuple[Flags, Flags]:
        """Say where each person's absence leaves a template short, and where residents alone."""
        columns = np.arange(self.place.shape[1])
        is_short = (self.place != NOWHERE) & (self.spare[self.place, columns] == 0)
        left = self.spare_quarters - self.quarters
        return is_short, (left < 0) & (self.spare_quarters >= 0)

    def _pairs(self) -> Iterator[tuple[Flags, Flags]]:
        """Say the same of each person with all who come later, where neither does it alone."""
        _, alone = self._singles()
        columns = np.arange(self.place.shape[1])
        for one, here in enumerate(self.place):
            others = slice(one + 1, None)
            has_one_to_spare = (here != NOWHERE) & (self.spare[here, columns] == 1)
            is_short = has_one_to_spare & (self.place[others] == here)
            left = self.spare_quarters - self.quarters[one] - self.quarters[others]
            is_unsupervised = (left < 0) & (self.spare_quarters >= 0)
            yield is_short, is_unsupervised & ~alone[one] & ~alone[others]

    def _gaps(self, person: int, is_short: Flags, is_unsupervised: Flags) -> Iterator[Gap]:
        for block in np.flatnonzero(is_short).tolist():
            yield self._gap(block, self.templates[int(self.place[person, block])])
        for block in np.flatnonzero(is_unsupervised).tolist():
            yield self._gap(block, "supervision")

    def _gap(self, block: int, what: str) -> Gap:
        day, half = self.blocks[block]
        return Gap(day=day, half=half, what=what)
