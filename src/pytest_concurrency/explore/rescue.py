"""Getting the baton back: from a worker that is stuck, and from all when a schedule is over."""

from __future__ import annotations

import _thread
import ctypes
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from pytest_concurrency.explore.failures import Hang
from pytest_concurrency.explore.workers import Abandoned, Worker

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage


OUTSIDE = (
    "It waits for something outside of the schedule, which nobody can order. Let the test give it\n"
    "something that does not wait, or use concurrent_runner."
)
_LOOKS = 10
"""How often it is looked for progress while it is waited for some, at most."""


def hand(stage: Stage, target: Worker) -> None:
    """Give the baton to a worker."""
    stage.current, stage.ident = target, target.ident
    target.baton.release()


def wait(stage: Stage, worker: Worker, target: Worker) -> None:
    """Give the baton to another worker, and wait until it comes back."""
    if worker.number:
        hand(stage, target)
        worker.baton.acquire()
        return
    seen, looks = stage.steps, 0
    try:
        hand(stage, target)
        while not worker.baton.acquire(timeout=stage.hang / _LOOKS):
            seen, looks = stage.steps, looks + 1 if seen == stage.steps else 0
            if looks == _LOOKS:
                rescue(stage)
                return
    except BaseException:
        stage.aborting = True  # a signal's exception, which comes anywhere
        verdict, elsewhere = stage.verdict, stage.current is not worker
        if not worker.baton.acquire(timeout=1.0 if elsewhere else 0.05) and elsewhere:
            rescue(stage)
        stage.verdict = verdict
        raise


def leave(stage: Stage, worker: Worker) -> NoReturn:
    """Unwind a worker of a play that is over."""
    if worker.number == 0 and stage.verdict is not None:
        raise stage.verdict
    raise Abandoned


def rescue(stage: Stage) -> None:
    """Take the baton from a worker that makes no progress."""
    stuck = stage.current
    stage.verdict = stage.verdict or hung(stage, f"made no progress for {stage.hang:g} s", OUTSIDE)
    stage.trace.stuck = True
    stage.aborting = True
    if _can_be_interrupted(stuck.ident):
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
    late: BaseException | None = None
    while len(stage.live) > 1:
        try:
            _unwind(stage, stage.live[-1], body)
        except BaseException as error:  # noqa: BLE001 - a signal's: it waits until all are unwound
            late = error
            if not body.baton.acquire(timeout=1.0):
                rescue(stage)
    stage.current, stage.ident = body, body.ident
    if late is not None:
        raise late


def _unwind(stage: Stage, worker: Worker, body: Worker) -> None:
    stage.current, stage.ident = worker, worker.ident
    worker.baton.release()
    if not body.baton.acquire(timeout=_SOON if stage.trace.stuck else stage.hang):
        rescue(stage)


def is_by_signal(error: BaseException) -> bool:
    """Whether an exception was raised by a handler of a signal, such as a time limit's."""
    handlers = {
        getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()
    }
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code in handlers:
            return True
        at = at.tb_next
    return False


def hung(stage: Stage, what: str, advice: str) -> BaseException:
    """Describe a schedule that does not end, as an exception."""
    from pytest_concurrency.explore.stacks import hang

    return Hang(f"{hang(stage, what)}\n\n{advice}")


def _can_be_interrupted(ident: int) -> bool:
    """Whether an exception may be raised in a thread from here.

    Python 3.11 tells all threads to look for it until that one has; one that waits in C does not
    look, and one that is traced looks for ever.
    """
    if sys.version_info >= (3, 12):
        return True
    places = set()
    pause = _thread.allocate_lock()
    pause.acquire()
    for _ in range(_SAMPLES):
        frame = sys._current_frames().get(ident)  # noqa: SLF001
        places.add((id(frame), frame.f_lasti if frame is not None else 0))
        pause.acquire(timeout=0.002)
    return len(places) > 1


_SAMPLES = 10
_SOON = 1.0
"""Seconds for a worker to unwind once another did not: it may wait for that one."""


def _raise_in(ident: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind))
