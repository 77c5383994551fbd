"""Workers as threads."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, monotonic_ns
from types import CoroutineType
from typing import Any, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.run.gate import Gate, GateAborted
from pytest_concurrency.run.hang import examine_threads
from pytest_concurrency.run.plan import describe
from pytest_concurrency.run.recording import Countdown, Ending, Recording, is_fatal
from pytest_concurrency.run.stop import LOST_STOPS, WorkerStopped, stop_threads
from pytest_concurrency.run.tally import count

SWITCH_INTERVAL = 5e-5
"""How long a worker may keep the interpreter while others want it, in seconds.

With Python's own five milliseconds a short call is over before the next worker wakes.
"""
SHARE = 1e-5
"""Its least share for each worker: all that wait ask once per interval, and asking takes time."""
GRACE = 0.5
"""How long a worker that was asked to stop may take, in seconds."""
NUDGE = 0.01
"""How often, in seconds, its thread is made to look whether it was asked, before Python 3.13."""


class _Switching:
    """The interpreter's switch interval while any run is on, and as it was afterwards."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs = 0
        self._before = 0.0

    @contextmanager
    def shortened(self, workers: int) -> Iterator[None]:
        with self._guard:
            if self._runs == 0:
                self._before = sys.getswitchinterval()
                interval = max(SWITCH_INTERVAL, SHARE * workers)
                sys.setswitchinterval(min(interval, self._before))
            self._runs += 1
        try:
            yield
        finally:
            with self._guard:
                self._runs -= 1
                if self._runs == 0:
                    sys.setswitchinterval(self._before)


_SWITCHING = _Switching()


def record_worker(recording: Recording, gate: Gate, index: int) -> None:
    """Make all calls of one worker, in all rounds, and record them."""
    worker = recording.workers[index]
    calls = [step.bind(worker) for step in recording.plan.steps[index]]
    note = recording.rows[index].append
    clock = monotonic_ns
    value: Any
    error: BaseException | None
    for round_ in range(recording.plan.rounds):
        worker.round = round_
        gate.wait(index)
        for call in calls:
            value, error = None, None
            begun = clock()
            try:
                value = call()
            except WorkerStopped:
                raise
            except BaseException as raised:  # noqa: BLE001 - nothing a worker raises is lost
                error = raised
            ended = clock()
            if type(value) is CoroutineType:
                value, error = None, refuse_coroutine(value)
            note((index, round_, begun, ended, value, error))
            if error is not None and is_fatal(error):
                recording.fatal = recording.fatal or error
                gate.abort()
                return


def refuse_coroutine(value: CoroutineType[Any, Any, Any]) -> UsageError:
    """Close a coroutine that a plain function returned, and say what to pass instead."""
    value.close()
    name = describe(value)
    return UsageError(
        f"concurrent_runner(): the call returned the coroutine {name}, which nobody awaits. "
        f"Pass the coroutine function itself: concurrent_runner({name})."
    )


@final
class ThreadCrew:
    """The threads of one run."""

    def __init__(self, recording: Recording, *, title: str) -> None:
        """Prepare the crew; no thread runs yet."""
        self.recording: Recording = recording
        self._gate = Gate(recording.plan.workers)
        self._countdown = Countdown(recording.plan.workers)
        self._stopping = threading.RLock()
        self._begun = [False] * recording.plan.workers
        self.threads: list[threading.Thread] = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._work, worker.index),
                name=f"{title} {worker.name}".strip(),
                daemon=True,
            )
            for worker in recording.workers
        ]

    def _work(self, index: int) -> None:
        try:
            self._begun[index] = True
            with suppress(GateAborted):
                record_worker(self.recording, self._gate, index)
            self._leave(index)
        except WorkerStopped:  # on the way in or out, if not in a call
            self._leave(index)
        except BaseException:
            self._leave(index)
            raise

    def _leave(self, index: int) -> None:
        """End one worker; a stop that comes too late for its calls must not strike outside."""
        try:
            with self._stopping:
                self.recording.has_ended[index] = True
            for _ in range(2):  # a stop that was sent by now strikes here at the latest
                pass
        except WorkerStopped:  # at any point above, perhaps with the lock just taken
            self.recording.has_ended[index] = True
            with suppress(RuntimeError):
                self._stopping.release()
        self._countdown.step()
        if self.recording.fatal is not None:
            self._countdown.cut()

    def run(self, timeout: float | None) -> Ending:
        """Run all workers to their end, or to the deadline."""
        with _SWITCHING.shortened(len(self.threads)):
            try:
                self._start()
                in_time = self._countdown.wait(timeout)
            except BaseException:
                self.stop()
                raise
        if in_time and self.recording.fatal is None:
            for thread in self.threads:
                thread.join(GRACE)
            return Ending()
        stuck = {index: self.threads[index].ident for index in self.recording.stuck()}
        hanging = [] if in_time else examine_threads(stuck)
        return Ending(hanging=tuple(hanging), left_running=tuple(self.stop()))

    def _start(self) -> None:
        for number, thread in enumerate(self.threads):
            try:
                thread.start()
            except RuntimeError as error:
                self._gate.abort()
                for started in self.threads[:number]:
                    started.join(GRACE)
                msg = (
                    f"concurrent_runner(workers={len(self.threads)}): the system starts only "
                    f"{count(number, 'thread')} ({error}). "
                    f"Use workers={max(1, number // 2)}, or rounds=."
                )
                raise UsageError(msg) from None

    def stop(self) -> list[str]:
        """End whoever still runs; return the names of the threads that did not obey."""
        self._gate.abort()
        with LOST_STOPS.kept() as lost:
            self._stop(only=None)
            alive = [thread for thread in self.threads if thread.is_alive()]
            limit = monotonic() + GRACE
            for thread in alive:
                while thread.is_alive() and (rest := limit - monotonic()) > 0:
                    thread.join(min(rest, NUDGE))
                    if lost:
                        self._stop(only=lost)
        return [thread.name for thread in alive if thread.is_alive()]

    def _stop(self, *, only: set[int] | None) -> None:
        """Stop who is at work; who is not yet will find the gate shut."""
        with self._stopping:
            stuck = [
                self.threads[each].ident for each in self.recording.stuck() if self._begun[each]
            ]
            idents = [one for one in stuck if one is not None and (only is None or one in only)]
            if only is not None:
                only.difference_update(idents)
            stop_threads(idents)
