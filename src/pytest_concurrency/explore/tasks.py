"""Coroutines as a program: tasks are workers, and a point is an await that suspends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Sequence
from contextlib import nullcontext
from types import CodeType
from typing import Any, Self, TypeAlias

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore import awaits
from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.program import BODY, Ending, Guide, Touch, Trace, worker_name
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.stalemate import Stopped, endless, stalemate
from pytest_concurrency.explore.watch import watched

EVERYTHING: Touch = ("*", True)
"""What a step between two awaits touches: it is not looked into, so it may touch anything."""

_SPIN = 200
_ENDLESS = 50_000

Starter: TypeAlias = "Callable[[], Awaitable[Any]] | Coroutine[Any, Any, Any]"
"""A coroutine, or what makes one."""


class TaskProgram:
    """A body whose workers are coroutines, played again and again, each time on a loop of ours."""

    def __init__(self, body: Callable[..., Any], settings: Settings) -> None:
        """Make a program of a body.

        Args:
            body: A function or coroutine function; its argument starts the workers.
            settings: What counts as code under test.
        """
        self._body = body
        self._explores = Scope(settings.packages).has
        self.most_workers = 0

    def __enter__(self) -> Self:
        """Begin; nothing outside a play is touched."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; nothing is left behind."""

    def play(self, guide: Guide, *, record: bool = True, explain: bool = False) -> Trace:
        """Run the body once, its workers in the order that the guide chooses."""
        stage = Stage(guide, self._explores, record=record or explain, explain=explain)
        trace = stage.perform(self._body)
        self.most_workers = max(self.most_workers, stage.workers)
        return trace


class Stage:
    """One play."""

    def __init__(
        self,
        guide: Guide,
        explores: Callable[[CodeType], bool],
        *,
        record: bool,
        explain: bool,
    ) -> None:
        self._guide = guide
        self._explores = explores
        self._record = record
        self._explain = explain
        self._loop = Loop(explores)
        self._trace = Trace()
        self._current: int | None = None
        self._left = 0
        self._streak = 0
        self._steps = 0
        self._cancellers: set[int] = set()
        self._clock: int | None = None

    def perform(self, body: Callable[..., Any]) -> Trace:
        """Play the body from its start to its end."""
        trace, loop = self._trace, self._loop
        if self._record:
            loop.on_able = self._became_able
        try:
            with watched(loop, self._explores) if self._explain else nullcontext():
                self._run_body(body)
        except (KeyboardInterrupt, SystemExit):
            raise
        except Stopped as stopped:
            trace.ending = stopped.ending
        except BaseException as error:  # noqa: BLE001 - whatever ends the body is what it found
            trace.ending = Ending(kind="failed", error=error)
        else:
            if loop.refused is not None:
                trace.ending = Ending(kind="failed", error=loop.refused)
        finally:
            self._close()
        return trace

    def _run_body(self, body: Callable[..., Any]) -> None:
        run = Run(self)
        if not inspect.iscoroutinefunction(body):
            self._loop.number_from(BODY + 1)
            body(run)
            return
        (task,) = self.start([body(run)])
        self.until(task.done)
        task.result()

    @property
    def workers(self) -> int:
        """How many workers there were, the body among them."""
        return len(self._loop.names) + (BODY not in self._loop.names)

    @property
    def is_inside(self) -> bool:
        """Whether a step is running, so that one can only await."""
        return self._loop.is_running()

    def start(self, coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[asyncio.Task[Any]]:
        """Make tasks of coroutines, each a worker."""
        with self._loop.running():
            return [self._loop.create_task(each) for each in coroutines]

    def cancel(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """Make a worker whose only step cancels a task, and let time pass before it if need be."""
        (canceller,) = self.start([_cancel(task)])
        self._cancellers.add(self._loop.worker(canceller))
        if self._clock is None:
            self._clock = self._loop.add_clock()
        return canceller

    def until(self, done: Callable[[], bool]) -> None:
        """Run step after step until done."""
        with self._loop.running():
            while not done():
                self._loop.settle()
                if not self._step() and not done():
                    self._nobody_can_run()

    def _step(self) -> bool:
        able = self._able()
        if not able:
            return False
        if len(self._loop.names) == 1 and BODY in self._loop.names:
            self._run(BODY)  # alone: there is nothing to choose, nor to count
            return True
        worker = self._choose(able)
        if self._record:
            self._note(worker)
        if worker == self._clock:
            self._loop.advance()
        else:
            self._run(worker)
        if self._record and worker not in self._loop.ready:
            self._trace.changes.append((len(self._trace.workers), worker, False))
        return True

    def _run(self, worker: int) -> None:
        self._loop.ready.pop(worker)._run()  # noqa: SLF001 - what a loop does with a handle
        self._loop.settle()

    def _able(self) -> list[int]:
        """Return who can run; time counts as a worker where only a canceller is left to wait."""
        able = self._loop.able()
        if self._clock is None or not able or not self._cancellers.issuperset(able):
            return able
        if not self._loop.has_timers():
            return able
        if self._record:
            self._became_able(self._clock)
        return [*able, self._clock]

    def _choose(self, able: Sequence[int]) -> int:
        self._steps += 1
        if self._steps > _ENDLESS:
            raise Stopped(endless(self._loop, self._explores, _ENDLESS))
        current = self._current if self._current in able else None
        if current is not None and self._streak >= _SPIN and self._yield(able):
            able = [each for each in able if each != current] or able
            current = None
        if current is None or self._left <= 0:
            chosen, self._left = self._guide.choose(current, able)
            if chosen != self._current:
                self._streak = 0
            self._current = current = chosen
        self._left -= 1
        self._streak += 1
        return current

    def _yield(self, able: Sequence[int]) -> bool:
        """Let others go on when one worker never waits: it may be waiting for them by looking."""
        self._streak = 0
        self._trace.spun = True
        return len(able) > 1 or not self._loop.advance()

    def _nobody_can_run(self) -> None:
        if not self._loop.advance():
            raise Stopped(stalemate(self._loop, self._explores))

    def _became_able(self, worker: int) -> None:
        self._trace.changes.append((len(self._trace.workers), worker, True))

    def _note(self, worker: int) -> None:
        trace = self._trace
        trace.workers.append(worker)
        trace.labels.append(self._label(worker))
        trace.touched.append((EVERYTHING,))

    def _label(self, worker: int) -> Hashable:
        task = self._loop.tasks.get(worker)
        return self._loop.names[worker] if task is None else awaits.label(task)

    def _close(self) -> None:
        loop, trace = self._loop, self._trace
        if self._record:
            for number, task in loop.tasks.items():
                if not task.done():
                    trace.pending[number] = (awaits.label(task), (EVERYTHING,))
        trace.names = {
            number: f"{worker_name(number)} ({name})"
            for number, name in loop.names.items()
            if number != BODY
        }
        loop.wind_up()


class Run:
    """Starts workers, and returns what they return."""

    __slots__ = ("_stage",)

    def __init__(self, stage: Stage) -> None:
        """Belong to one play."""
        self._stage = stage

    def __call__(self, *workers: Starter, cancel: int | None = None) -> Any:
        """Run coroutines together, in the order that is being explored.

        Args:
            workers: Coroutines, or functions without arguments that make one.
            cancel: Cancel this worker (0 is the first) at some moment; every moment is explored.
                What it returns is then a ``CancelledError``, unless it ended before.

        Returns:
            What each worker returned, in a list; within a coroutine, something to await for it.
        """
        coroutines = [_coroutine(each) for each in workers]
        if cancel is not None and cancel not in range(len(coroutines)):
            for each in coroutines:
                each.close()
            msg = (
                f"run: cancel={cancel!r} names no worker. There are {len(coroutines)}, "
                "counted from 0. Write cancel=0 to cancel the first."
            )
            raise UsageError(msg)
        tasks = self._stage.start(coroutines)
        cancelled = None if cancel is None else tasks[cancel]
        waited = tasks if cancelled is None else [*tasks, self._stage.cancel(cancelled)]
        if self._stage.is_inside:
            return _together(waited, tasks, cancelled)
        self._stage.until(lambda: all(task.done() for task in waited))
        return _results(tasks, cancelled)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def _together(
    waited: list[asyncio.Task[Any]],
    tasks: list[asyncio.Task[Any]],
    cancelled: asyncio.Task[Any] | None,
) -> list[Any]:
    if waited:
        await asyncio.wait(waited)
    return _results(tasks, cancelled)


def _results(tasks: list[asyncio.Task[Any]], cancelled: asyncio.Task[Any] | None) -> list[Any]:
    """Return what each worker returned, or raise what the first one raised."""
    errors = {
        number: asyncio.CancelledError() if task.cancelled() else task.exception()
        for number, task in enumerate(tasks)
    }
    failed = {
        number: error
        for number, error in errors.items()
        if error is not None and not (tasks[number] is cancelled and tasks[number].cancelled())
    }
    if failed:
        (_, first), *others = failed.items()
        for number, error in others:
            first.add_note(f"Worker {number} raised {error!r} as well.")
        raise first
    return [errors[number] or task.result() for number, task in enumerate(tasks)]


def _coroutine(starter: Starter) -> Coroutine[Any, Any, Any]:
    made = starter if inspect.iscoroutine(starter) else starter()
    if not inspect.iscoroutine(made):
        msg = (
            f"run: {starter!r} is not a coroutine and does not make one. "
            "Workers are all coroutines or all functions. "
            "Write run(f(), g()) with async def f and async def g."
        )
        raise UsageError(msg)
    return made
