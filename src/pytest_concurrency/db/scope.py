"""What the sessions of one ``separate_sessions`` know together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, final

from pytest_concurrency.db import drivers
from pytest_concurrency.db.busy import execute_patiently
from pytest_concurrency.db.connection import WatchedConnection, current_worker
from pytest_concurrency.db.deadlock import Deadlock, explain_deadlock
from pytest_concurrency.db.place import Place
from pytest_concurrency.db.sharing import REASONS, REMEDY
from pytest_concurrency.db.stalls import Stalls
from pytest_concurrency.db.timeline import timeline
from pytest_concurrency.db.waits import SQLITE_LOCK, Wait, control_engine, probe_for
from pytest_concurrency.db.watch import EngineWatch
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pytest_concurrency.db.steps import AsyncStep, Step
    from pytest_concurrency.db.worker_session import GuardedSession

T = TypeVar("T")


@final
class Scope:
    """One engine's separate sessions: their connections, their waits, their timeline.

    Attributes:
        engine: The sync engine.
        watch: The watch of that engine.
        timeout: How many seconds a step may neither end nor wait.
        opener: The worker that opened the sessions.
        sessions: The sessions by name.
    """

    def __init__(  # noqa: D107  (made by separate_sessions)
        self, engine: Engine | AsyncEngine, *, watch: EngineWatch | None, timeout: float
    ) -> None:
        self.engine: Engine = drivers.sync_engine(engine)
        self.watch: EngineWatch = watch or EngineWatch(engine)
        self._own_watch = watch is None
        self.timeout = timeout
        self.opener: object = current_worker()
        self.sessions: dict[str, GuardedSession] = {}
        self._connections: dict[str, Callable[[], Connection]] = {}
        self._probe = probe_for(self.engine)
        self._control: Connection | None = None
        self._control_lock = threading.Lock()
        self._deadlocks: list[tuple[BaseException, Deadlock | None]] = []
        self._ends: list[Callable[[], None]] = []
        self._stalls = Stalls(self)

    def open(self, count: int) -> None:
        """Refuse a pool that cannot give so many connections, and begin to watch."""
        _refuse_pool(self.engine, count)
        if self._own_watch:
            self.watch.start()
            self._ends.append(self.watch.stop)
        if self.engine.dialect.name == "sqlite":
            self._ends.append(execute_patiently(self.watch))

    def close(self) -> None:
        """Stop watching."""
        self._stalls.stop()
        with self._control_lock:
            if self._control is not None:
                self._control.close()
                self._control.engine.dispose()
                self._control = None
        while self._ends:
            self._ends.pop()()

    def add(self, session: GuardedSession, connection: Callable[[], Connection]) -> None:
        """Take in a session and the way to its connection."""
        self.sessions[session.name] = session
        self._connections[session.name] = connection
        self._stalls.start()

    def found(self, name: str) -> WatchedConnection | None:
        """Return what is known about a session's connection, if it has one now."""
        connection = self._connections[name]()
        if connection.closed or connection.invalidated:
            return None
        known = self.watch.of(connection)
        known.session = name
        return known

    def prepare_to_look(self) -> None:
        """Connect before a step starts, so that its wait is seen at once."""
        if self._probe is not None:
            self.ask(lambda _: ())

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Ask on a connection of our own."""
        with self._control_lock:
            if self._control is None or self._control.invalidated:
                self._control = control_engine(self.engine).connect()
            return question(self._control)

    def look(self, session: str, since_ns: int) -> Wait | None:
        """Return what a session waits for since a moment; ``None`` if it does not."""
        found = self.found(session)
        if found is None:
            return None
        wait = self._look_here(found, since_ns) if self._probe is None else self._ask_wait(found)
        if wait is not None and found.current is not None and wait not in found.current.waits:
            found.current.waits.append(wait)
        return wait

    def unsettled(self, wait: Wait, asking: frozenset[str]) -> Step | AsyncStep | None:
        """Return a step, not yet settled, of a session that blocks another."""
        for name in wait.blocked_by:
            session = self.sessions.get(name)
            if session is not None and name not in asking and session._active_step():  # noqa: SLF001
                return session._step  # noqa: SLF001
        return None

    def annotate(self, error: BaseException, name: str) -> None:
        """Add to an error the circle of a deadlock, or the wait that nobody could end."""
        self._stalls.explain(error, name)
        if any(one is error for one, _ in self._deadlocks):
            return
        found = explain_deadlock(error, self.watch, name, self.ask)
        if found is not None:
            error.add_note(f"\n{found}")
            self._deadlocks.append((error, found))

    def deadlock(self, error: BaseException) -> Deadlock | None:
        """Return the deadlock that ended a statement with this error."""
        return next((found for one, found in self._deadlocks if one is error), None)

    def circle(self, session: str) -> tuple[str, ...]:
        """Return the sessions that wait for each other in a circle with this one; empty if none."""
        return self._circle((session,))

    def show_rows(self, name: str, rows: Sequence[object]) -> None:
        """Keep the rows that a session's last statement returned, for the timeline."""
        found = self.found(name)
        if found is not None and found.last is not None:
            found.last.values = rows

    def timeline(self) -> str:
        """Return all statements of all sessions, with what waited for what."""
        return timeline(self.watch.statements, tuple(self.sessions))

    def share(self, name: str, first: Place | None, second: Place | None) -> None:
        """Let the leak report know of a session that two workers touched."""
        found = self.found(name)
        if found is not None:
            found.shared = (first, second)

    def cancel(self, name: str) -> None:
        """End what a session is doing in the database, with an error on its side."""
        found = self.found(name)
        if found is None:
            return
        if found.patience is not None:
            found.patience.cancelled = True
        if self._probe is not None:
            probe, number = self._probe, found.number
            with suppress(Exception):  # it may have ended by itself
                self.ask(lambda control: probe.cancel(control, number))

    def _circle(self, path: tuple[str, ...]) -> tuple[str, ...]:
        found = self.found(path[-1]) if path[-1] in self.sessions else None
        statement = None if found is None else found.current
        wait = None if statement is None else self.look(path[-1], statement.started_ns)
        for name in wait.blocked_by if wait else ():
            if name == path[0]:
                return path
            if name not in path and (circle := self._circle((*path, name))):
                return circle
        return ()

    def _ask_wait(self, found: WatchedConnection) -> Wait | None:
        probe, number = self._probe, found.number
        if probe is None:
            return None
        numbers = self.ask(lambda control: probe.blockers(control, number))
        if numbers is None:
            return None
        lock = self.ask(lambda control: probe.lock(control, number))
        return Wait(blocked_by=tuple(map(self.watch.name_of, numbers)), lock=lock)

    def _look_here(self, found: WatchedConnection, since_ns: int) -> Wait | None:
        if found.patience is None or found.patience.refused_ns < since_ns:
            return None
        others = [one for one in self.watch.connections if one is not found]
        holders = [one for one in others if one.wrote] or [
            one for one in others if one.in_transaction
        ]
        return Wait(blocked_by=tuple(one.name for one in holders), lock=SQLITE_LOCK)


def _refuse_pool(engine: Engine, count: int) -> None:
    from sqlalchemy.pool import SingletonThreadPool, StaticPool

    pool: Any = engine.pool
    url = engine.url.render_as_string()
    if count > 1 and isinstance(pool, StaticPool | SingletonThreadPool):
        raise UsageError(_one_connection(url, type(pool).__name__, count))
    limit = getattr(pool, "_max_overflow", -1)
    if limit < 0:
        return
    free = pool.size() + limit - pool.checkedout()
    if count > free:
        msg = (
            f"separate_sessions: {count} sessions need {count} connections; the pool of {url} "
            f"has {free} left.\nWrite create_engine(..., pool_size={count + pool.checkedout()})."
        )
        raise UsageError(msg)


def _one_connection(url: str, pool: str, count: int) -> str:
    what = f"{url} with {pool}, which {REASONS[pool]}"
    return f"separate_sessions: {count} sessions on {what}.\n{REMEDY}"
