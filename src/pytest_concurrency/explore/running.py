"""Which event loop is the running one of a thread."""

# ruff: noqa: SLF001 - asyncio lets loops be written against these names and no others.
from __future__ import annotations

import asyncio
import sys
from asyncio import events
from typing import Any, Self, final


@final
class Running:
    """Makes a loop the running one of this thread, for a block of code."""

    __slots__ = ("_hooks", "_loop", "_outer", "_task")

    def __init__(self, loop: Any) -> None:
        """Make this loop the running one."""
        self._loop = loop

    def __enter__(self) -> Self:
        """Let the loop that runs step aside, if there is one."""
        loop = self._loop
        outer = self._outer = events._get_running_loop()
        self._task = None if outer is None else asyncio.current_task(outer)
        if outer is not None and self._task is not None:
            asyncio.tasks._leave_task(outer, self._task)
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            loop._asyncgen_firstiter_hook,
            loop._asyncgen_finalizer_hook,
        )
        events._set_running_loop(loop)
        return self

    def __exit__(self, *_: object) -> None:
        """Let it come back."""
        events._set_running_loop(self._outer)
        sys.set_asyncgen_hooks(*self._hooks)
        if self._outer is not None and self._task is not None:
            asyncio.tasks._enter_task(self._outer, self._task)
