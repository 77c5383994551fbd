"""What an exploration did, said honestly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What was explored when nothing failed.

    >>> str(Exploration(schedules=48, complete=2, seconds=0.01))
    'complete up to 2 preemptions, 48 schedules'
    """

    schedules: int
    complete: int | None = None
    """Every order with at most this many preemptions was covered; ``None`` when not even those
    with none were.
    """
    exhausted: bool = False
    """No order is left at all, with however many preemptions."""
    budget: str | None = None
    """What ran out, if something did: ``schedules`` or ``seconds``."""
    shared: bool = True
    """Whether two workers were seen to touch the same thing."""
    points: Mapping[int, int] = field(default_factory=dict)
    """Points of each worker in the first schedule."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """What the reader must know besides: a token that did not fit, a worker made to yield."""

    def __str__(self) -> str:
        """Say how far it got, in one line."""
        many = f"{self.schedules:,} schedule{'' if self.schedules == 1 else 's'}"
        if self.exhausted:
            return f"complete, {many}"
        if self.budget is None and self.complete is not None:
            bound = f"{self.complete} preemption{'' if self.complete == 1 else 's'}"
            return f"complete up to {bound}, {many}"
        if self.budget is None:
            return f"not complete, {many}"
        so_far = ""
        if self.complete is not None:
            bound = f"{self.complete} preemption{'' if self.complete == 1 else 's'}"
            so_far = f"complete up to {bound}, then "
        return f"{so_far}stopped at the budget, {many}"
