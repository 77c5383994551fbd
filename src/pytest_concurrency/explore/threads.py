"""Stand-ins for starting, joining and asking threads that the code under test makes itself."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, final

from pytest_concurrency.explore.region import caller, here
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.workers import Worker

_start = threading.Thread.start
_start_new = _thread.start_new_thread
_join = threading.Thread.join
_is_alive = threading.Thread.is_alive
_WORKER = "_explored_worker"


def start(self: threading.Thread) -> None:
    """Stand in for ``Thread.start``: the thread becomes a worker."""
    stage = here()
    if stage is None:
        _start(self)
        return
    inner: Any = self
    if inner._started.is_set():  # noqa: SLF001
        msg = "threads can only be started once"
        raise RuntimeError(msg)
    stage.operate(("start", *caller(2)), ())
    if _idle(self):
        _put_in_order(inner._args[0]())  # noqa: SLF001
    inner._started._flag = True  # noqa: SLF001
    worker = stage.start(lambda: _run(inner, stage))
    worker.daemon = self.daemon or _idle(self)


def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
) -> int:
    """Stand in for ``_thread.start_new_thread``: that thread becomes a worker too."""
    given = kwargs or {}
    stage = here()
    if stage is None:
        return _start_new(function, args, given)
    if not callable(function) or not isinstance(args, tuple) or not isinstance(given, dict):
        return _start_new(function, args, given)  # which says what is wrong
    stage.operate(("start", *caller(2)), ())
    worker = stage.start(lambda: _run_raw(function, args, given))
    worker.thread = threading.Thread(target=function, name=getattr(function, "__name__", None))
    worker.daemon = True
    return worker.ident


def _run_raw(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with suppress(SystemExit):  # which ends the thread, and says nothing
        function(*args, **kwargs)


def _idle(thread: Any) -> bool:
    """Whether the thread belongs to an executor, which may leave it waiting for work."""
    module = getattr(getattr(thread, "_target", None), "__module__", None)
    return module == "concurrent.futures.thread"


@final
class _InOrder(set[Any]):
    """The threads of an executor, which joins them one by one, in the order of their start.

    That of a set depends on where they lie in memory, and so differs from play to play.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=_order))


def _order(thread: Any) -> int:
    held = getattr(thread, _WORKER, None)
    return 0 if held is None else int(held[1].number)


def _put_in_order(executor: Any) -> None:
    if type(getattr(executor, "_threads", None)) is set:
        executor._threads = _InOrder(executor._threads)  # noqa: SLF001


def _run(thread: Any, stage: Stage) -> None:
    worker = stage.current
    worker.thread = thread
    setattr(thread, _WORKER, (stage, worker))
    ident = thread._ident = worker.ident  # noqa: SLF001
    active: dict[int, Any] = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
    usual = active.get(ident)
    active[ident] = thread
    try:
        thread.run()
    finally:
        if usual is not None:
            active[ident] = usual
        _mark_ended(thread)


@final
class _Done:
    """Stands in for the handle of a thread that has ended."""

    __slots__ = ("ident",)

    def __init__(self, ident: int) -> None:
        self.ident = ident

    def is_done(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        _ = timeout

    def _set_done(self) -> None:
        """Be done."""


def _mark_ended(thread: Any) -> None:
    """Let the thread be seen as ended after the schedule too."""
    if sys.version_info >= (3, 13):
        thread._handle = _Done(thread._ident)  # noqa: SLF001
    else:
        thread._is_stopped = True  # noqa: SLF001


def _worker(thread: threading.Thread, stage: Stage | None) -> Worker | None:
    held = getattr(thread, _WORKER, None)
    return held[1] if held is not None and held[0] is stage else None


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """Stand in for ``Thread.join``."""
    stage = here()
    worker = _worker(self, stage)
    if stage is None or worker is None:
        if getattr(self, _WORKER, None) is None:
            _join(self, timeout)
        return
    if worker is stage.current:
        msg = "cannot join current thread"
        raise RuntimeError(msg)
    stage.operate(
        ("join", *caller(2)),
        ((("worker", worker.number), False),),
        lambda: worker.ended,
        seconds=timeout,
        wants=worker,
    )


def is_alive(self: threading.Thread) -> bool:
    """Stand in for ``Thread.is_alive``."""
    stage = here()
    worker = _worker(self, stage)
    if stage is None or worker is None:
        return False if getattr(self, _WORKER, None) is not None else _is_alive(self)
    stage.operate(("alive", *caller(2)), ((("life", worker.number), False),))
    return not worker.ended
