"""Counts in logarithmic bins: mergeable without loss, at a stated error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

_BITS: Final = 8

RELATIVE_ERROR: Final = 1 / (1 << _BITS)
"""The most by which a value read from a bin can be off: 0.39 %."""


def bin_of(value: int) -> int:
    """Return the number of the bin of a value; values below 256 have a bin each.

    >>> bin_of(255), bin_of(256), bin_of(257)
    (255, 384, 384)
    """
    shift = max(value, 0).bit_length() - _BITS
    return max(value, 0) if shift <= 0 else (shift << _BITS) + (value >> shift)


def middle_of(number: int) -> int:
    """Return the value in the middle of a bin."""
    shift, mantissa = number >> _BITS, number & ((1 << _BITS) - 1)
    return number if shift == 0 else (mantissa << shift) + (1 << (shift - 1))


@dataclass(slots=True, eq=True)
class Bins:
    """How many values fell into each bin.

    Attributes:
        counts: Count by bin number.
        total: How many values there are.
    """

    counts: Counter[int] = field(default_factory=Counter)
    total: int = 0

    def add(self, values: Iterable[int]) -> None:
        """Count more values."""
        self.counts.update(map(bin_of, values))
        self.total = self.counts.total()

    def merge(self, other: Bins) -> None:
        """Count what another one counted; the order of merging makes no difference."""
        self.counts.update(other.counts)
        self.total += other.total

    def at_rank(self, rank: int) -> int:
        """Return the value of a rank, counted from 0, to within the stated error.

        Raises:
            IndexError: There is no such rank.
        """
        seen = 0
        for number, count in sorted(self.counts.items()):
            seen += count
            if rank < seen:
                return middle_of(number)
        msg = f"rank {rank} of {self.total} values"
        raise IndexError(msg)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield each bin's middle and count, from the smallest."""
        for number, count in sorted(self.counts.items()):
            yield middle_of(number), count
