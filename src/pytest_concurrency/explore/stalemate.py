"""Tasks that wait for ever, told with who waits where, and for what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CodeType
from typing import Any

from pytest_concurrency.explore import awaits
from pytest_concurrency.explore.failures import Deadlock, Hang
from pytest_concurrency.explore.loop import Loop
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
    rows = [
        row
        for number, task in loop.tasks.items()
        if not task.done() and (number != BODY or len(loop.tasks) == 1)
        for row in _rows(number, task, loop, explores)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _rows(
    number: int, task: asyncio.Task[Any], loop: Loop, explores: Explores
) -> list[tuple[str, ...]]:
    rows = [
        ("holds", awaits.name_of(lock, task), f"taken at {holders[number].place}", source)
        for lock, holders in loop.holders.items()
        if number in holders and (source := holders[number].source) is not None
    ]
    at = awaits.pending(task, explores)
    if at is None:
        rows.append(("waits", "outside the code under test", "", ""))
    elif at.target is None:
        rows.append(("waits", "", f"at       {at.place}", at.source))
    else:
        rows.append(("wants", awaits.name_of(at.target, task), f"at       {at.place}", at.source))
    names = [f"  {worker_name(number)}", *[""] * (len(rows) - 1)]
    return [(name, *row) for name, row in zip(names, rows, strict=True)]
