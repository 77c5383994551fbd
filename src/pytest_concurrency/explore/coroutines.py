"""Coroutines as a program: a body whose workers are tasks, paused where they await."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeAlias

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.comparison import conflicting
from pytest_concurrency.explore.emptiness import alone
from pytest_concurrency.explore.exploration import Exploration
from pytest_concurrency.explore.explorer import explore
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.footprints import Footprints
from pytest_concurrency.explore.garbage import tidy
from pytest_concurrency.explore.program import BODY, Guide, Trace
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.tasks import PATIENCE, TaskStage

_TOGETHER = 2
"""The body and one worker: too few to come in different orders."""

Looks: TypeAlias = Literal["if it pays", "always", "never"]
"""When steps are looked into."""

_MANY_SCHEDULES = 80
"""From how many on, with two preemptions, it may pay to know which steps are independent."""

_MANY_CONFLICT = 0.6
"""The share of steps with a conflict up to which it does."""

Starter: TypeAlias = "Callable[[], Awaitable[Any]] | Coroutine[Any, Any, Any]"
"""A coroutine, or what makes one."""


class OnALoop(BaseException):
    """Ends the first play of a body that turns out to run coroutines: it needs a loop."""


def refuse_coroutines(given: Iterable[object]) -> None:
    """Raise `OnALoop` if any of the calls given to ``run``, or of their results, is a coroutine.

    Args:
        given: Calls or results; coroutines among them are closed.
    """
    found = [each for each in given if inspect.iscoroutine(each)]
    for each in found:
        each.close()
    if found or any(callable(each) and inspect.iscoroutinefunction(each) for each in given):
        raise OnALoop


def explore_coroutines(body: Callable[..., Any], settings: Settings) -> Exploration:
    """Explore a body whose workers are coroutines: what `interleave` does with one.

    Args:
        body: A function or coroutine function; its argument starts the workers.
        settings: How far, what first, and how to replay.
    """
    __tracebackhide__ = True
    with TaskProgram(body, settings) as program:
        found = explore(program, settings)
        if program.most_together < _TOGETHER:
            raise NothingExplored(alone())
    return found


class TaskProgram:
    """A body whose workers are coroutines, played again and again, each time on a loop of ours."""

    def __init__(
        self, body: Callable[..., Any], settings: Settings, *, looks: Looks = "if it pays"
    ) -> None:
        """Make a program of a body.

        Args:
            body: A function or coroutine function; its argument starts the workers.
            settings: What counts as code under test.
            looks: Whether steps are looked into, to find out which are independent. They must
                not if they have an effect that the code under test does not show.
        """
        self._undecided = looks == "if it pays"
        self._body = body
        self._scope = Scope(settings.packages)
        self._footprints = Footprints(self._scope)
        self._always = looks == "always"
        self.most_together = 0
        self.patience = PATIENCE

    def __enter__(self) -> Self:
        """Begin; nothing outside a play is touched, unless it pays to look into the code."""
        if self._always:
            self._footprints.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking; nothing is left behind."""
        self._footprints.close()

    def play(self, guide: Guide, *, record: bool = True, explain: bool = False) -> Trace:
        """Run the body once, its workers in the order that the guide chooses."""
        trace = self._play(guide, record=record, explain=explain)
        if self._undecided and record and not explain and trace.ending.kind == "passed":
            self._undecided = False
            others = len({*trace.workers} - {BODY}) - 1
            if (len(trace.workers) * others) ** 2 / 2 >= _MANY_SCHEDULES:
                return self._looked_into(trace)
        return trace

    def _looked_into(self, trace: Trace) -> Trace:
        """Play again what was played without a plan, looking, if it pays.

        To look costs more than half of the speed, so steps must be independent enough. They are
        asked while the workers take turns: the objects of one that ended make room for others.
        """
        self._footprints.open()
        if self._footprints.is_open:
            turns = self._play(Turns(), record=True, explain=False)
            if turns.ending.kind == "passed" and conflicting(turns) < _MANY_CONFLICT:
                again = self._play(Plan([]), record=True, explain=False)
                if again.workers == trace.workers and again.ending.kind == "passed":
                    return again
            self._footprints.close()
        return trace

    def _play(self, guide: Guide, *, record: bool, explain: bool) -> Trace:
        tidy()
        stage = TaskStage(
            guide, self._scope, self._footprints, record=record or explain, explain=explain
        )
        run = Run(stage)
        trace = stage.perform(partial(self._perform, stage, run))
        # A body waits for those that it runs, and goes on beside tasks that it makes itself.
        beside = stage.workers - 1 - run.started
        alone = beside == 0 or not inspect.iscoroutinefunction(self._body)
        self.most_together = max(self.most_together, stage.workers - alone)
        return trace

    def _perform(self, stage: TaskStage, run: Run) -> None:
        if not inspect.iscoroutinefunction(self._body):
            stage.count_from(BODY + 1)
            self._body(run)
            return
        (task,) = stage.start([self._body(run)])
        stage.until(task.done)
        task.result()


class Turns:
    """A guide that lets each worker do one step in its turn."""

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Name the next one."""
        return next((each for each in able if current is None or each > current), able[0]), 1


class Run:
    """Starts workers, and returns what they return."""

    __slots__ = ("_stage", "started")

    def __init__(self, stage: TaskStage) -> None:
        """Belong to one play."""
        self._stage = stage
        self.started = 0

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
        self.started += len(coroutines)
        tasks = self._stage.start(coroutines)
        cancelled = None if cancel is None else tasks[cancel]
        waited = tasks if cancelled is None else [*tasks, self._stage.cancel(cancelled)]
        if self._stage.is_inside:
            return self._together(waited, tasks, cancelled)
        left = [*waited]

        def done() -> bool:
            while left and left[-1].done():
                left.pop()
            return not left

        self._stage.until(done)
        return _results(tasks, cancelled)

    async def _together(
        self,
        waited: list[asyncio.Task[Any]],
        tasks: list[asyncio.Task[Any]],
        cancelled: asyncio.Task[Any] | None,
    ) -> list[Any]:
        left = set(waited)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(task: asyncio.Task[Any]) -> None:
            left.discard(task)
            if not left and not ended.done():
                ended.set_result(None)

        for task in waited:
            task.add_done_callback(end)
        if waited:
            await ended
        self._stage.joined(waited)
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
    made = starter() if callable(starter) else starter
    if not inspect.iscoroutine(made):
        msg = (
            f"run: {starter!r} is not a coroutine and does not make one. "
            "Workers are all coroutines or all functions. "
            "Write run(f(), g()) with async def f and async def g."
        )
        raise UsageError(msg)
    return made
