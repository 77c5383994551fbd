"""Getting the baton back: from a worker that is stuck, and from all when a schedule is over."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from pytest_concurrency.explore.failures import Hang
from pytest_concurrency.explore.workers import Abandoned

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage


def rescue(stage: Stage) -> None:
    """Take the baton from a worker that makes no progress."""
    stuck = stage.current
    stage.verdict = stage.verdict or hung(stage, f"made no progress for {stage.hang:g} s")
    stage.aborting = True
    _raise_in(stuck.ident, Abandoned)
    if stuck.seat is not None and not stage.workers[0].baton.acquire(timeout=1.0):
        stuck.ended = True
        stage.live.remove(stuck)
        stage.pool.lose(stuck.seat)
    stage.current = stage.workers[0]
    stage.ident = stage.current.ident


def abort(stage: Stage) -> None:
    """Unwind all workers that are left."""
    stage.aborting = True
    body = stage.workers[0]
    while len(stage.live) > 1:
        worker = stage.live[-1]
        stage.current, stage.ident = worker, worker.ident
        worker.baton.release()
        if not body.baton.acquire(timeout=stage.hang):
            rescue(stage)
    stage.current, stage.ident = body, body.ident


def hung(stage: Stage, what: str) -> BaseException:
    """Describe a schedule that does not end, as an exception."""
    from pytest_concurrency.explore.deadlock import hang

    return Hang(hang(stage, what))


def _raise_in(ident: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind))
