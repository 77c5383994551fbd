"""Who holds what and waits for what, as text."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.naming import name_of, place, source
from pytest_concurrency.explore.program import worker_name
from pytest_concurrency.explore.scope import ours
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.titles import titles
from pytest_concurrency.explore.workers import Worker

Own = Callable[[CodeType], bool]


class _Wait(NamedTuple):
    worker: Worker
    frames: list[FrameType]
    """Of the code under test, nearest first."""
    through: str
    """The method of the standard library that it waits in, if any."""
    wanted: Any
    at: str
    line: str


def diagnoser(own: Own) -> Callable[[Stage], BaseException]:
    """Make the function that says why nobody can run.

    Args:
        own: Tells code under test from the rest.
    """

    def diagnose(stage: Stage) -> BaseException:
        return Deadlock(deadlock(stage, own))

    return diagnose


def deadlock(stage: Stage, own: Own) -> str:
    """Describe a state in which nobody can run."""
    names = titles(stage)
    waits = [_wait(worker, own) for worker in stage.live if not _only_waits_for_others(worker)]
    waits = [wait for wait in waits if not _serves(wait)] or waits
    waits = waits or [_wait(worker, own) for worker in stage.live]
    holders = {
        id(getattr(lock, "lock", lock)): wait.worker for wait in waits for lock in _held(wait)
    }
    cyclic = all(id(_lock_of(wait)) in holders for wait in waits)
    many = f"{len(waits)} worker{'' if len(waits) == 1 else 's'}"
    head = (
        f"Deadlock among {many}:"
        if cyclic
        else f"Deadlock: {many} wait{'s' if len(waits) == 1 else ''} for ever:"
    )
    frames = [frame for wait in (*waits, _wait(stage.workers[0], own)) for frame in wait.frames]
    lines = [head, ""]
    for wait in waits:
        lines += _lines(wait, frames, holders, worker_name(wait.worker.number, names))
    lines += ["", _advice(waits, cyclic=cyclic)]
    return "\n".join(lines)


def _only_waits_for_others(worker: Worker) -> bool:
    """Whether it waits for workers to end, and holds nothing that they may want."""
    return (isinstance(worker.wants, (list, Worker)) or worker.wants is None) and not worker.held


def _serves(wait: _Wait) -> bool:
    """Whether it is a thread in the background, which waits for work and nobody waits for it."""
    return wait.worker.daemon and not _held(wait)


def _held(wait: _Wait) -> dict[Any, Any]:
    """Return what a worker holds, without the locks inside conditions by which workers sleep."""
    return {lock: taken for lock, taken in wait.worker.held.items() if not _sleeps(lock)}


def _sleeps(lock: Any) -> bool:
    made = getattr(lock, "made", None)
    return (
        made is not None and made[0].co_name == "wait" and made[0].co_filename == threading.__file__
    )


def _lock_of(wait: _Wait) -> Any:
    return wait.worker.wants


def _lines(wait: _Wait, frames: list[FrameType], holders: dict[int, Worker], who: str) -> list[str]:
    rows = []
    for lock, (taken, line) in _held(wait).items():
        own = _own_line(taken, line, wait)
        rows.append(
            (
                "holds",
                _called(getattr(lock, "lock", lock), [*wait.frames, *frames]),
                f"taken at {own}",
            )
        )
    if id(wait.worker.wants) in holders:
        rows.append(
            ("wants", _called(wait.worker.wants, [*wait.frames, *frames]), f"at       {wait.at}")
        )
    else:
        rows.append(
            (
                "waits",
                f"in {wait.through}" if wait.through else "",
                f"at       {wait.at}  {wait.line}",
            )
        )
    width, room = max(len(what) for _, what, _ in rows), max(10, len(who) + 2)
    return [
        f"  {who if i == 0 else '':<{room}}{verb:<6} {what:<{width}}  {where}".rstrip()
        for i, (verb, what, where) in enumerate(rows)
    ]


def _own_line(frame: FrameType, line: int, wait: _Wait) -> str:
    """Return where in the code under test a lock was taken."""
    files = {own.f_code.co_filename for own in wait.frames}
    at: FrameType | None = frame
    if frame.f_code.co_filename in files:
        return place(frame.f_code.co_filename, line)
    while at is not None and at.f_code.co_filename not in files:
        at = at.f_back
    return (
        place(frame.f_code.co_filename, line)
        if at is None
        else place(at.f_code.co_filename, at.f_lineno)
    )


def _called(wanted: Any, frames: list[FrameType]) -> str:
    return name_of(wanted, frames) or f"a lock made at {_made(wanted)}"


def _made(lock: Any) -> str:
    made = getattr(lock, "made", None)
    return place(made[0].co_filename, made[1]) if made is not None else "an unknown place"


def _wait(worker: Worker, own: Own) -> _Wait:
    frame: FrameType | None = sys._current_frames().get(worker.ident)  # noqa: SLF001
    inner: FrameType | None = None
    while frame is not None and not own(frame.f_code):
        if "pytest_concurrency" not in str(frame.f_globals.get("__name__")) and not _below(frame):
            inner = frame
        frame = frame.f_back
    frames: list[FrameType] = []
    at = frame
    while at is not None:
        if own(at.f_code):
            frames.append(at)
        at = at.f_back
    wanted = worker.wants
    through = ""
    if inner is not None:
        wanted = inner.f_locals.get("self", wanted)
        through = inner.f_code.co_name
    if not isinstance(wanted, (list, Worker, str, type(None))):
        method = through or {"Event": "wait", "SimpleQueue": "get"}.get(
            type(wanted).__name__, "acquire"
        )
        through = f"{name_of(wanted, frames) or type(wanted).__name__}.{method}()"
    if not frames:
        return _Wait(worker, frames, through, wanted, "the call it was given", "")
    file, line = frames[0].f_code.co_filename, frames[0].f_lineno
    return _Wait(worker, frames, through, wanted, place(file, line), source(file, line))


def _below(frame: FrameType) -> bool:
    """Whether a frame is what every thread begins with."""
    return frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name in {
        *("_bootstrap", "_bootstrap_inner", "run")
    }


_MISSED = """\
Nobody is left to wake it: a notification came before the wait, or never. Wait in a loop that
checks the condition under the lock, and change the condition under the same lock."""


def _advice(waits: list[_Wait], *, cyclic: bool) -> str:
    if cyclic and len(waits) > 1:
        both = "both" if len(waits) == 2 else "the"  # noqa: PLR2004
        return f"Taking {both} locks in one order removes it."
    if cyclic:
        return "The lock is taken twice by one worker: use an RLock, or take it once."
    words = " ".join(wait.through for wait in waits)
    if "wait" in words:
        return _MISSED
    if "get" in words or "join" in words:
        return "Nobody is left to put anything more."
    return "Nobody is left who could let it go on."


def hang(stage: Stage, what: str) -> str:
    """Describe workers that do not end, each with where it stands."""
    frames = sys._current_frames()  # noqa: SLF001
    names = titles(stage)
    lines = [f"Hang: {worker_name(stage.current.number, names)} {what}.", ""]
    for worker in stage.live:
        who = worker_name(worker.number, names)
        lines += _stack(who, frames.get(worker.ident), stage.own)
    return "\n".join(lines)


def _stack(who: str, frame: FrameType | None, own: Own) -> list[str]:
    rows: list[str] = []
    while frame is not None and len(rows) < 3:  # noqa: PLR2004
        if frame.f_code.co_name == "_perform" and ours(frame.f_code):
            break  # what follows called interleave
        if own(frame.f_code):
            file, line = frame.f_code.co_filename, frame.f_lineno
            rows.append(
                f"in {frame.f_code.co_name:<16} {place(file, line):<20} {source(file, line)}"
            )
        frame = frame.f_back
    room = max(10, len(who) + 2)
    return [
        f"  {who if i == 0 else '':<{room}}{'' if i == 0 else '<- '}{row}"
        for i, row in enumerate(rows)
    ]
