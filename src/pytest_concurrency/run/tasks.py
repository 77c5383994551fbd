"""Workers as tasks of an event loop: the caller's own, or one made for a synchronous caller."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic_ns
from typing import Any, Protocol, final

from pytest_concurrency.run.gate import GateAborted
from pytest_concurrency.run.hang import Hanging, examine, examine_threads, waits_elsewhere
from pytest_concurrency.run.recording import Ending, Recording, is_fatal
from pytest_concurrency.run.stack import task_frames
from pytest_concurrency.run.threads import GRACE


class _Event(Protocol):
    def set(self) -> None: ...
    async def wait(self) -> object: ...


@final
class TaskGate:
    """A gate for tasks, of whichever library's events."""

    def __init__(self, parties: int, make_event: Callable[[], _Event]) -> None:
        """Make a gate for ``parties`` tasks."""
        self._parties = parties
        self._make_event = make_event
        self._event = make_event()
        self._arrived = 0
        self._aborted = False

    async def wait(self) -> None:
        """Wait until all have arrived; raise ``GateAborted`` if the gate is shut."""
        self._arrived += 1
        event = self._event
        if self._arrived == self._parties:
            self._arrived, self._event = 0, self._make_event()
            event.set()
        await event.wait()
        if self._aborted:
            raise GateAborted

    def abort(self) -> None:
        """Shut the gate for good."""
        self._aborted = True
        self._event.set()


@final
class TaskCrew:
    """The tasks of one run, whatever library runs them."""

    def __init__(self, recording: Recording, make_event: Callable[[], _Event]) -> None:
        """Prepare the crew; no task runs yet."""
        self.recording: Recording = recording
        self.gate: TaskGate = TaskGate(recording.plan.workers, make_event)
        self.running: list[Coroutine[Any, Any, Any] | None] = [None] * recording.plan.workers
        self._is_ending = False

    def end(self) -> None:
        """Let nobody start another call; whoever is cancelled from now on has to go."""
        self._is_ending = True
        self.gate.abort()

    async def work(self, index: int) -> None:
        """Make all calls of one worker, in all rounds, and record them."""
        try:
            for round_ in range(self.recording.plan.rounds):
                self.recording.workers[index].round = round_
                await self.gate.wait()
                await self._round(index, round_)
        except GateAborted:
            pass
        finally:
            self.recording.has_ended[index] = True

    async def _round(self, index: int, round_: int) -> None:
        worker = self.recording.workers[index]
        for step in self.recording.plan.steps[index]:
            value, error = None, None
            begun = monotonic_ns()
            try:
                self.running[index] = coroutine = step.bind(worker)()
                value = await coroutine
            except BaseException as raised:  # nothing a worker raises is lost
                if self._has_to_go(raised):
                    raise
                error = raised
            self.recording.rows[index].append((index, round_, begun, monotonic_ns(), value, error))
            if error is not None and is_fatal(error):
                self.recording.fatal = self.recording.fatal or error
                self.gate.abort()
                raise GateAborted

    def _has_to_go(self, error: BaseException) -> bool:
        """Tell the end of the run from a call that cancels itself, which is an error of its own."""
        if isinstance(error, asyncio.CancelledError) and not self._is_ending:
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            return False
        return type(error).__name__ in ("Cancelled", "CancelledError")

    def examine(self) -> tuple[Hanging, ...]:
        """Look at the tasks that have not ended."""
        stuck = self.recording.stuck()
        frames = {index: task_frames(self.running[index]) for index in stuck}
        others = {f"worker {index}": (None, frames[index]) for index in stuck}
        told = waits_elsewhere()
        known = {index: told.get(self.running[index], "") for index in stuck}
        return tuple(examine(index, frames[index], others, told=known[index]) for index in stuck)


async def run_asyncio(recording: Recording, timeout: float | None) -> Ending:  # noqa: ASYNC109
    """Run all workers as tasks of the running asyncio loop."""
    crew = TaskCrew(recording, asyncio.Event)
    tasks = [
        asyncio.create_task(crew.work(worker.index), name=worker.name)
        for worker in recording.workers
    ]
    try:
        pending = await _wait_for_end(recording, tasks, timeout)
        hanging = crew.examine() if pending and recording.fatal is None else ()
    finally:
        crew.end()
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=GRACE)
    return Ending(
        hanging=hanging, left_running=tuple(task.get_name() for task in tasks if task in left)
    )


async def _wait_for_end(
    recording: Recording, tasks: list[asyncio.Task[None]], limit: float | None
) -> set[asyncio.Task[None]]:
    loop = asyncio.get_running_loop()
    end = None if limit is None else loop.time() + limit
    pending = set(tasks)
    while pending and recording.fatal is None:
        rest = None if end is None else max(0.0, end - loop.time())
        done, pending = await asyncio.wait(
            pending, timeout=rest, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
    return pending


async def run_trio(recording: Recording, timeout: float | None) -> Ending:  # noqa: ASYNC109
    """Run all workers as tasks of the running trio loop."""
    import trio

    crew = TaskCrew(recording, trio.Event)
    hanging: tuple[Hanging, ...] = ()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def work(index: int) -> None:
                await crew.work(index)
                if recording.fatal is not None or not recording.stuck():
                    nursery.cancel_scope.cancel()

            for worker in recording.workers:
                nursery.start_soon(work, worker.index, name=worker.name)
            await trio.sleep(float("inf") if timeout is None else timeout)
            hanging = crew.examine()
            scope.cancel()
    return Ending(hanging=hanging)


def pick_library() -> Callable[[Recording, float | None], Awaitable[Ending]] | None:
    """Return how to run tasks where the caller is: in asyncio, in trio, or in no loop at all."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return run_trio
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return run_asyncio


@final
class OwnLoop:
    """An event loop in a thread of its own, so that a call that blocks it can be reported."""

    def __init__(self, recording: Recording, *, title: str) -> None:
        """Prepare the loop; nothing runs yet."""
        self.recording = recording
        self._title = title
        self._done = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[Any] | None = None
        self._ending: Ending | None = None
        self._error: BaseException | None = None

    def run(self, timeout: float | None) -> Ending:
        """Run all workers to their end, or to the deadline."""
        thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._serve, timeout),
            name=f"{self._title} event loop".strip(),
            daemon=True,
        )
        thread.start()
        try:
            in_time = self._done.wait(None if timeout is None else timeout + 3 * GRACE)
        except BaseException:
            self._cancel()
            thread.join(2 * GRACE)
            raise
        if not in_time:
            return self._blocked(thread)
        thread.join(GRACE)
        if self._error is not None:
            raise self._error
        return self._ending or Ending()

    def _serve(self, timeout: float | None) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._ending = runner.run(self._main_task(timeout))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        finally:
            self._done.set()

    async def _main_task(self, limit: float | None) -> Ending:
        self._main = asyncio.current_task()
        return await run_asyncio(self.recording, limit)

    def _cancel(self) -> None:
        if self._loop is not None and self._main is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._main.cancel)

    def _blocked(self, thread: threading.Thread) -> Ending:
        """Tell which task keeps the loop to itself."""
        stuck = self.recording.stuck()
        task = asyncio.current_task(self._loop) if self._loop is not None else None
        names = {worker.name: worker.index for worker in self.recording.workers}
        index = names.get(task.get_name(), stuck[0]) if task is not None else stuck[0]
        found = examine_threads({index: thread.ident})[0]
        reason = f"{found.reason}; " if found.reason else ""
        blocker = Hanging(
            worker=index,
            places=found.places,
            reason=f"{reason}blocks the event loop: this call does not await",
        )
        waiting = [
            Hanging(worker=other, places=(), reason="waits for the event loop")
            for other in stuck
            if other != index
        ]
        self._cancel()
        return Ending(hanging=(blocker, *waiting), left_running=(thread.name,))
