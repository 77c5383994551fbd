"""A pool of one connection for everybody, which two workers may not have at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

REASONS = {
    "StaticPool": "has one connection for all workers: their transactions mix, writes are\n"
    "lost, and Python can crash",
    "SingletonThreadPool": "gives each thread an empty database of its own",
}
REMEDY = (
    "Use the database that the plugin makes (a file in WAL mode), or in memory:\n"
    "  SqliteServer(memory=True)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loan:
    """Who took the connection, and what is alive as long as they have it."""

    proxy: weakref.ref[Any]
    thread: threading.Thread

    @property
    def is_out(self) -> bool:
        proxy = self.proxy()
        return proxy is not None and proxy.dbapi_connection is not None and self.thread.is_alive()


def refuse_sharing(engine: Engine) -> Callable[[], None]:
    """Refuse a second worker while the first has the only connection; return what ends that.

    The thread that asks for it is no worker: a test may look at its database while the one worker
    of an application's framework serves it.

    Args:
        engine: The engine.
    """
    from sqlalchemy.pool import StaticPool

    pool: Any = engine.pool
    if not isinstance(pool, StaticPool):
        return lambda: None
    plain: Callable[[], Any] = pool.connect
    opener = threading.current_thread()
    lock = threading.Lock()
    loans: list[_Loan] = []

    def connect() -> Any:
        me = threading.current_thread()
        with lock:
            loans[:] = [one for one in loans if one.is_out]
            other = next((one.thread for one in loans if one.thread is not me), None)
            if other is not None and me is not opener:
                raise UsageError(_shared(engine, me, other))
            proxy = plain()
            if me is not opener:
                loans.append(_Loan(proxy=weakref.ref(proxy), thread=me))
            return proxy

    def end() -> None:
        if vars(pool).get("connect") is connect:
            del vars(pool)["connect"]

    vars(pool)["connect"] = connect
    return end


def _shared(engine: Engine, me: threading.Thread, other: threading.Thread) -> str:
    return (
        f"{me.name}: {other.name} has the connection.\n"
        f"{engine.url.render_as_string()} with StaticPool {REASONS['StaticPool']}.\n{REMEDY}"
    )
