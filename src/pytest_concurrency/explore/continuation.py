"""How a task goes on by callbacks that it makes for itself, and what to call what runs."""

from __future__ import annotations

import functools
from asyncio import Future, Task
from collections.abc import Callable
from typing import Any

_STEP = "TaskStepMethWrapper"
"""The kind of callback that starts a step of a task written in C; it has no name."""

_NAMES = frozenset({"task_wakeup", "wakeup", "__step", "__wakeup"})
"""What tasks call their other callbacks."""


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


def call_into(future: Future[Any], func: Callable[..., Any], args: Any) -> None:
    """Run a function and put what it gives into the future, as an executor does."""
    if future.cancelled():
        return
    try:
        result = func(*args)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
        future.set_exception(error)
    else:
        future.set_result(result)
