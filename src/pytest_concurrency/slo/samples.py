"""Samples: integer nanoseconds, exact up to a million, then folded into bins."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from typing import Any, Final

from pytest_concurrency.errors import InternalError
from pytest_concurrency.slo.bins import Bins

EXACT: Final = 1_000_000
"""How many samples are kept one by one."""

_WIRE_VERSION: Final = 1


def empty_ns() -> array[int]:
    """Return an empty array of nanoseconds."""
    return array("q")


@dataclass(slots=True, eq=True, kw_only=True)
class Samples:
    """Durations in the order in which they were taken.

    Attributes:
        ns: Each duration in nanoseconds, by the wall clock.
        waits_ns: Of each, how long it waited for a processor; empty where nobody could tell.
        failed: The positions of the calls that raised.
        folded: The samples beyond a million, if there are any; their order is lost.
        failed_folded: How many of those raised.
    """

    ns: array[int] = field(default_factory=empty_ns)
    waits_ns: array[int] = field(default_factory=empty_ns)
    failed: array[int] = field(default_factory=empty_ns)
    folded: Bins | None = None
    failed_folded: int = 0

    @classmethod
    def of(cls, durations_ns: Iterable[int], *, failed: Iterable[int] = ()) -> Samples:
        """Make samples from durations in nanoseconds and the positions of failed calls."""
        samples = cls(ns=array("q", durations_ns), failed=array("q", failed))
        samples.fold()
        return samples

    def __len__(self) -> int:
        """Return how many samples there are, folded ones included."""
        return len(self.ns) + (self.folded.total if self.folded else 0)

    @property
    def errors(self) -> int:
        """How many calls raised."""
        return len(self.failed) + self.failed_folded

    def without_waits(self, excused: float = 1.0) -> array[int]:
        """Return the durations with the waits for a processor taken out.

        Args:
            excused: The share of each wait that other processes caused.
        """
        if not self.waits_ns or not excused:
            return self.ns
        pairs = zip(self.ns, self.waits_ns, strict=True)
        return array("q", [d - min(d, round(w * excused)) if w else d for d, w in pairs])

    def copy(self) -> Samples:
        """Return the same samples, unmoved by what is recorded later."""
        folded = (
            Bins(counts=self.folded.counts.copy(), total=self.folded.total) if self.folded else None
        )
        return replace(
            self, ns=self.ns[:], waits_ns=self.waits_ns[:], failed=self.failed[:], folded=folded
        )

    def fold(self, *, keep: int = EXACT) -> None:
        """Move the samples beyond the number kept into bins, waits taken out."""
        if len(self.ns) <= keep:
            return
        self.folded = self.folded or Bins()
        self.folded.add(self.without_waits()[keep:])
        self.failed_folded += sum(1 for position in self.failed if position >= keep)
        self.failed[:] = array("q", [position for position in self.failed if position < keep])
        del self.ns[keep:], self.waits_ns[keep:]

    def to_wire(self) -> dict[str, Any]:
        """Return the samples as text and numbers, for a report that crosses processes."""
        wire: dict[str, Any] = {
            "v": _WIRE_VERSION,
            "ns": _pack(self.ns),
            "waits_ns": _pack(self.waits_ns),
            "failed": _pack(self.failed),
        }
        if self.folded is not None:
            wire["folded"] = [[number, count] for number, count in self.folded.counts.items()]
            wire["failed_folded"] = self.failed_folded
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Samples:
        """Return the samples that :meth:`to_wire` wrote.

        Raises:
            InternalError: Another version wrote them.
        """
        if wire.get("v") != _WIRE_VERSION:
            msg = f"samples of wire version {wire.get('v')!r}; this side reads {_WIRE_VERSION}"
            raise InternalError(msg)
        folded = None
        if "folded" in wire:
            folded = Bins()
            folded.counts.update(dict(wire["folded"]))
            folded.total = folded.counts.total()
        return cls(
            ns=_unpack(wire["ns"]),
            waits_ns=_unpack(wire["waits_ns"]),
            failed=_unpack(wire["failed"]),
            folded=folded,
            failed_folded=wire.get("failed_folded", 0),
        )


def merge_samples(parts: Sequence[Samples]) -> Samples:
    """Return the samples of several workers as one, taken in turn.

    Nobody recorded when a sample was taken, only in which order by its own worker. Taking them
    in turn keeps those that were near in time near each other.
    """
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0].copy()
    has_waits = all(part.waits_ns or not part.ns for part in parts)
    failed = [frozenset(part.failed) for part in parts]
    turns = zip_longest(*(range(len(part.ns)) for part in parts))
    merged = Samples()
    for who, position in chain.from_iterable(map(enumerate, turns)):
        if position is None:
            continue
        if position in failed[who]:
            merged.failed.append(len(merged.ns))
        merged.ns.append(parts[who].ns[position])
        if has_waits:
            merged.waits_ns.append(parts[who].waits_ns[position])
    for part in parts:
        if part.folded is not None:
            merged.folded = merged.folded or Bins()
            merged.folded.merge(part.folded)
            merged.failed_folded += part.failed_folded
    merged.fold()
    return merged


def _pack(numbers: array[int]) -> str:
    from base64 import b85encode
    from zlib import compress

    portable = numbers
    if sys.byteorder == "big":
        portable = array("q", numbers)
        portable.byteswap()
    return b85encode(compress(portable.tobytes(), 1)).decode("ascii")


def _unpack(text: str) -> array[int]:
    from base64 import b85decode
    from zlib import decompress

    numbers = array("q")
    numbers.frombytes(decompress(b85decode(text)))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
