"""One session per worker, each on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, final, overload

from pytest_concurrency.db import drivers
from pytest_concurrency.db.async_sessions import AsyncSessions
from pytest_concurrency.db.busy import make_patient
from pytest_concurrency.db.closing import (
    UNBLOCKED,
    close,
    free_name,
    roll_back,
    tell,
    verify,
)
from pytest_concurrency.db.connection import current_worker
from pytest_concurrency.db.opening import check_engine, check_options, named, no_attribute, not_open
from pytest_concurrency.db.scope import Scope
from pytest_concurrency.db.watch import NAME_OPTION, EngineWatch
from pytest_concurrency.errors import BrokenPromise, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pytest_concurrency.db.worker_session import WorkerSession


_MOMENT = 0.001


@overload
def separate_sessions(
    *names: str | int,
    engine: AsyncEngine,
    watch: EngineWatch | None = None,
    timeout: float = 10.0,
    **options: Any,
) -> AsyncSessions: ...
@overload
def separate_sessions(
    *names: str | int,
    engine: Engine,
    watch: EngineWatch | None = None,
    timeout: float = 10.0,
    **options: Any,
) -> Sessions: ...
def separate_sessions(
    *names: str | int,
    engine: Engine | AsyncEngine,
    watch: EngineWatch | None = None,
    timeout: float = 10.0,
    **options: Any,
) -> Sessions | AsyncSessions:
    """Open sessions for workers, each on a connection of its own, with real commits.

    ``with separate_sessions("ann", "bob", engine=engine) as (ann, bob):`` opens two by name,
    ``separate_sessions(3, engine=engine)`` three by number; with ``as sessions``, each worker gets
    its own by ``sessions.own()``. Leaving the block rolls back and closes; when an error leaves
    it, the error carries the timeline of all statements.

    Args:
        names: The sessions' names, or one number of sessions.
        engine: The engine; an async one gives async sessions, for ``async with``.
        watch: The watch of that engine, if there is one already.
        timeout: How many seconds a step may neither end nor wait for a lock.
        options: Passed to each ``Session``, such as ``expire_on_commit=False``.
    """
    __tracebackhide__ = True
    check_engine(engine, "separate_sessions(engine=...)")
    check_options(timeout, options)
    scope = Scope(engine, watch=watch, timeout=timeout)
    wanted = _names(names)
    if drivers.is_async(engine):
        return AsyncSessions(engine, wanted, scope, options)
    return Sessions(scope.engine, wanted, scope, options)


def _names(names: tuple[str | int, ...]) -> tuple[str, ...]:
    if len(names) == 1 and isinstance(names[0], int) and not isinstance(names[0], bool):
        if names[0] >= 1:
            return tuple(map(str, range(names[0])))
    elif all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
        return tuple(map(str, names))
    given = ", ".join(map(repr, names))
    msg = (
        f"separate_sessions({given}): names are different texts, or one number >= 1. "
        "Write separate_sessions('ann', 'bob') or separate_sessions(2)."
    )
    raise UsageError(msg)


@final
class Sessions:
    """The open sessions: a sequence in the order of their names."""

    def __init__(  # noqa: D107  (made by separate_sessions)
        self, engine: Engine, names: tuple[str, ...], scope: Scope, options: dict[str, Any]
    ) -> None:
        self._engine = engine
        self._names = names
        self._scope = scope
        self._options = options
        self._open: dict[str, tuple[WorkerSession, Connection]] = {}
        self._is_open = False
        self._owned: dict[object, WorkerSession] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Sessions:
        """Open them."""
        self._scope.open(len(self._names))
        self._is_open = True
        for name in self._names:
            self._add(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back, close, verify; tell an error what was sent."""
        tell(error, self._scope)
        try:
            if error is not None:
                self._end_the_busy()
            self._let_steps_end()
            for session, connection in self._open.values():
                close(session, connection)
            verify(self._scope)
        except BrokenPromise as broken:
            if error is None:
                raise
            error.add_note(f"\n{broken}")  # what went wrong first is the failure
        finally:
            self._scope.close()

    def __iter__(self) -> Iterator[WorkerSession]:
        """Iterate over the sessions that were opened by name or number."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names)
        return iter([self._open[name][0] for name in self._names])

    def __len__(self) -> int:
        """Return how many were opened by name or number."""
        return len(self._names)

    def __getitem__(self, key: int | str) -> WorkerSession:
        """Return the session of a name or number."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names)
        return self._open[named(key, self._names, self._open)][0]

    def own(self) -> WorkerSession:
        """Return the calling worker's own session, opened at its first call."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names)
        me = current_worker()
        with self._lock:
            if me not in self._owned:
                self._owned[me] = self._add(free_name(me, self._open))
            return self._owned[me]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say how to come to a session, which has what this has not."""
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(name)
            raise no_attribute(self._names, name)

    def timeline(self) -> str:
        """Return all statements of all sessions, with what waited for what."""
        return self._scope.timeline()

    def _add(self, name: str) -> WorkerSession:
        from pytest_concurrency.db.worker_session import WorkerSession

        connection = self._engine.connect().execution_options(**{NAME_OPTION: name})
        found = self._scope.watch.of(connection)
        found.session = name
        if self._engine.dialect.name == "sqlite":
            make_patient(connection.connection, found)
        session = WorkerSession(name=name, scope=self._scope, bind=connection, **self._options)
        self._open[name] = (session, connection)
        self._scope.add(session, lambda: connection)
        return session

    def _end_the_busy(self) -> None:
        """End what workers that did not end are doing in the database, so that they can."""
        deadline = monotonic() + UNBLOCKED
        for session, _ in self._open.values():
            if not session._ownership.is_free():  # noqa: SLF001
                self._scope.cancel(session.name)
            while not session._ownership.is_free() and monotonic() < deadline:  # noqa: SLF001
                sleep(_MOMENT)

    def _let_steps_end(self) -> None:
        """Roll back what blocks others first; cancel what still does not end."""
        waiting = [one for one, _ in self._open.values() if one._active_step()]  # noqa: SLF001
        for session, _ in self._open.values():
            if session not in waiting and session._ownership.is_free():  # noqa: SLF001
                roll_back(session)
        for session in waiting:
            step = session._step  # noqa: SLF001
            if step is not None and not step._ended.wait(UNBLOCKED):  # noqa: SLF001
                self._scope.cancel(session.name)
                step._ended.wait(self._scope.timeout)  # noqa: SLF001
        for session, _ in self._open.values():
            if session._thread is not None:  # noqa: SLF001
                session._thread.stop(self._scope.timeout)  # noqa: SLF001
