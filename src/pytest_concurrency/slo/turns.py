"""Turns: what happens before and after each block of a timer, for timers that do not run alone."""

from __future__ import annotations

from typing import Protocol


class Turns(Protocol):
    """Someone who has a turn between the blocks of a timer.

    Only blocks with no other one open take turns, and only those of the worker that made the
    timer: what overlaps has no order that another one could follow.
    """

    def before(self) -> None:
        """Do what comes before a block."""

    def after(self, own_ns: int) -> None:
        """Do what comes after a block.

        Args:
            own_ns: How long it took, without its wait for a processor.
        """
