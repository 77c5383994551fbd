"""Stopping threads that run Python code, wherever in it they are."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any, final


class WorkerStopped(BaseException):
    """Raised inside a worker past its deadline, to end it."""


def stop_threads(idents: list[int]) -> None:
    """Have threads raise ``WorkerStopped`` at their next instruction.

    Until somebody takes such an exception, Python before 3.13 looks for it at every turn, and 3.11,
    while it traces, never gets beyond the first line of a function. A thread that is blocked takes
    none, so this one is struck last, and takes it: no function of Python's may run in between.
    """
    own = [threading.get_ident()] if sys.version_info < (3, 13) else []
    targets = [ctypes.c_ulong(ident) for ident in (*idents, *own)]
    send, stopped = ctypes.pythonapi.PyThreadState_SetAsyncExc, ctypes.py_object(WorkerStopped)
    try:
        list(map(send, targets, repeat(stopped)))
        for _ in own:
            pass
    except WorkerStopped:
        pass


@final
class LostStops:
    """Stops that struck where nothing can be raised, such as a callback of a weak reference.

    Python tells what is raised there as ignored, and the thread goes on: it is to be struck again.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._guard = threading.Lock()
        self._keepers = 0
        self._before: Any = None
        self._threads: set[int] = set()

    @contextmanager
    def kept(self) -> Iterator[set[int]]:
        """Note the threads that lost a stop, rather than have it told."""
        with self._guard:
            if self._keepers == 0:
                self._threads.clear()
                self._before, sys.unraisablehook = sys.unraisablehook, self._take
            self._keepers += 1
        try:
            yield self._threads
        finally:
            with self._guard:
                self._keepers -= 1
                if self._keepers == 0 and sys.unraisablehook == self._take:
                    sys.unraisablehook = self._before

    def _take(self, told: Any) -> None:
        if told.exc_type is WorkerStopped:
            self._threads.add(threading.get_ident())
        else:
            self._before(told)


LOST_STOPS = LostStops()
