"""A schedule as a short text: run lengths of points per worker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.program import BODY, FOREVER

_LEG = re.compile(r"(?:T(?P<worker>\d+)|S(?P<own>\d+)|B)x(?P<points>\d+|\*)")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One worker runs for some points, or until it ends or waits."""

    worker: int
    points: int = FOREVER

    def __str__(self) -> str:
        """Write the leg as tokens do.

        >>> str(Leg(worker=1, points=5)), str(Leg(worker=2)), str(Leg(worker=0, points=1))
        ('T0x5', 'T1x*', 'Bx1')
        """
        return self.told(0)

    def told(self, before: int) -> str:
        """Write the leg where some threads were started before ``run`` was called."""
        if self.worker == BODY:
            name = "B"
        else:
            own = self.worker <= before
            name = f"S{self.worker - 1}" if own else f"T{self.worker - before - 1}"
        return f"{name}x{'*' if self.points >= FOREVER else self.points}"


def token(legs: Iterable[Leg], *, before: int | None = 0) -> str:
    """Write a schedule as a token.

    >>> token([Leg(worker=1, points=1), Leg(worker=2)])
    'T0x1 T1x*'
    >>> token([Leg(worker=1, points=1), Leg(worker=2)], before=1)
    'S0x1 T0x*'

    Args:
        legs: The schedule.
        before: How many threads the code started itself before ``run`` was called: they are
            S0, S1, …, so that the workers of ``run`` are T0, T1, … whatever else there is.
    """
    return " ".join(leg.told(before or 0) for leg in legs)


def parse(text: str, *, where: str | None = None, before: int | None = 0) -> tuple[Leg, ...]:
    """Read a token.

    >>> parse("T0x5 T1x*") == (Leg(worker=1, points=5), Leg(worker=2))
    True

    Args:
        text: The token, as a failure shows it.
        where: Who gave it, as it was typed, for the message when it cannot be read.
        before: How many threads the code starts itself before ``run`` is called.
    """
    where = f"replay={text!r}" if where is None else where
    words = text.replace(",", " ").split()
    if not words:
        msg = f"{where}: the token is empty. Write one as a failure shows it: 'T0x5 T1x*'."
        raise UsageError(msg)
    return tuple(_leg(word, where, before or 0) for word in words)


def _leg(word: str, where: str, before: int) -> Leg:
    match = _LEG.fullmatch(word)
    if match is None:
        msg = (
            f"{where}: {word!r} is not a leg. A leg is a worker and its points: T0x5 for five,"
            " T1x* until it ends or waits. Write one as a failure shows it: 'T0x5 T1x*'."
        )
        raise UsageError(msg)
    worker = BODY
    if match["own"] is not None:
        worker = int(match["own"]) + 1
    elif match["worker"] is not None:
        worker = int(match["worker"]) + before + 1
    if match["points"] == "*":
        return Leg(worker=worker)
    points = int(match["points"])
    if points == 0:
        msg = f"{where}: {word!r} has no points. Leave it out."
        raise UsageError(msg)
    return Leg(worker=worker, points=points)


@final
class Plan:
    """A guide that follows legs, then lets each worker run until it ends or waits.

    Attributes:
        misfit: Where the legs stopped fitting the program, if they did: the index of the leg and
        its worker.
    """

    __slots__ = ("_legs", "_next", "misfit")

    def __init__(self, legs: Sequence[tuple[int, int]]) -> None:
        """Follow these legs.

        Args:
            legs: Pairs of worker and points.
        """
        self._legs = legs
        self._next = 0
        self.misfit: tuple[int, int] | None = None

    @property
    def used(self) -> bool:
        """Whether each leg had its turn."""
        return self._next >= len(self._legs)

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Give the next leg, or go on without preemption when there are none left."""
        while self._next < len(self._legs):
            worker, points = self._legs[self._next]
            self._next += 1
            if worker in able:
                return worker, points
            if self.misfit is None:
                self.misfit = (self._next - 1, worker)
        if current is not None and current in able:
            return current, FOREVER
        return able[0], FOREVER
