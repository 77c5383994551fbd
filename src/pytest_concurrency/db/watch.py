"""An engine, watched: its connections, its transactions and every statement."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db import drivers
from pytest_concurrency.db.connection import WatchedConnection, current_worker
from pytest_concurrency.db.place import calling_place
from pytest_concurrency.db.sharing import refuse_sharing
from pytest_concurrency.db.statement import Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pytest_concurrency.db.steps import AsyncStep, Step
    from pytest_concurrency.db.waits import Wait

_KEEP = 20_000
_WHOLE = 10_000
NAME_OPTION = "pytest_concurrency_session"


@final
class EngineWatch:
    """Knows what every connection of an engine does; costs some microseconds a statement.

    Use it as a context manager, or call ``start`` and ``stop``.

    Attributes:
        engine: The sync engine that is watched.
        statements: The last 20,000 statements, commits and rollbacks of all connections.
        lock_waits_ns: How long each of them took, in nanoseconds, that waited for a lock.
        failed_steps: The steps of sessions that had failed when ``start`` returned them.
    """

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        """Watch an engine.

        Args:
            engine: A sync or an async engine.
        """
        self.engine: Engine = drivers.sync_engine(engine)
        self.statements: deque[Statement] = deque(maxlen=_KEEP)
        self.lock_waits_ns: deque[int] = deque(maxlen=_KEEP)
        self.failed_steps: list[Step | AsyncStep] = []
        self._records: dict[WatchedConnection, None] = {}
        self._numbers = count(1)
        self._ours = count(1)
        self._listeners: list[tuple[str, Callable[..., None]]] = []
        self._lock = threading.Lock()
        self._end_refusing: Callable[[], None] = lambda: None

    @property
    def connections(self) -> list[WatchedConnection]:
        """The connections that are open now, in the order they were opened."""
        return list(self._records)

    def start(self) -> EngineWatch:
        """Begin to watch, and return the watch."""
        from sqlalchemy import event

        for name, listener in self._handlers():
            event.listen(self.engine, name, listener)
            self._listeners.append((name, listener))
        for name in ("do_commit", "do_rollback"):
            self._wrap(name)
        self._end_refusing = refuse_sharing(self.engine)
        return self

    def stop(self) -> None:
        """Stop watching; the engine is as it was."""
        from sqlalchemy import event

        while self._listeners:
            name, listener = self._listeners.pop()
            if event.contains(self.engine, name, listener):
                event.remove(self.engine, name, listener)
        for name in ("do_commit", "do_rollback"):
            vars(self.engine.dialect).pop(name, None)
        self._end_refusing()

    def __enter__(self) -> EngineWatch:
        """Start watching."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self.stop()

    def of(self, connection: Any) -> WatchedConnection:
        """Return what is known about a connection (SQLAlchemy's, or a pooled one)."""
        info = connection.info
        found: WatchedConnection | None = info.get(self)
        if found is None:
            pooled = getattr(connection, "connection", connection)
            found = self._meet(getattr(pooled, "driver_connection", None), info)
        return found

    def name_of(self, number: int) -> str:
        """Return the name of the session behind a connection number of the server."""
        for connection in self.connections:
            if connection.number == number:
                return connection.name
        return f"connection {number}"

    def note_wait(self, found: WatchedConnection, statement: Statement, wait: Wait) -> None:
        """Take in that a statement waits, or waited if it has ended meanwhile.

        Args:
            found: Its connection.
            statement: The statement.
            wait: What it waits for.
        """
        with self._lock:
            is_new = not statement.waits and not found.waited_since(statement.started_ns)
            statement.waits.append(wait)
            if is_new and statement.ended_ns is not None:
                self.lock_waits_ns.append(statement.ended_ns - statement.started_ns)

    def _handlers(self) -> list[tuple[str, Callable[..., None]]]:
        return [
            ("connect", self._on_connect),
            ("checkout", self._on_checkout),
            ("checkin", self._on_checkin),
            ("close", self._on_close),
            ("invalidate", self._on_close),
            ("begin", self._on_begin),
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
            ("handle_error", self._on_error),
        ]

    def _meet(self, driver: Any, info: dict[Any, Any]) -> WatchedConnection:
        number = drivers.connection_id(driver)
        found = WatchedConnection(next(self._ours) if number is None else number, driver)
        info[self] = found
        with self._lock:
            self._records[found] = None
        return found

    def _on_connect(self, _dbapi: object, record: Any) -> None:
        self._meet(record.driver_connection, record.info)

    def _on_checkout(self, _dbapi: object, record: Any, proxy: Any) -> None:
        found: WatchedConnection | None = record.info.get(self)
        if found is None:
            found = self._meet(record.driver_connection, record.info)
        found.checked_out = True
        found.opened = calling_place()
        found.worker = current_worker()
        found.proxy = weakref.ref(proxy)

    def _on_checkin(self, dbapi: object, record: Any) -> None:
        found: WatchedConnection | None = record.info.get(self)
        if found is None:
            return
        if dbapi is not None and found.in_transaction:
            found.returned_dirty, found.dirty_after = True, found.last
        else:
            found.begun_ns = None
        found.checked_out = False
        found.wrote = False
        found.session = found.user = found.proxy = None

    def _on_close(self, _dbapi: object, record: Any, *_error: object) -> None:
        found: WatchedConnection | None = record.info.pop(self, None)
        if found is not None:
            with self._lock:
                self._records.pop(found, None)

    def _on_begin(self, connection: Connection) -> None:
        self.of(connection).begun_ns = perf_counter_ns()

    def _before(self, connection: Connection, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        found = self.of(connection)
        # A connection that was lost and made anew still belongs to its session.
        found.session = connection.get_execution_options().get(NAME_OPTION, found.session)
        self._open(found, sql, values)

    def _after(self, connection: Connection, cursor: Any, *_: Any) -> None:
        found = self.of(connection)
        statement = found.current
        rows = getattr(cursor, "rowcount", -1)
        self._close(found, rows=rows if isinstance(rows, int) and rows >= 0 else None)
        if statement is not None:
            self._notice_locks(found, statement)

    def _on_error(self, context: Any) -> None:
        if context.connection is not None and not context.connection.invalidated:
            self._close(self.of(context.connection), error=_brief(context.original_exception))

    def _open(self, found: WatchedConnection, sql: str, parameters: object) -> None:
        place = calling_place()
        me = current_worker()
        if found.user is not None and found.user is not me:
            found.shared = (found.user_place, place)
        found.user, found.user_place, found.worker = me, place, me
        statement = Statement(
            number=next(self._numbers),
            session=found.name,
            sql=sql,
            parameters=parameters,
            place=place,
            started_ns=perf_counter_ns(),
        )
        found.last = found.current = statement
        self.statements.append(statement)

    def _close(
        self, found: WatchedConnection, *, rows: int | None = None, error: str | None = None
    ) -> None:
        found.user = None
        statement, found.current = found.current, None
        if statement is not None:
            statement.rows, statement.error = rows, error
            with self._lock:
                statement.ended_ns = perf_counter_ns()
                if statement.waits or found.waited_since(statement.started_ns):
                    self.lock_waits_ns.append(statement.ended_ns - statement.started_ns)

    def _notice_locks(self, found: WatchedConnection, statement: Statement) -> None:
        """Keep what no server tells later: SQLite's writer, MySQL's named locks, who took one."""
        if self.engine.dialect.name == "sqlite":
            found.wrote = found.wrote or _takes_write_lock(statement.sql)
        elif "_LOCK" in statement.sql.upper():
            found.locked = statement
            if self.engine.dialect.name != "postgresql":
                found.named_locks.add(statement.text(_WHOLE))

    def _wrap(self, name: str) -> None:
        """Time commits and rollbacks: SQLAlchemy has an event before them and none after."""
        dialect = self.engine.dialect
        plain: Callable[[Any], None] = getattr(dialect, name)
        word = name.removeprefix("do_").upper()

        def wrapped(connection: Any) -> None:
            try:
                found = self.of(connection)
            except RuntimeError:  # SQLAlchemy's first look at the server: not in a pool
                plain(connection)
                return
            if not found.in_transaction:
                plain(connection)
                return
            self._open(found, word, ())
            try:
                if found.patience is None:
                    plain(connection)
                else:
                    found.patience.run(lambda: plain(connection))
            except BaseException as error:
                self._close(found, error=_brief(error))
                raise
            self._close(found)
            found.begun_ns, found.wrote = None, False

        vars(dialect)[name] = wrapped


def _takes_write_lock(sql: str) -> bool:
    words = sql.split(None, 2)
    first = words[0].upper() if words else ""
    if first == "BEGIN":
        return len(words) > 1 and words[1].upper() in {"IMMEDIATE", "EXCLUSIVE"}
    return first in {"INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER"}


def _brief(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
