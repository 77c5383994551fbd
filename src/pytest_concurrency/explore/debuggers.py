"""Debuggers that begin inside of a worker, beside our own tracing of Python 3.11."""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, final

from pytest_concurrency.explore.region import here

settrace: Final = sys.settrace
"""The real thing, whatever stands in for it."""


@final
class Debuggers:
    """Stands in for ``sys.settrace`` during a play, for the worker that runs.

    A debugger takes the one place for a tracer, and those of all frames that are being run: it
    would see the events of our points, and our points would be gone.
    """

    def __init__(
        self,
        points_of: Callable[[Any], Any],
        local: Callable[[Any, Any], Any],
        tracer: Callable[[Any], Any],
    ) -> None:
        """Trace beside debuggers.

        Args:
            points_of: The points of a code object; none where it is not explored.
            local: Makes a frame's tracer of points and of another tracer.
            tracer: Makes a tracer of calls of another one.
        """
        self._points_of = points_of
        self._local = local
        self._tracer = tracer
        self._is_over = False

    def enter(self) -> None:
        """Stand in."""
        sys.settrace = self._begin

    def leave(self) -> None:
        """Put the real thing back."""
        sys.settrace = settrace

    def _begin(self, function: Any) -> None:
        stage = here()
        if stage is None or stage.ident != _thread.get_ident():
            settrace(function)
            return
        if function is None:
            self._is_over = True
            settrace(self._tracer(None))
            return
        self._share(sys._getframe(1), function)  # noqa: SLF001
        settrace(self._tracer(function))

    def mend(self, frame: FrameType) -> None:
        """Take back the frames that a debugger has left, from one of them on."""
        if self._is_over:
            self._is_over = False
            self._share(frame.f_back, None)

    def _share(self, frame: FrameType | None, function: Any) -> None:
        while frame is not None:
            points = self._points_of(frame.f_code)
            if points is not None and frame.f_trace == function:
                frame.f_trace = self._local(points, function)
                frame.f_trace_opcodes = True
                frame.f_trace_lines = function is not None
            frame = frame.f_back


@contextmanager
def without_breakpoints() -> Iterator[None]:
    """Pass over ``breakpoint()`` in workers: the schedules that explain one were not asked for."""
    before = sys.breakpointhook

    def pass_over(*arguments: Any, **options: Any) -> Any:
        return before(*arguments, **options) if here() is None else None

    sys.breakpointhook = pass_over
    try:
        yield
    finally:
        sys.breakpointhook = before
