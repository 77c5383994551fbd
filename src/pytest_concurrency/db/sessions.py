"""One session per worker, each on a connection of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, final, overload

from pytest_concurrency.db import drivers
from pytest_concurrency.db.busy import make_patient, make_plain
from pytest_concurrency.db.scope import Scope
from pytest_concurrency.db.watch import NAME_OPTION, EngineWatch, current_worker
from pytest_concurrency.errors import BrokenPromise, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from pytest_concurrency.db.worker_session import (
        AsyncWorkerSession,
        GuardedSession,
        WorkerSession,
    )

_UNBLOCKED = 0.5


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
        self._owned: dict[object, WorkerSession] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Sessions:
        """Open them."""
        self._scope.open(len(self._names))
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
        _tell(error, self._scope)
        try:
            self._let_steps_end()
            for session, connection in self._open.values():
                _close(session, connection)
            _verify(self._scope)
        finally:
            self._scope.close()

    def __iter__(self) -> Iterator[WorkerSession]:
        """Iterate over the sessions that were opened by name or number."""
        return iter([self._open[name][0] for name in self._names])

    def __len__(self) -> int:
        """Return how many were opened by name or number."""
        return len(self._names)

    def __getitem__(self, key: int | str) -> WorkerSession:
        """Return the session of a name or number."""
        return self._open[_key(key, self._names)][0]

    def own(self) -> WorkerSession:
        """Return the calling worker's own session, opened at its first call."""
        me = current_worker()
        with self._lock:
            if me not in self._owned:
                self._owned[me] = self._add(_free_name(me, self._open))
            return self._owned[me]

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

    def _let_steps_end(self) -> None:
        """Roll back what blocks others first; cancel what still does not end."""
        waiting = [one for one, _ in self._open.values() if one._active_step()]  # noqa: SLF001
        for session, _ in self._open.values():
            if session not in waiting and session._ownership.is_free():  # noqa: SLF001
                _roll_back(session)
        for session in waiting:
            step = session._step  # noqa: SLF001
            if step is not None and not step._ended.wait(_UNBLOCKED):  # noqa: SLF001
                self._scope.cancel(session.name)
                step._ended.wait(self._scope.timeout)  # noqa: SLF001
        for session, _ in self._open.values():
            if session._thread is not None:  # noqa: SLF001
                session._thread.stop(self._scope.timeout)  # noqa: SLF001


@final
class AsyncSessions:
    """The open async sessions: a sequence in the order of their names."""

    def __init__(  # noqa: D107  (made by separate_sessions)
        self, engine: Any, names: tuple[str, ...], scope: Scope, options: dict[str, Any]
    ) -> None:
        self._engine: AsyncEngine = engine
        self._names = names
        self._scope = scope
        self._options = options
        self._open: dict[str, tuple[AsyncWorkerSession, AsyncConnection]] = {}
        self._owned: dict[object, AsyncWorkerSession] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> AsyncSessions:
        """Open them."""
        self._scope.opener = current_worker()
        self._scope.open(len(self._names))
        for name in self._names:
            await self._add(name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Roll back, close, verify; tell an error what was sent."""
        _tell(error, self._scope)
        try:
            await self._let_steps_end()
            for session, connection in self._open.values():
                await connection.run_sync(
                    lambda sync, one=session.sync_session: _close(one, sync)  # type: ignore[misc]
                )
                await connection.close()
            _verify(self._scope)
        finally:
            self._scope.close()

    def __iter__(self) -> Iterator[AsyncWorkerSession]:
        """Iterate over the sessions that were opened by name or number."""
        return iter([self._open[name][0] for name in self._names])

    def __len__(self) -> int:
        """Return how many were opened by name or number."""
        return len(self._names)

    def __getitem__(self, key: int | str) -> AsyncWorkerSession:
        """Return the session of a name or number."""
        return self._open[_key(key, self._names)][0]

    async def own(self) -> AsyncWorkerSession:
        """Return the calling task's own session, opened at its first call."""
        me = current_worker()
        async with self._lock:
            if me not in self._owned:
                self._owned[me] = await self._add(_free_name(me, self._open))
            return self._owned[me]

    def timeline(self) -> str:
        """Return all statements of all sessions, with what waited for what."""
        return self._scope.timeline()

    async def _add(self, name: str) -> AsyncWorkerSession:
        from pytest_concurrency.db.worker_session import AsyncWorkerSession

        connection = await self._engine.connect()
        connection = await connection.execution_options(**{NAME_OPTION: name})
        sync = await connection.run_sync(self._prepare, name)
        session = AsyncWorkerSession(bind=connection, name=name, scope=self._scope, **self._options)
        self._open[name] = (session, connection)
        self._scope.add(session.sync_session, lambda: sync)
        return session

    def _prepare(self, connection: Connection, name: str) -> Connection:
        found = self._scope.watch.of(connection)
        found.session = name
        if connection.dialect.name == "sqlite":
            make_patient(connection.connection, found)
        return connection

    async def _let_steps_end(self) -> None:
        """Roll back what blocks others first; cancel what still does not end."""
        waiting = [one for one, _ in self._open.values() if one.sync_session._active_step()]  # noqa: SLF001
        for session, connection in self._open.values():
            if session not in waiting and session.sync_session._ownership.is_free():  # noqa: SLF001
                await connection.run_sync(
                    lambda _, one=session.sync_session: _roll_back(one)  # type: ignore[misc]
                )
        for session in waiting:
            step: Any = session.sync_session._step  # noqa: SLF001
            done, _ = await asyncio.wait([step._task], timeout=_UNBLOCKED)  # noqa: SLF001
            if not done:
                self._scope.cancel(session.name)
                await asyncio.wait([step._task], timeout=self._scope.timeout)  # noqa: SLF001


def _key(key: int | str, names: tuple[str, ...]) -> str:
    return names[key] if isinstance(key, int) else key


def _free_name(worker: object, taken: dict[str, Any]) -> str:
    get_name = getattr(worker, "get_name", None)
    name = str(get_name() if callable(get_name) else getattr(worker, "name", worker))
    return name if name not in taken else f"{name} ({len(taken)})"


def _tell(error: BaseException | None, scope: Scope) -> None:
    if isinstance(error, Exception) and scope.watch.statements:
        error.add_note(f"\nWhat the sessions sent:\n\n{scope.timeline()}")


def _roll_back(session: GuardedSession) -> None:
    from sqlalchemy.exc import DBAPIError

    try:
        session.rollback()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise


def _close(session: GuardedSession, connection: Connection) -> None:
    if not session._ownership.is_free():  # noqa: SLF001
        msg = (
            f"session {session.name!r} is still in use at the end of its block by a worker that "
            "has not ended. Wait for every worker inside the block."
        )
        raise BrokenPromise(msg)
    _roll_back(session)
    session.close()
    found = session._scope.found(session.name)  # noqa: SLF001
    if found is not None and found.patience is not None:
        with suppress(Exception):  # a connection that the test killed needs no setting
            make_plain(connection.connection, found)
    if not connection.dialect.is_async:
        connection.close()


def _verify(scope: Scope) -> None:
    """Hold that every session's connection is back and outside of a transaction."""
    for found in scope.watch.connections:
        if found.returned_dirty is not None and found.returned_dirty.session in scope.sessions:
            msg = (
                f"session {found.returned_dirty.session!r}: its connection went back to the pool "
                f"inside a transaction, after {found.returned_dirty.text()}"
            )
            raise BrokenPromise(msg)
