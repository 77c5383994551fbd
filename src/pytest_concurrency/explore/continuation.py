"""How a task goes on: the callbacks that it makes for itself."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any, final

_STEP = "step"
_STEPS = frozenset({_STEP, "task_wakeup", "__step", "__wakeup", "_Task__step", "_Task__wakeup"})
"""What a task calls its own callbacks; that of C for a step has no name."""


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
    """Tell whether a method of a task is its next step, and not, say, its ``cancel``."""
    return getattr(callback, "__name__", _STEP) in _STEPS
