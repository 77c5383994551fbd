"""An asyncio event loop without a selector: what runs next is chosen, and time is virtual.

What is ready is kept per worker. Tasks are workers; so are callbacks of the code under test and
functions that it hands to an executor, each a worker of one step. Callbacks of asyncio itself
run at once, in order, as part of the step that asked for them.
"""

# ruff: noqa: SLF001 - asyncio lets loops be written against these names and no others.
from __future__ import annotations

import asyncio
import functools
import heapq
import threading
from asyncio import events
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, copy_context
from types import CodeType
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from pytest_concurrency.explore.awaits import Await
from pytest_concurrency.explore.continuation import call_into, is_continuation, name_of
from pytest_concurrency.explore.outside import Threads, Uncontrolled, confined
from pytest_concurrency.explore.program import Ending
from pytest_concurrency.explore.ready import Ready, nothing
from pytest_concurrency.explore.running import Running
from pytest_concurrency.explore.scope import code_of

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_BATCHES = 64
"""Rounds of asyncio's own callbacks that may follow each other without a task in between."""


@confined
class Loop(asyncio.BaseEventLoop):
    """Runs what it is told to, one step at a time.

    Attributes:
        tasks: The workers that are tasks, in order of their start.
        ready: The next step of each worker that can run.
        runs: What each worker runs, unless it was not made here.
        holders: For each lock, the workers that hold it and where each took it, if watched.
        on_birth: Called when a worker is made, or something that will be one.
        on_unknown: Called when the code under test hands over what cannot be looked into.
        unhandled: What asyncio would only have logged.
        refused: What left the loop, if anything did.
        threads: Those that were started by what runs here.
    """

    def __init__(self, explores: Callable[[CodeType], bool]) -> None:
        """Make a loop at time zero.

        Args:
            explores: Tells code under test from the rest.
        """
        super().__init__()
        self._explores = explores
        self._now = 0.0
        self._own: deque[asyncio.Handle] = deque()
        self._number: dict[asyncio.Task[Any], int] = {}
        self.refused: Uncontrolled | None = None
        self.threads = Threads()
        self._workers = 0
        self._thread_id = threading.get_ident()
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.ready = Ready()
        self.runs: dict[int, Any] = {}
        self.holders: dict[object, dict[int, Await]] = {}
        self.unhandled: list[dict[str, Any]] = []
        self.on_birth: Callable[[], object] = nothing
        self.on_unknown: Callable[[], object] = nothing

    def running(self) -> Running:
        """Be the running loop of this thread; another one, if there is one, steps aside."""
        self._step = Running(self)
        return self._step

    def is_running(self) -> bool:
        """Tell whether a step of this loop is running."""
        return events._get_running_loop() is self

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def worker(self, task: asyncio.Task[Any]) -> int:
        """Return the number of the worker that a task is, a new one when it is seen first."""
        number = self._number.get(task)
        if number is None:
            number = self._number[task] = self._new_worker(task)
            self.tasks[number] = task
        return number

    def number_from(self, first: int) -> None:
        """Give the next worker this number."""
        self._workers = first

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Make a callback ready."""
        if is_continuation(callback):
            task = callback.__self__  # type: ignore[attr-defined]
            number = self._number.get(task)
            if number is None:
                number = self.worker(task)
            step = functools.partial((context or copy_context()).run, callback, *args)
            self.ready.add(number, step)
            return step  # type: ignore[return-value] # the step of a task is never cancelled
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle, callback)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Make a callback ready at a time."""
        if self._is_under_test(callback):
            self.on_birth()
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Make a callback ready, from the thread of this loop only."""
        if threading.get_ident() != self._thread_id:
            return self._called_from_outside(asyncio.Handle(callback, args, self, context))
        return self.call_soon(callback, *args, context=context)

    def _called_from_outside(self, handle: asyncio.Handle) -> asyncio.Handle:
        self._check_closed()  # type: ignore[attr-defined]
        said = self.threads.of(threading.current_thread())
        if said is None:
            self.refuse("another thread")
        self.refused = said
        self.threads.late.append(handle._run)
        return handle

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run the function as one step of a worker of its own, on this thread."""
        del executor
        future: asyncio.Future[_T] = self.create_future()
        number = self._new_worker(func)
        call = asyncio.Handle(call_into, (future, func, args), self)
        self.ready.add_handle(number, call, ordered=False)
        return future

    def refuse(self, what: str) -> NoReturn:
        """Fail where the code under test leaves the loop, and the play with it."""
        self.refused = Uncontrolled.by(what, self._explores)
        raise self.refused

    def lost(self) -> Ending | None:
        """Return how a play ends that waits for what left the loop."""
        lost = self.refused or self.threads.waited_for()
        return None if lost is None else Ending(kind="failed", error=lost)

    def settle(self) -> None:
        """Run what asyncio itself has made ready."""
        own = self._own
        for _ in range(_BATCHES):
            if not own:
                return
            for _ in range(len(own)):
                handle = own.popleft()
                if not handle._cancelled:
                    handle._run()

    def advance(self) -> bool:
        """Move time on to the next timer; false if there is none."""
        timers = self._scheduled  # type: ignore[attr-defined]
        moved = False
        while timers and (timers[0]._cancelled or timers[0]._when <= self._now or not moved):
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if timer._cancelled:
                continue
            moved = True
            self._now = max(self._now, timer._when)
            self._enqueue(timer, timer._callback)
            self.ready.begin()
        return moved

    def has_timers(self) -> bool:
        """Tell whether time could move on."""
        return any(not timer._cancelled for timer in self._scheduled)  # type: ignore[attr-defined]

    def add_clock(self) -> int:
        """Return the number of a worker that stands for time."""
        return self._new_worker("time")

    def name(self, worker: int) -> str:
        """Say what a worker runs, as a person knows it."""
        return name_of(self.runs[worker])

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio would log."""
        self.unhandled.append(context)

    def wind_up(self) -> None:
        """End every task as the end of ``asyncio.run`` does, and close."""
        if self.is_running():  # a signal's exception came as a step began, or ended
            self._step.__exit__()
        self.ready.on_able = self.ready.on_unable = self.on_birth = self.on_unknown = nothing
        tasks = list(self._number)
        left = any(not task.done() for task in tasks)
        if left or self.ready.steps or self._own or self._asyncgens or self.threads.late:  # type: ignore[attr-defined]
            self._end()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
        self._number.clear()
        self.tasks.clear()
        self.runs.clear()
        self.close()

    def _end(self) -> None:
        with self.running():
            while self.threads.late:
                self.threads.late.popleft()()
            for task in list(self._number):
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    task.cancel()
            self._drain()
            if self._asyncgens:  # type: ignore[attr-defined]
                self.create_task(self.shutdown_asyncgens())
                self._drain()

    def _drain(self) -> None:
        for _ in range(1_000):
            self.settle()
            able = self.ready.able()
            if not able:
                return
            self.ready.begin()
            self.ready.take(able[0])()

    def _enqueue(self, handle: asyncio.Handle, callback: Any) -> None:
        if self._is_under_test(callback):
            self.ready.add_handle(self._new_worker(callback), handle, ordered=True)
        else:
            if not hasattr(callback, "__code__") and not hasattr(callback, "__func__"):
                self.on_unknown()
            self._own.append(handle)

    def _is_under_test(self, callback: Any) -> bool:
        while isinstance(callback, functools.partial):
            callback = callback.func
        if isinstance(getattr(callback, "__self__", None), asyncio.Task):
            return True  # somebody asked for task.cancel
        code = code_of(callback)
        return code is not None and self._explores(code)

    def _new_worker(self, runs: Any) -> int:
        number = self._workers
        self._workers += 1
        self.on_birth()
        self.runs[number] = runs
        return number
