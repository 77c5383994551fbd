"""When a swap can be made, and why it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One person's half-day."""

    assignment_id: int
    block_id: int
    person_id: int
    person_name: str
    role: str
    day: date
    half: str

    def __str__(self) -> str:
        return f"{self.day:%a %d %b} {self.half}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Who wants a shift."""

    person_id: int
    name: str
    role: str
    busy_blocks: AbstractSet[int]
    absences: Iterable[tuple[date, date]] = ()


def conflict(shift: Shift, *, owner_id: int, taker: Taker, freed: int | None = None) -> str | None:
    """Return why a taker cannot have a shift, in words a person can act on.

    Args:
        shift: The shift as it is now.
        owner_id: Who had it when the swap was asked for.
        taker: Who wants it.
        freed: The block that the same swap frees for the taker.

    Returns:
        The reason, or ``None`` if nothing stands in the way.
    """
    if shift.person_id == taker.person_id:
        return f"{taker.name} has the shift {shift} already."
    if shift.person_id != owner_id:
        return f"{shift.person_name} has the shift {shift} by now. Ask them."
    if shift.role != taker.role:
        return f"A {taker.role} cannot take the shift of a {shift.role}."
    if shift.block_id in taker.busy_blocks - {freed}:
        return f"{taker.name} works on {shift} already. Swap that shift first."
    for first, last in taker.absences:
        if first <= shift.day <= last:
            return f"{taker.name} is absent from {first} to {last}."
    return None
