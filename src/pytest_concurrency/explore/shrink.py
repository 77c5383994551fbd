"""The shortest schedule that still fails."""

from __future__ import annotations

from pytest_concurrency.explore.program import FOREVER, Program, Trace
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.search import runs

Legs = list[tuple[int, int]]

_MOST = 300
_LONG = 32


def same_failure(first: Trace, second: Trace) -> bool:
    """Whether two plays failed alike."""
    a, b = first.ending, second.ending
    return a.kind == b.kind and type(a.error) is type(b.error)


class Shrink:
    """Makes a failing schedule shorter, leg by leg and point by point."""

    def __init__(self, program: Program, failed: Trace) -> None:
        """Start from a play that failed.

        Args:
            program: What was played.
            failed: The play.
        """
        self._program = program
        self._failed = failed
        self.legs: Legs = list(runs(failed.workers))
        self.plays = 0

    def run(self) -> bool:
        """Shrink; tell whether the schedule fails at all when it is played again."""
        if not self._fails(self.legs):
            return False
        if self._take([]):
            return True
        if len(self.legs) > _LONG:  # a sample: most of what it does, nobody needs
            self._drop(least=len(self.legs) // _LONG)
        shorter = True
        while shorter and self.plays < _MOST:
            shorter = any([self._open(), self._drop(), self._lessen()])
        return True

    def _fails(self, legs: Legs) -> bool:
        self.plays += 1
        return same_failure(self._failed, self._program.play(Plan(legs)))

    def _take(self, legs: Legs) -> bool:
        if self.plays < _MOST and self._fails(legs):
            self.legs = legs
            return True
        return False

    def _drop(self, *, least: int = 1) -> bool:
        """Leave out stretches of legs, long ones first, down to a length."""
        size, dropped = max(len(self.legs) // 2, 1), False
        while size >= least:
            at = len(self.legs) - size
            while at >= 0:
                if self._take(_joined(self.legs[:at] + self.legs[at + size :])):
                    dropped = True
                at -= size
            size //= 2
        return dropped

    def _open(self) -> bool:
        """Let legs run until their worker ends or waits, the last first."""
        opened = False
        for at in reversed(range(len(self.legs))):
            if at < len(self.legs) and self.legs[at][1] < FOREVER:
                opened |= self._take(
                    [*self.legs[:at], (self.legs[at][0], FOREVER), *self.legs[at + 1 :]]
                )
        return opened

    def _lessen(self) -> bool:
        """Give legs fewer points, halving what is taken away."""
        less = False
        for at in range(len(self.legs)):
            if at >= len(self.legs):
                break
            worker, points = self.legs[at]
            if points >= FOREVER:
                continue
            step = points // 2
            while step:
                if points - step >= 1 and self._take(
                    [*self.legs[:at], (worker, points - step), *self.legs[at + 1 :]]
                ):
                    points -= step
                    less = True
                else:
                    step //= 2
        return less


def _joined(legs: Legs) -> Legs:
    found: Legs = []
    for worker, points in legs:
        if found and found[-1][0] == worker:
            found[-1] = (worker, min(FOREVER, found[-1][1] + points))
        else:
            found.append((worker, points))
    return found
