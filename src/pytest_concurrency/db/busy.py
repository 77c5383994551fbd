"""Waiting for SQLite's locks in small steps, so that a wait can be seen from outside.

SQLite cannot be asked who waits. But it answers BUSY in two ways: after its time-out, which is a
real wait, or at once, where waiting could never help (a reader that wants to write after another
has written). With a time-out of a millisecond, repeated, both are told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.watch import EngineWatch

T = TypeVar("T")

_SLICE_MS = 1
_REAL_WAIT_NS = 800_000
_BUSY = 5
_BUSY_SNAPSHOT = 517


@final
class Patience:
    """Waits for a lock as long as the driver would have, in slices.

    Attributes:
        refused_ns: When the last attempt began that ended in a real wait; 0 while none did.
        cancelled: Set to give up at the end of the current slice.
    """

    def __init__(self, limit_ms: int) -> None:  # noqa: D107  (made by the session)
        self.limit_ms: int = limit_ms
        self.refused_ns: int = 0
        self.cancelled: bool = False

    def run(self, action: Callable[[], T]) -> T:
        """Run what may meet a lock, until it gets it or the limit is over."""
        deadline = perf_counter_ns() + self.limit_ms * 1_000_000
        refused_at_once = False
        while True:
            began = perf_counter_ns()
            try:
                return action()
            except Exception as error:
                now = perf_counter_ns()
                if not _is_busy(error) or self.cancelled or now > deadline:
                    raise
                waited = now - began >= _REAL_WAIT_NS
                if refused_at_once and not waited:
                    raise
                refused_at_once = not waited
                if waited:
                    self.refused_ns = began


def _is_busy(error: BaseException) -> bool:
    for one in (error, getattr(error, "orig", None), error.__cause__):
        code = getattr(one, "sqlite_errorcode", None)
        if code is not None:
            return bool(code & 0xFF == _BUSY and code != _BUSY_SNAPSHOT)
    return False


def _pragma(pooled: Any, value: int | None = None) -> int:
    cursor = pooled.dbapi_connection.cursor()
    try:
        cursor.execute("PRAGMA busy_timeout" + ("" if value is None else f"={value}"))
        return int(cursor.fetchone()[0])
    finally:
        cursor.close()


def make_patient(pooled: Any, found: WatchedConnection) -> None:
    """Let a pooled SQLite connection wait in slices."""
    found.patience = Patience(_pragma(pooled))
    _pragma(pooled, _SLICE_MS)


def make_plain(pooled: Any, found: WatchedConnection) -> None:
    """Let it wait as it did before."""
    if found.patience is not None:
        _pragma(pooled, found.patience.limit_ms)
        found.patience = None


def execute_patiently(watch: EngineWatch) -> Callable[[], None]:
    """Let statements of patient connections wait in slices; return what ends that."""
    from sqlalchemy import event

    def execute(cursor: Any, sql: str, parameters: Any, context: Any) -> bool | None:
        patience = watch.of(context.root_connection).patience if context is not None else None
        if patience is None:
            return None
        patience.run(lambda: cursor.execute(sql, parameters))
        return True

    event.listen(watch.engine, "do_execute", execute)
    return lambda: event.remove(watch.engine, "do_execute", execute)
