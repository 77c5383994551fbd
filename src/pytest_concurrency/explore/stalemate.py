"""Tasks that wait for ever, told with who waits where, and for what."""

from __future__ import annotations

import sys
from asyncio import Task
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from pytest_concurrency.explore import awaits
from pytest_concurrency.explore.failures import Deadlock, Hang
from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.namesakes import names
from pytest_concurrency.explore.program import BODY, Ending, worker_name

Explores = Callable[[CodeType], bool]


class Stopped(BaseException):
    """The play cannot go on. No code under test sees it: it is raised between steps."""

    def __init__(self, ending: Ending) -> None:
        """Carry the ending."""
        super().__init__()
        self.ending = ending


def stalemate(loop: Loop, explores: Explores) -> Ending:
    """End a play in which nobody can run and no time-out is left."""
    waits = _waits(loop, explores)
    failed = _first_error(loop)
    if failed is not None:
        failed.add_note(f"The others then wait for ever:\n\n{waits}")
        return Ending(kind="failed", error=failed)
    waiting = [number for number, task in loop.tasks.items() if not task.done() and number != BODY]
    count = len(waiting)
    first = "1 worker waits" if count == 1 else f"{count} workers wait"
    text = f"Deadlock: {first} for what nobody will ever do.\n\n{waits}"
    return Ending(kind="deadlock", error=Deadlock(text))


def endless(loop: Loop, explores: Explores, steps: int) -> Ending:
    """End a play that goes on and on."""
    waits = _waits(loop, explores)
    text = f"After {steps:,} steps the workers still run, from await to await.\n\n{waits}"
    return Ending(kind="hang", error=Hang(text))


def _first_error(loop: Loop) -> BaseException | None:
    for task in loop.tasks.values():
        if task.done() and not task.cancelled():
            error = task.exception()
            if error is not None:
                return error
    return None


def _waits(loop: Loop, explores: Explores) -> str:
    """Tell, for each worker that has not ended, what it holds and what it waits for."""
    waiting = {
        number: (task, awaits.pending(task, explores))
        for number, task in loop.tasks.items()
        if not task.done() and (number != BODY or len(loop.tasks) == 1)
    }
    targets = [*loop.holders, *(at.target for _, at in waiting.values() if at and at.target)]
    known = names(
        list({id(target): target for target in targets}.values()), _frames(loop, explores)
    )
    rows = [
        row
        for number, (_, at) in waiting.items()
        for row in _indented(worker_name(number), [*_held(number, loop, known), _wanted(at, known)])
    ]
    wanted = {id(at.target) for _, at in waiting.values() if at is not None}
    for number, task in loop.tasks.items():
        if task.done():
            left = list(_held(number, loop, known, only=wanted, end=_end(task)))
            rows += _indented(worker_name(number), left) if left else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _frames(loop: Loop, explores: Explores) -> Iterator[FrameType]:
    """Go through the frames that may have names for things: the body's, then the workers'."""
    running: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the body is a caller of ours
    while running is not None:
        if explores(running.f_code):
            yield running
        running = running.f_back
    for task in loop.tasks.values():
        yield from (frame for frame in awaits.frames(task) if explores(frame.f_code))


def _held(
    number: int,
    loop: Loop,
    known: dict[int, str],
    *,
    only: set[int] | None = None,
    end: str | None = None,
) -> Iterator[tuple[str, ...]]:
    for lock, holders in loop.holders.items():
        if number in holders and (only is None or id(lock) in only):
            at = holders[number]
            yield ("holds", known[id(lock)], f"taken at {at.place}", end or at.source)


def _end(task: Task[Any]) -> str:
    """Say how a task ended that keeps a lock for ever."""
    return "and was cancelled" if task.cancelled() else "and has ended"


def _wanted(at: awaits.Await | None, known: dict[int, str]) -> tuple[str, ...]:
    if at is None:
        return ("waits", "outside the code under test", "", "")
    if not at.place:
        return ("wants", known[id(at.target)], "", "")
    if at.target is None:
        return ("waits", "", f"at       {at.place}", at.source)
    return ("wants", known[id(at.target)], f"at       {at.place}", at.source)


def _indented(name: str, rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    names = [f"  {name}", *[""] * (len(rows) - 1)]
    return [(name, *row) for name, row in zip(names, rows, strict=True)]
