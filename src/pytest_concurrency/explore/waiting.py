"""Who waits for what when nobody can run, and who has it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, final

from pytest_concurrency.explore.naming import place, source
from pytest_concurrency.explore.real_locks import HeldLock
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.workers import Worker

Own = Callable[[CodeType], bool]
_LOCKS = ("Lock", "RLock", "lock", "RLockType")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One worker that cannot go on."""

    worker: Worker
    frames: list[FrameType]
    """Where it stands in code under test, nearest first."""
    method: str
    """The method of the standard library that it waits in, if any."""
    wanted: Any
    """What it waits for: a lock, an object that has the method, workers, or nothing known; of a
    function that waits, the name of its module.
    """
    at: str
    line: str

    @property
    def whom(self) -> list[Worker]:
        """The workers whose end it waits for."""
        wants = self.worker.wants
        found = wants if isinstance(wants, list) else [wants]
        return [one for one in found if isinstance(one, Worker) and not one.ended]

    @property
    def held(self) -> dict[Any, tuple[FrameType, int]]:
        """The locks that it holds, each with where it was taken."""
        slept_on = getattr(self.wanted, "_lock", None) if self.method.startswith("wait") else None
        return {lock: at for lock, at in held_by(self.worker).items() if lock is not slept_on}


def held_by(worker: Worker) -> dict[Any, tuple[FrameType, int]]:
    """Return what a worker holds, without the locks inside conditions by which workers sleep."""
    found = {
        lock.lock if isinstance(lock, HeldLock) else lock: taken
        for lock, taken in worker.held.items()
        if not isinstance(lock, HeldLock) or lock.is_taken
    }
    return {lock: taken for lock, taken in found.items() if not _sleeps(lock)}


def _sleeps(lock: Any) -> bool:
    made = getattr(lock, "made", None)
    return (
        made is not None and made[0].co_name == "wait" and made[0].co_filename == threading.__file__
    )


def waits(stage: Stage, own: Own) -> list[Wait]:
    """Return who waits, without those who have nothing to do with it.

    That are the body where it waits for what it gave to ``run``, and threads in the background
    that wait for work.
    """
    found = [wait_of(worker, own) for worker in stage.live]
    told = [wait for wait in found if wait.held or not _stands_by(wait, stage)]
    return told or found


def _stands_by(wait: Wait, stage: Stage) -> bool:
    worker = wait.worker
    if worker.number == 0:
        return stage.draining or isinstance(worker.wants, (list, Worker))
    if not worker.daemon or wants_lock(wait):
        return False
    thread = worker.thread
    return not wait.frames or (thread is not None and thread.daemon)


def wants_lock(wait: Wait) -> bool:
    """Whether it waits for a lock that somebody should release."""
    return type(wait.worker.wants).__name__ in _LOCKS and not _sleeps(wait.worker.wants)


def holders(stage: Stage) -> dict[int, Worker]:
    """Return who has each lock, by its identity: of those that have ended too."""
    return {id(lock): worker for worker in stage.workers for lock in held_by(worker)}


def cycle(found: Iterable[Wait], owners: dict[int, Worker]) -> list[Wait]:
    """Return those who wait for each other, in circles."""
    edges = {wait.worker: _edges(wait, owners) for wait in found}
    return [wait for wait in found if wait.worker in _reached(wait.worker, edges)]


def _edges(wait: Wait, owners: dict[int, Worker]) -> list[Worker]:
    owner = owners.get(id(wait.worker.wants))
    return wait.whom if owner is None else [owner]


def _reached(start: Worker, edges: dict[Worker, list[Worker]]) -> set[Worker]:
    seen: set[Worker] = set()
    todo = [*edges.get(start, ())]
    while todo:
        worker = todo.pop()
        if worker not in seen:
            seen.add(worker)
            todo += edges.get(worker, ())
    return seen


def wait_of(worker: Worker, own: Own) -> Wait:
    """Find out where a worker waits, and for what."""
    frame: FrameType | None = sys._current_frames().get(worker.ident)  # noqa: SLF001
    inner: FrameType | None = None
    while frame is not None and not own(frame.f_code):
        if "pytest_concurrency" not in str(frame.f_globals.get("__name__")) and not _below(frame):
            inner = frame
        frame = frame.f_back
    frames = list(_own(frame, own))
    wanted, method = worker.wants, ""
    if inner is not None:
        wanted = inner.f_locals.get("self", inner.f_globals.get("__name__"))
        method = inner.f_code.co_name
    elif type(wanted).__name__ == "Event":
        method = "wait"
    elif type(wanted).__name__ == "SimpleQueue":
        method = "get"
    file, line = (frames[0].f_code.co_filename, frames[0].f_lineno) if frames else ("", 0)
    return Wait(
        worker=worker,
        frames=frames,
        method=method,
        wanted=wanted,
        at=place(file, line) if frames else "",
        line=source(file, line) if frames else "",
    )


def _own(frame: FrameType | None, own: Own) -> Iterator[FrameType]:
    while frame is not None:
        if own(frame.f_code):
            yield frame
        frame = frame.f_back


def _below(frame: FrameType) -> bool:
    """Whether a frame is what every thread begins with."""
    return frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name in {
        *("_bootstrap", "_bootstrap_inner", "run")
    }
