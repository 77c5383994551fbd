"""Errors that nobody awaits, and coroutines that nobody runs: asyncio only tells the log."""

from __future__ import annotations

from pathlib import PurePath
from types import CoroutineType
from typing import Any

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.program import BODY, worker_name


class NeverAwaited(BrokenPromise):
    """A coroutine was made and dropped: what it would have done was not done."""

    __module__ = "pytest_concurrency"

    @classmethod
    def of(cls, coroutine: CoroutineType[Any, Any, Any]) -> NeverAwaited:
        """Say which coroutine, where it comes from, and what to do."""
        name, code = coroutine.__name__, coroutine.cr_code
        file, line = code.co_filename, code.co_firstlineno
        if coroutine.cr_origin:
            file, line, _ = coroutine.cr_origin[0]
        return cls(
            f"{PurePath(file).name}:{line}: the coroutine {name!r} is never awaited, "
            f"so it does not run.\nWrite await {name}(...), or asyncio.create_task({name}(...))."
        )


def unseen(loop: Loop) -> BaseException | None:
    """Return an error of a play that asyncio would only have logged, with a note that says so."""
    for number, task in loop.tasks.items():
        if number == BODY or not task.done() or task.cancelled():
            continue
        if task._log_traceback:  # noqa: SLF001
            error = task.exception()
            name = f"{worker_name(number)} ({loop.name(number)})"
            return _noted(error, f"{name} raised it, and nobody awaits that task:")
    for context in loop.unhandled:
        error = context.get("exception")
        if isinstance(error, Exception):
            what = str(context.get("message", "")).partition(" at 0x")[0].partition("(")[0]
            return _noted(error, f"{what.strip()}:")
    return None


def _noted(error: BaseException | None, why: str) -> BaseException | None:
    if error is not None:
        error.add_note(f"{why} asyncio only logs it.")
    return error
