"""One play of coroutines: tasks are workers, and a point is an await that suspends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from contextlib import closing
from typing import Any

from pytest_concurrency.explore import awaits
from pytest_concurrency.explore.callables import EVERYTHING
from pytest_concurrency.explore.cancellations import Cancellations
from pytest_concurrency.explore.footprints import Footprints
from pytest_concurrency.explore.loop import Loop
from pytest_concurrency.explore.patches import Patches
from pytest_concurrency.explore.program import BODY, Ending, Guide, Trace, worker_name
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.special import ITEMS
from pytest_concurrency.explore.stalemate import Stopped, endless, stalemate
from pytest_concurrency.explore.unawaited import unseen
from pytest_concurrency.explore.watch import watched
from pytest_concurrency.explore.witness import Witness

_ALL = (EVERYTHING,)
PATIENCE = 200
"""How many steps a worker makes on end while others can run, before it is made to let them."""

_ENDLESS = 10_000


class TaskStage:
    """One play: tasks take turns as a guide says, and what happens is written down."""

    def __init__(
        self,
        guide: Guide,
        scope: Scope,
        footprints: Footprints,
        *,
        record: bool,
        explain: bool,
    ) -> None:
        """Set the stage.

        Args:
            guide: Who runs next.
            scope: Tells code under test from the rest.
            footprints: Knows what a step touches.
            record: Whether steps are wanted.
            explain: Whether it is noted who does what and holds which lock, for texts.
        """
        self._guide = guide
        self._explores = scope.has
        self._footprints = footprints
        self._explain = explain
        self._looks = footprints.is_open and not explain
        footprints.forget()
        self._record = record
        self._woken: set[int] = set()
        self._loop = Loop(scope.has)
        self._trace = Trace()
        self._witness = Witness(self._trace, scope) if explain else None
        self._cancellations = Cancellations(self._trace, self._loop, scope.has)
        self._running: int | None = None
        self._current: int | None = None
        self._left = 0
        self._streak = 0
        self._steps = 0
        self._plain = {BODY}
        self.workers = 1
        self._cancellers: set[int] = set()
        self._clock: int | None = None
        self._clock_is_able = False

    def perform(self, body: Callable[[], object]) -> Trace:
        """Play the body from its start to its end."""
        loop = self._loop
        if self._record:
            loop.ready.on_able = self._became_able
            loop.ready.on_unable = self._became_unable
            if self._looks:
                loop.on_birth = self._footprints.bear
                loop.on_unknown = self._footprints.touch_everything
        with closing(loop), Patches(loop, self._explores, trace=self._explain) as patches:
            try:
                self._trace.ending = self._ending(body)
            finally:
                self._close()
        if patches.dropped and self._trace.ending.kind == "passed":
            self._trace.ending = Ending(kind="failed", error=patches.dropped[0])
        return self._trace

    def _ending(self, body: Callable[[], object]) -> Ending:
        try:
            if self._witness is None:
                body()
            else:
                with watched(self._loop, self._explores), self._witness:
                    body()
        except (KeyboardInterrupt, SystemExit):
            raise
        except Stopped as stopped:
            return stopped.ending
        except BaseException as error:  # noqa: BLE001 - whatever ends the body is what it found
            return Ending(kind="failed", error=error)
        lost = self._loop.refused or unseen(self._loop)
        return Ending() if lost is None else Ending(kind="failed", error=lost)

    def count_from(self, worker: int) -> None:
        """Give the next worker this number."""
        self._loop.number_from(worker)

    @property
    def is_inside(self) -> bool:
        """Whether a step is running, so that one can only await."""
        return self._loop.is_running()

    def start(self, coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[asyncio.Task[Any]]:
        """Make tasks of coroutines, each a worker."""
        loop = self._loop
        if loop.is_running():
            tasks = [loop.create_task(each) for each in coroutines]
        else:
            with loop.running():
                tasks = [loop.create_task(each) for each in coroutines]
        self._plain.update(map(loop.worker, tasks))
        return tasks

    def cancel(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """Make a worker whose only step cancels a task, and let time pass before it if need be."""
        (canceller,) = self.start([cancel(task)])
        number = self._loop.worker(canceller)
        self._cancellers.add(number)
        self._plain.discard(number)
        if self._clock is None:
            self._clock = self._loop.add_clock()
        return canceller

    def until(self, done: Callable[[], bool]) -> None:
        """Run step after step until done."""
        outside = BODY not in self._loop.tasks
        if outside:
            self._change(BODY, able=False)
        loop = self._loop
        with loop.running():
            loop.settle()
            while not done():
                able = loop.ready.able() if self._clock is None else self._able(self._clock)
                if able:
                    self._step(able)
                elif not self._advance():
                    raise Stopped(loop.lost() or stalemate(loop, self._explores))
        if outside:
            self._change(BODY, able=True)

    def _step(self, able: list[int]) -> None:
        runs = self._loop.runs
        if len(runs) == 1 and BODY in runs:
            self._go(BODY)  # alone: there is nothing to choose, nor to count
            return
        worker = self._choose(able)
        if not self._record:
            self._go(worker)
            return
        trace = self._trace
        trace.workers.append(worker)
        trace.labels.append(self._label(worker) if self._explain else worker)
        trace.touched.append(_ALL)
        if self._looks:
            self._look_into(worker)
        else:
            self._go(worker)

    def _go(self, worker: int) -> None:
        loop = self._loop
        if worker == self._clock:
            self._advance()
            return
        self._running = worker
        ready = loop.ready
        ready.begin()
        step = ready.take(worker)
        if self._witness is None:
            step()
        else:
            self._witness.number = worker if len(loop.runs) > 1 else None
            step()
            self._witness.number = None
        loop.settle()
        if loop.threads.own:
            raise Stopped(loop.lost() or Ending())
        if self._explain:
            self._cancellations.note(self._cancellations.by_worker(worker, self._cancellers))
        self._running = None
        if self._record and worker not in ready.steps:
            self._change(worker, able=False)

    def _advance(self) -> bool:
        """Let time pass; false if nothing waits for it."""
        moved = self._loop.advance()
        self._loop.settle()
        if moved and self._explain:
            self._cancellations.note(": time is up")
        return moved

    def _look_into(self, worker: int) -> None:
        """Run a step, and note what it touches."""
        prints = self._footprints
        prints.begin()
        if worker == self._clock or worker in self._cancellers:
            prints.touch_everything()
        if worker in self._woken:
            self._woken.discard(worker)
            prints.touch(("wake", worker), write=False)
        try:
            self._go(worker)
            task = self._loop.tasks.get(worker)
            ended = task is not None and task.done()
            if ended:
                prints.touch((id(task), ITEMS), write=True)
        finally:
            self._trace.touched[-1] = prints.end()
        if ended:
            prints.occupy()

    def _able(self, clock: int) -> list[int]:
        """Return who can run; time counts as a worker where only a canceller is left to wait."""
        able = self._loop.ready.able()
        waits = bool(able) and self._cancellers.issuperset(able) and self._loop.has_timers()
        if waits != self._clock_is_able:
            self._clock_is_able = waits
            self._change(clock, able=waits)
        return [*able, clock] if waits else able

    def _choose(self, able: Sequence[int]) -> int:
        self._steps += 1
        if self._steps > _ENDLESS:
            raise Stopped(self._loop.lost() or endless(self._loop, self._explores, _ENDLESS))
        current = self._current if self._current in able else None
        if current is not None and self._streak >= PATIENCE and self._yield(able):
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
        return len(able) > 1 or not self._advance()

    def _became_able(self, worker: int) -> None:
        if worker == self._running:  # it goes on: it was able all the time
            return
        trace = self._trace
        trace.changes.append((len(trace.workers), worker, True))
        if self._footprints.touched is not None:
            self._woken.add(worker)
            self._footprints.touch(("wake", worker), write=True)

    def _became_unable(self, worker: int) -> None:
        self._change(worker, able=False)

    def joined(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Note that the step that runs comes after all that these workers did."""
        for task in tasks:
            self._footprints.touch(("worker", self._loop.worker(task)), write=False)

    def _change(self, worker: int, *, able: bool) -> None:
        if self._record:
            self._trace.changes.append((len(self._trace.workers), worker, able))

    def _label(self, worker: int) -> Hashable:
        task = self._loop.tasks.get(worker)
        return self._loop.name(worker) if task is None else awaits.label(task)

    def _close(self) -> None:
        loop, trace = self._loop, self._trace
        if self._record:
            for number, task in loop.tasks.items():
                if not task.done():
                    trace.pending[number] = (number, _ALL)
        trace.names = {
            number: f"{worker_name(number)} ({loop.name(number)})"
            for number in loop.runs
            if number not in self._plain
        }
        self.workers = len(loop.runs) + (BODY not in loop.runs)
        loop.wind_up()


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, as a worker of its own."""
    task.cancel()
