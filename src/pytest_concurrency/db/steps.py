"""One step of a session: done, failed, or waiting for another session."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from queue import SimpleQueue
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

from pytest_concurrency.db.place import started_at
from pytest_concurrency.db.waits import Wait
from pytest_concurrency.errors import BrokenPromise, InternalError
from pytest_concurrency.run.tally import error_line

if TYPE_CHECKING:
    from pytest_concurrency.db.deadlock import Deadlock

State = Literal["done", "failed", "waiting"]

FIRST_LOOK = 0.0003
NEXT_LOOK = 0.0005


class Looker(Protocol):
    """Asks the database whether a session's step waits."""

    timeout: float

    def look(self, session: str, since_ns: int) -> Wait | None:
        """Return what the session waits for since a moment; ``None`` if it does not."""
        ...

    def unsettled(self, wait: Wait, asking: frozenset[str]) -> Step | AsyncStep | None:
        """Return a step, not yet settled, of a session that blocks another."""
        ...

    def deadlock(self, error: BaseException) -> Deadlock | None:
        """Return the deadlock that ended a statement with this error."""
        ...

    def circle(self, session: str) -> tuple[str, ...]:
        """Return the sessions that wait for each other in a circle with this one; empty if none."""
        ...


class _Told:
    """What a step tells once it is settled, however it runs."""

    def __init__(self, *, session: str, text: str, looker: Looker) -> None:
        self.session = session
        self.text = text
        self._looker = looker
        self._ended = threading.Event()
        self._value: object = None
        self._error: BaseException | None = None
        self._wait: Wait | None = None
        self._place = started_at.get()
        self._is_seen = False

    @property
    def error(self) -> BaseException | None:
        """What the step raised; ``None`` unless it failed."""
        self._is_seen = True
        return self._error

    @property
    def cycle(self) -> tuple[str, ...]:
        """The sessions of the deadlock that ended this step, or holds it now; empty if none."""
        if not self._ended.is_set():
            return self._looker.circle(self.session)
        found = self._looker.deadlock(self.error) if self.error is not None else None
        return found.cycle if found else ()

    def _known(self) -> State:
        if not self._ended.is_set():
            return "waiting"
        return "done" if self.error is None else "failed"

    def _end(self, value: object, error: BaseException | None) -> None:
        self._value, self._error = value, error
        self._ended.set()

    def unseen_failure(self) -> str | None:
        """Return what the step raised, as text, if nobody has asked how it ended."""
        if self._is_seen or self._error is None:
            return None
        where = f"session {self.session!r}: its step at {self._place}"
        return (
            f"{where} failed, and nobody looked at it:\n"
            f"  {self.text}\n  {error_line(self._error, width=90)}\n"
            "Ask for step.result(), or for step.error if that is expected."
        )

    def _given(self) -> Any:
        if self.error is not None:
            raise self.error
        return self._value

    def _looks(self, asking: frozenset[str]) -> Iterator[Step | AsyncStep | float]:
        """Look until the step ended or waits: yields a pause, or another step to settle first."""
        asking |= {self.session}
        since = perf_counter_ns()
        deadline = since + int(self._looker.timeout * 1e9)
        self._wait = None
        yield FIRST_LOOK
        while not self._ended.is_set():
            wait = self._looker.look(self.session, since)
            # The answer may be older than the end of the step: the end decides.
            if wait is not None and not self._ended.is_set():
                first = self._looker.unsettled(wait, asking)
                if first is None:
                    self._wait = wait
                    return
                yield first
                asking |= {first.session}
                since = perf_counter_ns()
            if perf_counter_ns() > deadline:
                raise BrokenPromise(self._too_long())
            yield NEXT_LOOK
        self._wait = None

    def _too_long(self) -> str:
        return (
            f"session {self.session!r}: its step neither ends nor waits for a lock within "
            f"{self._looker.timeout:g} s:\n  {self.text}\n"
            "If the step takes that long, write separate_sessions(..., timeout=60)."
        )

    def _refuse_result(self, timeout: float) -> BrokenPromise:
        return BrokenPromise(
            f"session {self.session!r}: its step did not end within {timeout:g} s:\n"
            f"  {self.text}\n"
            f"It {self._wait or 'runs'}. End that transaction first: commit or roll back."
        )


@final
class Step(_Told):
    """A statement or call that a session was asked to start.

    Attributes:
        session: The session's name.
        text: The statement or the function's name.
    """

    @property
    def state(self) -> State:
        """``"done"``, ``"failed"``, or ``"waiting"`` for a lock; the database is asked anew."""
        self.settle()
        return self._known()

    @property
    def blocked_by(self) -> list[str]:
        """The names of the sessions that it waits for; empty unless it waits."""
        self.settle()
        return list(self._wait.blocked_by) if self._wait else []

    @property
    def lock(self) -> str | None:
        """What it waits for, such as ``row account(id=1)``; ``None`` unless it waits."""
        self.settle()
        return self._wait.lock if self._wait else None

    def result(self, *, timeout: float | None = None) -> Any:
        """Return what it returned, or raise what it raised, once it has ended.

        A statement returns its rows as a list; one without rows returns how many it changed.

        Args:
            timeout: How many seconds to wait for its end; the sessions' own by default.
        """
        __tracebackhide__ = True
        limit = self._looker.timeout if timeout is None else timeout
        if not self._ended.wait(limit):
            raise self._refuse_result(limit)
        return self._given()

    def settle(self, asking: frozenset[str] = frozenset()) -> None:
        """Return when it is known to have ended or to wait."""
        for pause in self._looks(asking):
            if isinstance(pause, float):
                self._ended.wait(pause)
            elif isinstance(pause, Step):
                pause.settle(asking | {self.session})

    def __repr__(self) -> str:
        """Return the session, the state and the text."""
        return f"<Step of {self.session!r}, {self._known()}: {self.text}>"


@final
class AsyncStep(_Told):
    """A statement or call that an async session was asked to start.

    It was settled when ``start`` returned; ``await step.settle()`` asks the database anew.
    """

    _task: asyncio.Task[None]

    @property
    def state(self) -> State:
        """``"done"``, ``"failed"``, or ``"waiting"`` for a lock."""
        return self._known()

    @property
    def blocked_by(self) -> list[str]:
        """The names of the sessions that it waits for; empty unless it waits."""
        return list(self._wait.blocked_by) if self._wait and not self._ended.is_set() else []

    @property
    def lock(self) -> str | None:
        """What it waits for; ``None`` unless it waits."""
        return self._wait.lock if self._wait and not self._ended.is_set() else None

    async def result(self, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109  (as in Step)
        """Return what it returned, or raise what it raised, once it has ended.

        Args:
            timeout: How many seconds to wait for its end; the sessions' own by default.
        """
        __tracebackhide__ = True
        limit = self._looker.timeout if timeout is None else timeout
        done, _ = await asyncio.wait([self._task], timeout=limit)
        if not done:
            raise self._refuse_result(limit)
        return self._given()

    async def settle(self, asking: frozenset[str] = frozenset()) -> None:
        """Return when it is known to have ended or to wait."""
        for pause in self._looks(asking):
            if isinstance(pause, float):
                await asyncio.wait([self._task], timeout=pause)
            elif isinstance(pause, AsyncStep):
                await pause.settle(asking | {self.session})

    def run(
        self, action: Callable[[], Awaitable[object]], appoint: Callable[[object], None]
    ) -> None:
        """Start in a task of its own."""

        async def body() -> None:
            appoint(asyncio.current_task())
            try:
                self._end(await action(), None)
            except Exception as error:  # noqa: BLE001  (the step holds it for its reader)
                self._end(None, error)
            except BaseException as error:
                self._end(None, error)
                raise

        self._task = asyncio.ensure_future(body())

    def __await__(self) -> Generator[Any, None, Any]:
        """Return its result."""
        return self.result().__await__()

    def __repr__(self) -> str:
        """Return the session, the state and the text."""
        return f"<AsyncStep of {self.session!r}, {self._known()}: {self.text}>"


@final
class StepThread:
    """The thread that runs one session's steps, one after the other."""

    def __init__(self, name: str, appoint: Callable[[object], None]) -> None:  # noqa: D107  (made by the session)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread: threading.Thread = threading.Thread(
            target=self._work, name=f"session {name}", daemon=True
        )
        appoint(self.thread)
        self.thread.start()

    def run(self, step: Step, action: Callable[[], object]) -> None:
        """Run what a step does, in the caller's context."""
        context = contextvars.copy_context()

        def job() -> None:
            try:
                step._end(context.run(action), None)  # noqa: SLF001
            except BaseException as error:  # noqa: BLE001  (the step holds it for its reader)
                step._end(None, error)  # noqa: SLF001

        self._jobs.put(job)

    def stop(self, timeout: float) -> None:
        """End the thread after its last job."""
        self._jobs.put(None)
        self.thread.join(timeout)
        if self.thread.is_alive():
            msg = f"the thread {self.thread.name!r} did not end within {timeout:g} s"
            raise InternalError(msg)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
