"""Guides that sample: probabilistic concurrency testing, sticky bursts, uniform choice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import final

from pytest_concurrency.explore.program import FOREVER, Guide

_LONGEST = 1_000
_TURNS = 8
_STICKY = frozenset({1, 5})
_UNIFORM = 3
_DEPTHS = {0: 2, 2: 3, 4: 4, 6: 5, 7: 3}


@final
class Pct:
    """Runs the worker of highest priority, and demotes it to the lowest at a few random steps."""

    def __init__(self, draw: random.Random, *, depth: int, steps: int) -> None:
        """Choose priorities and change points.

        Args:
            draw: Where chance comes from.
            depth: One more than the number of change points.
            steps: How many steps a play may have.
        """
        self._draw = draw
        self._order: list[int] = []
        self._at = sorted(draw.randrange(max(steps, 1)) for _ in range(depth - 1))
        self._done = 0
        self._given = 0

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Give the highest, until the next change point."""
        if (
            current is not None
            and self._given
            and self._at
            and self._done + self._given >= self._at[0]
        ):
            self._done += self._given
            self._at.pop(0)
            self._order.remove(current)
            self._order.append(current)
        for worker in able:
            if worker not in self._order:
                self._order.insert(self._draw.randrange(len(self._order) + 1), worker)
        chosen = next(worker for worker in self._order if worker in able)
        self._given = max(1, self._at[0] - self._done) if self._at else 0
        return chosen, self._given or FOREVER


@final
class Sticky:
    """Lets a random worker run for a burst of geometric length, then another."""

    def __init__(self, draw: random.Random) -> None:
        """Choose how long bursts are, on a logarithmic scale."""
        self._draw = draw
        self._leave = 10 ** -draw.uniform(0.1, 2.0)

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Give a random other worker a burst."""
        others = [worker for worker in able if worker != current] or able
        points = 1
        while self._draw.random() > self._leave and points < _LONGEST:
            points += 1
        return self._draw.choice(list(others)), points


@final
class Uniform:
    """Chooses anew at each point."""

    def __init__(self, draw: random.Random) -> None:
        """Choose by chance."""
        self._draw = draw

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Give any worker one point."""
        _ = current
        return able[int(self._draw.random() * len(able))], 1


def guide(number: int, *, seed: int, steps: int) -> Guide:
    """Return the guide of one sampled schedule: a fixed rotation of strategies.

    Args:
        number: Which schedule.
        seed: Same seed and number, same guide.
        steps: How many steps the longest play so far had.
    """
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - not for secrets
    turn = number % _TURNS
    if turn in _STICKY:
        return Sticky(draw)
    if turn == _UNIFORM:
        return Uniform(draw)
    return Pct(draw, depth=_DEPTHS[turn], steps=steps)
