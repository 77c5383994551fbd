"""How a task goes on, by the callbacks that it makes for itself, and what to call it."""

from __future__ import annotations

import functools
from asyncio import Task
from contextvars import Context, copy_context
from typing import Any, final

_STEP = "TaskStepMethWrapper"
"""The kind of callback that starts a step of a task written in C; it has no name."""

_NAMES = frozenset({"task_wakeup", "wakeup", "__step", "__wakeup"})
"""What tasks call their other callbacks."""


@final
class Continuation:
    """The next step of a task: a handle that nobody can cancel, made in half the time."""

    __slots__ = ("_args", "_callback", "_context")
    _cancelled = False

    def __init__(self, callback: Any, args: tuple[Any, ...], context: Context | None) -> None:
        """Call back with these arguments, in this context or a copy of the present one."""
        self._callback = callback
        self._args = args
        self._context = context or copy_context()

    def _run(self) -> None:
        self._context.run(self._callback, *self._args)


def is_continuation(callback: Any) -> bool:
    """Tell whether a callback is the next step of a task, and not, say, its ``cancel``."""
    if type(callback).__name__ == _STEP:
        return True
    owner = getattr(callback, "__self__", None)
    return isinstance(owner, Task) and callback.__name__ in _NAMES


def name_of(runs: Any) -> str:
    """Name what a worker runs, as a person knows it."""
    if isinstance(runs, str):
        return runs
    if isinstance(runs, Task):
        return str(getattr(runs.get_coro(), "__qualname__", "task")).rpartition(".")[2]
    while isinstance(runs, functools.partial):
        inner = runs.args[0] if runs.args and callable(runs.args[0]) else runs.func
        runs = inner
    return str(getattr(runs, "__name__", type(runs).__name__))
