"""What is replaced while coroutines are played, for one thread, and put back at the end."""

from __future__ import annotations

import asyncio
import builtins
import sys
import threading
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any, Self, final

from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.unawaited import NeverAwaited

_SETS: Any = vars(asyncio.tasks)
_ABSENT = object()


@final
class Patches:
    """Sees coroutines that are dropped, and threads that begin and end, while one play runs.

    Besides, asyncio starts what ``as_completed`` is given in the order in which it was given:
    it goes through a set, whose order is that of addresses, and differs from play to play.

    Attributes:
        dropped: Coroutines of the code under test that were dropped without a first step.
    """

    def __init__(self, loop: Loop, explores: Callable[[CodeType], bool], *, trace: bool) -> None:
        """Prepare to replace.

        Args:
            loop: What the play runs on.
            explores: Tells code under test from the rest.
            trace: Whether to find out where coroutines were made.
        """
        self._loop = loop
        self._explores = explores
        self._trace = trace
        self._thread = threading.get_ident()
        self.dropped: list[NeverAwaited] = []
        self._warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
        self._start, self._join = threading.Thread.start, threading.Thread.join
        self._set = _SETS.get("set", _ABSENT)
        self._depth = sys.get_coroutine_origin_tracking_depth()

    def __enter__(self) -> Self:
        """Replace."""
        try:
            self._replace()
        except BaseException:  # a signal's exception, which comes anywhere
            self._put_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Put back."""
        try:
            self._put_back()
        except BaseException:
            self._put_back()
            raise

    def _replace(self) -> None:
        warnings._warn_unawaited_coroutine = self._drop  # type: ignore[attr-defined]  # noqa: SLF001
        threading.Thread.start = self._starting()  # type: ignore[method-assign]
        threading.Thread.join = self._joining()  # type: ignore[method-assign]
        _SETS["set"] = self._in_order
        if self._trace:
            sys.set_coroutine_origin_tracking_depth(max(self._depth, 1))

    def _put_back(self) -> None:
        warnings._warn_unawaited_coroutine = self._warn  # type: ignore[attr-defined]  # noqa: SLF001
        threading.Thread.start = self._start  # type: ignore[method-assign]
        threading.Thread.join = self._join  # type: ignore[method-assign]
        if self._set is _ABSENT:
            _SETS.pop("set", None)
        else:
            _SETS["set"] = self._set
        sys.set_coroutine_origin_tracking_depth(self._depth)

    def _drop(self, coroutine: Any) -> None:
        code = getattr(coroutine, "cr_code", None)
        if self._is_mine() and code is not None and self._explores(code):
            self.dropped.append(NeverAwaited.of(coroutine))
        else:
            self._warn(coroutine)

    def _starting(self) -> Any:
        original, mine, loop, explores = self._start, self._is_mine, self._loop, self._explores

        def start(thread: threading.Thread) -> None:
            if mine() and loop.is_running():
                loop.threads.begin(thread, explores)
            original(thread)

        return start

    def _joining(self) -> Any:
        original, mine, loop = self._join, self._is_mine, self._loop

        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            original(thread, timeout)
            if mine() and not thread.is_alive():
                loop.threads.end(thread)

        return join

    def _in_order(self, *given: Any) -> Any:
        return dict.fromkeys(*given) if given and self._is_mine() else builtins.set(*given)

    def _is_mine(self) -> bool:
        return threading.get_ident() == self._thread
