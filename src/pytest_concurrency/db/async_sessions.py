"""One async session per task, each on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, final

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
from pytest_concurrency.db.opening import named, no_attribute, not_open
from pytest_concurrency.db.scope import Scope
from pytest_concurrency.db.watch import NAME_OPTION

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from pytest_concurrency.db.async_worker_session import AsyncWorkerSession


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
        self._is_open = False
        self._owned: dict[object, AsyncWorkerSession] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> AsyncSessions:
        """Open them."""
        self._scope.opener = current_worker()
        self._scope.open(len(self._names))
        self._is_open = True
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
        tell(error, self._scope)
        try:
            await self._let_steps_end()
            for session, connection in self._open.values():
                await connection.run_sync(
                    lambda sync, one=session.guarded: close(one, sync)  # type: ignore[misc]
                )
                await connection.close()
            verify(self._scope)
        finally:
            self._scope.close()

    def __iter__(self) -> Iterator[AsyncWorkerSession]:
        """Iterate over the sessions that were opened by name or number."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names, word="async with")
        return iter([self._open[name][0] for name in self._names])

    def __len__(self) -> int:
        """Return how many were opened by name or number."""
        return len(self._names)

    def __getitem__(self, key: int | str) -> AsyncWorkerSession:
        """Return the session of a name or number."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names, word="async with")
        return self._open[named(key, self._names, self._open)][0]

    async def own(self) -> AsyncWorkerSession:
        """Return the calling task's own session, opened at its first call."""
        __tracebackhide__ = True
        if not self._is_open:
            raise not_open(self._names, word="async with")
        me = current_worker()
        async with self._lock:
            if me not in self._owned:
                self._owned[me] = await self._add(free_name(me, self._open))
            return self._owned[me]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say how to come to a session, which has what this has not."""
            __tracebackhide__ = True
            if name.startswith("_"):
                raise AttributeError(name)
            raise no_attribute(self._names, name, word="async with")

    def timeline(self) -> str:
        """Return all statements of all sessions, with what waited for what."""
        return self._scope.timeline()

    async def _add(self, name: str) -> AsyncWorkerSession:
        from pytest_concurrency.db.async_worker_session import AsyncWorkerSession

        connection = await self._engine.connect()
        connection = await connection.execution_options(**{NAME_OPTION: name})
        sync = await connection.run_sync(self._prepare, name)
        session = AsyncWorkerSession(bind=connection, name=name, scope=self._scope, **self._options)
        self._open[name] = (session, connection)
        self._scope.add(session.guarded, lambda: sync)
        return session

    def _prepare(self, connection: Connection, name: str) -> Connection:
        found = self._scope.watch.of(connection)
        found.session = name
        if connection.dialect.name == "sqlite":
            make_patient(connection.connection, found)
        return connection

    async def _let_steps_end(self) -> None:
        """Roll back what blocks others first; cancel what still does not end."""
        waiting = [one for one, _ in self._open.values() if one.guarded._active_step()]  # noqa: SLF001
        for session, connection in self._open.values():
            if session not in waiting and session.guarded._ownership.is_free():  # noqa: SLF001
                await connection.run_sync(
                    lambda _, one=session.guarded: roll_back(one)  # type: ignore[misc]
                )
        for session in waiting:
            step: Any = session.guarded._step  # noqa: SLF001
            done, _ = await asyncio.wait([step._task], timeout=UNBLOCKED)  # noqa: SLF001
            if not done:
                self._scope.cancel(session.name)
                await asyncio.wait([step._task], timeout=self._scope.timeout)  # noqa: SLF001
