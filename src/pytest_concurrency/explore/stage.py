"""One schedule being played: who runs, who waits, and the baton between them."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Hashable, Sequence
from types import CodeType
from typing import Any, final

from pytest_concurrency.errors import InternalError
from pytest_concurrency.explore.held import Region, goes_on
from pytest_concurrency.explore.patience import SPIN, calm, let_time_pass
from pytest_concurrency.explore.program import EVERYTHING, FOREVER, Guide, Touch, Trace
from pytest_concurrency.explore.record import ends
from pytest_concurrency.explore.rescue import hand, leave, wait
from pytest_concurrency.explore.serials import Serials
from pytest_concurrency.explore.starts import Starts
from pytest_concurrency.explore.untold import telling, untold
from pytest_concurrency.explore.workers import Abandoned, Pool, Worker


@final
class Stage:
    """Hands the baton from worker to worker as a guide says, and writes down what happens.

    Only the worker that has the baton runs, so nothing here needs a lock.
    """

    __slots__ = (
        *("_fresh", "_parent", "_write", "aborting", "budget", "current", "diagnose", "draining"),
        *("eager", "enter", "guide", "hang", "ident", "leave", "live", "now", "own", "polling"),
        *("pool", "serials", "started", "starts", "steps", "telling", "tired", "together"),
        *("trace", "verdict", "watch", "workers", "yields"),
    )

    def __init__(self, guide: Guide, pool: Pool, *, hang: float) -> None:
        """Set the stage for one play.

        Args:
            guide: Who runs next.
            pool: Where threads come from.
            hang: Seconds without progress that count as hung.
        """
        self.guide = guide
        self.pool = pool
        self.hang = hang
        trace = self.trace = Trace()
        self._write = trace.workers.append, trace.labels.append, trace.touched.append
        body = Worker(0, None, lambda: None)
        self.workers: list[Worker] = [body]
        self.live: list[Worker] = [body]
        self.current = body
        self.ident = body.ident
        self.budget = FOREVER
        self.started = 0
        self.now: float = 0.0
        self.verdict: BaseException | None = None
        self.aborting = False
        self.polling = False
        self.eager = False
        self.starts = Starts()
        self.draining = False
        self.steps = 0
        self.tired = SPIN
        self.yields = False
        self.serials = Serials()
        self._fresh: list[Worker] = []
        self._parent: Worker | None = None
        self.together: Sequence[Region] = ()
        self.telling = False
        self.watch: Callable[[Worker, Hashable, tuple[Touch, ...]], None] | None = None
        self.enter: Callable[[], None] = lambda: None
        self.leave: Callable[[], None] = lambda: None
        self.own: Callable[[CodeType], bool] = lambda _code: True
        self.diagnose: Callable[[Stage], BaseException] = lambda _stage: InternalError("stuck")

    def point(self, label: Hashable, touches: tuple[Touch, ...]) -> None:
        """Pause here if the guide says so; then write the step down."""
        if not self.started:
            return
        worker = self.current
        if worker.open is not None:
            touches = (*touches, *worker.open[1])
        if self.budget <= 0 or self.together:
            inside = goes_on(self) if self.together else False
            if self.budget <= 0 and not inside:
                self._pause(label, touches)
        self.budget -= 1
        self._note(worker, label, touches)

    def _note(self, worker: Worker, label: Hashable, touches: tuple[Touch, ...]) -> None:
        if self.watch is not None:
            with telling(self):
                self.watch(worker, label, touches)
        add_worker, add_label, add_touches = self._write
        add_worker(worker.number)
        add_label(label)
        add_touches(touches)
        self.steps += 1
        if self.steps > self.tired:
            calm(self)

    def passes(self, label: Hashable, touches: tuple[Touch, ...], op: str) -> bool:
        """Write an operation of a free lock down, if the worker cannot be paused before it."""
        worker = self.current
        if self.budget <= 0 or not self.started or self.telling or self.together or worker.open:
            return False
        self.budget -= 1
        self.trace.locks[self.steps] = (op, touches[0][0])
        self._note(worker, label, touches)
        return True

    def operate(
        self,
        label: Hashable,
        touches: tuple[Touch, ...],
        ready: Callable[[], bool] | None = None,
        *,
        seconds: float | None = None,
        wants: Any = None,
        op: str | None = None,
        key: Hashable = None,
    ) -> bool:
        """Pause until an operation can be done; tell whether it can, or the time was up.

        Args:
            label: Which operation, where.
            touches: What it touches.
            ready: Whether it can be done now; called only while nobody runs.
            seconds: How long to wait at most, in virtual time.
            wants: What it waits for, for texts.
            op: ``acquire``, ``try`` or ``release`` of a lock.
            key: The lock.
        """
        if self.telling:
            return untold(ready)
        worker, done = self.current, True
        if worker.open is not None:
            touches = (*touches, *worker.open[1])
        if ready is not None and not ready():
            self._block(worker, seconds)
        inside = goes_on(self) if self.together else False
        if not worker.able or (self.budget <= 0 and self.started and not inside):
            worker.ready, worker.wants = ready, wants
            self._pause(label, touches)
            done = self._goes_on(worker)
        if self.started:
            self.budget -= 1
            if op is not None:
                self.trace.locks[self.steps] = (op if done else "try", key)
            self._note(worker, label, touches if done else (*touches, EVERYTHING))
        return done

    def _block(self, worker: Worker, seconds: float | None) -> None:
        worker.able = False
        if not worker.arrived:
            self._missed(worker)
        worker.deadline = None if seconds is None else self.now + max(seconds, 0.0)
        self.changed(worker)

    def _missed(self, worker: Worker) -> None:
        """Take note if a worker that was thought able to run could not make a single step."""
        worker.arrived = True
        if worker.number not in self.trace.workers:
            self.starts.missed(worker.call)

    @staticmethod
    def _goes_on(worker: Worker) -> bool:
        """Let a worker want nothing any more; tell whether it got what it wanted."""
        done = not worker.timed_out
        worker.ready = worker.wants = worker.deadline = None
        worker.timed_out = False
        return done

    def refresh(self, changed: Any = None) -> None:
        """Find out anew who can run, after something changed that they wait for, or anything."""
        everyone = changed is None or self.polling
        for worker in self.live:
            if (everyone or worker.wants is changed) and worker.ready and not worker.timed_out:
                able = worker.ready()
                if able != worker.able:
                    worker.able = able
                    self.changed(worker)

    def changed(self, worker: Worker) -> None:
        """Write down that a worker became able, or unable, to run."""
        trace = self.trace
        trace.changes.append((len(trace.workers), worker.number, worker.able))

    def _pause(self, label: Hashable, touches: tuple[Touch, ...]) -> None:
        worker = self.current
        worker.pending = (label, touches)
        target = self._after(worker)
        if target is not worker:
            self.tired = self.steps + SPIN
            wait(self, worker, target)
        worker.pending = None
        if self.aborting or self.verdict is not None:
            leave(self, worker)

    def _after(self, worker: Worker) -> Worker:
        """Return who goes on when a worker pauses or ends: new workers first, up to a point."""
        if not self._fresh or self.aborting:
            return self._next(worker.number if worker.able else None)
        if worker is self._fresh[0]:
            self._fresh.pop(0)
            if worker.pending is not None:
                self.starts.saw(worker.call, worker.pending[0])
        if self._fresh:
            self.budget = 0
            return self._fresh[0]
        parent, self._parent = self._parent, None
        return parent or self._next(None)

    def _next(self, current: int | None) -> Worker:
        if self.aborting:
            return self.workers[0]
        if self.polling:
            self.refresh()
            if current is not None and not self.workers[current].able:
                current = None
        while True:
            able = [worker.number for worker in self.live if worker.able]
            if self.yields and current is not None and len(able) > 1:
                able.remove(current)
                current = None
            self.yields = False
            if able and not self.started:  # nothing is a step yet, so the guide is not asked
                return self.workers[0]
            if able:
                number, self.budget = self.guide.choose(current, able)
                return self.workers[number]
            if self.draining and all(worker.daemon for worker in self.live[1:]):
                return self.workers[0]
            if not let_time_pass(self):
                self.verdict = self.verdict or self.diagnose(self)
                return self.workers[0]

    def start(self, call: Callable[[], Any], *, arrives: bool = True) -> Worker:
        """Make a new worker, which can run from now on.

        Args:
            call: What it does.
            arrives: Whether it comes to its first point now, so that it is known what it stands
                before; else it does when the starting worker waits next, or, if it does nothing
                before that point, when it is chosen.
        """
        ident, self.ident = self.ident, 0  # a new thread is started with the real thing
        seat = self.pool.take()
        self.ident = ident
        worker = Worker(len(self.workers), seat, call)
        seat.job = lambda: self._work(worker)
        self.workers.append(worker)
        self.live.append(worker)
        self.started += 1
        if self.started == 1:
            self.budget = 0
        self.changed(worker)
        worker.arrived = arrives or self.eager or not self.starts.can_wait(call)
        if worker.arrived:
            self._fresh.append(worker)
        if arrives:
            self._arrive()
        return worker

    def _arrive(self) -> None:
        self._parent = parent = self.current
        budget, self.budget = self.budget, 0
        wait(self, parent, self._fresh[0])
        self.budget = budget
        if self.aborting or self.verdict is not None:
            leave(self, parent)

    def _work(self, worker: Worker) -> None:
        try:
            if not self.aborting:
                self.enter()
                worker.value = contextvars.Context().run(worker.call)
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever a worker raises is its result
            worker.error = error
        self.leave()
        if not worker.arrived:
            self._missed(worker)
        worker.ended = True
        worker.able = False
        if worker in self.live:
            ends(self.trace, worker)
            self.live.remove(worker)
            self.changed(worker)
            self.refresh()
            hand(self, self._after(worker))

    def finish(self) -> None:
        """Let all workers run to their ends, after the body has returned."""
        self.draining = True
        if len(self.live) > 1:
            self.operate(("end",), (), lambda: len(self.live) == 1)
        self.workers[0].ended = True
