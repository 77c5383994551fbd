"""The schedule being played in this process, if there is one.

This is the one piece of state that belongs to the module: stand-ins and points are reached from
code that knows nothing of us, and there can be only one baton in a process.
"""

from __future__ import annotations

import _thread
import sys

from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.workers import Abandoned

_get_ident = _thread.get_ident
_stages: list[Stage] = []
claim = _thread.allocate_lock()
"""Held while a program is explored: two explorations at once take turns."""


def enter(stage: Stage) -> None:
    """Make this the schedule being played."""
    _stages.append(stage)


def leave() -> None:
    """Forget the schedule."""
    _stages.clear()


def here() -> Stage | None:
    """Return the schedule if the calling thread is the one that has its baton.

    Raises:
        Abandoned: The schedule is over and its workers are being unwound.
    """
    if not _stages:
        return None
    stage = _stages[-1]
    if stage.ident != _get_ident():
        return None
    if stage.aborting:
        if stage.current.number == 0:
            return None
        raise Abandoned
    return stage


def entered() -> Stage | None:
    """Return the schedule if the calling thread has its baton, even while it is unwound."""
    if not _stages or _stages[-1].ident != _get_ident():
        return None
    return _stages[-1]


def unwinding() -> bool:
    """Whether the calling thread is a worker that is being unwound."""
    return bool(_stages) and _stages[-1].aborting and _stages[-1].ident == _get_ident()


def caller(depth: int) -> tuple[int, int]:
    """Name the instruction that made a call, as a label."""
    frame = sys._getframe(depth)  # noqa: SLF001
    return id(frame.f_code), frame.f_lasti
