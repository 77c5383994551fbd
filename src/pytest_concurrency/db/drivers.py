"""What a driver knows about its connection without asking the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_PG_IDLE = 0
_MYSQL_IN_TRANSACTION = 1
_SYNC = {
    "asyncpg": "psycopg",
    "psycopg_async": "psycopg",
    "aiomysql": "pymysql",
    "asyncmy": "pymysql",
}


def _psycopg_status(driver: Any) -> int | None:
    info = getattr(driver, "info", None)
    status = getattr(info, "transaction_status", None)
    return None if status is None else int(status)


def connection_id(driver: Any) -> int | None:
    """Return the number under which the server knows this connection, if the driver has it.

    Args:
        driver: The driver's own connection (``driver_connection`` of SQLAlchemy's record).
    """
    info = getattr(driver, "info", None)
    if hasattr(info, "backend_pid"):
        return int(info.backend_pid)  # type: ignore[union-attr]
    for name in ("get_server_pid", "get_backend_pid", "thread_id"):
        method: Callable[[], int] | None = getattr(driver, name, None)
        if method is not None:
            return int(method())
    number = getattr(driver, "connection_id", None)
    return int(number) if isinstance(number, int) else None


def in_transaction(driver: Any) -> bool | None:
    """Tell whether a transaction is open on this connection; ``None`` if the driver cannot say."""
    status = _psycopg_status(driver)
    if status is not None:
        return status != _PG_IDLE
    for name in ("in_transaction", "is_in_transaction"):
        known = getattr(driver, name, None)
        if known is not None:
            return bool(known() if callable(known) else known)
    # PyMySQL keeps its flags up to date after writes only: unset, they say nothing.
    return True if getattr(driver, "server_status", 0) & _MYSQL_IN_TRANSACTION else None


def sync_engine(engine: Any) -> Engine:
    """Return the sync engine behind an async one, and a sync engine itself."""
    found: Engine = getattr(engine, "sync_engine", engine)
    return found


def sync_url(url: URL) -> URL:
    """Return a URL with a driver that needs no event loop, and any other as it is."""
    name, _, driver = url.drivername.partition("+")
    return url.set(drivername=f"{name}+{_SYNC[driver]}") if driver in _SYNC else url


def async_driver(url: URL) -> str | None:
    """Return the driver of a URL if it needs an event loop."""
    driver = url.drivername.partition("+")[2]
    return driver if driver in _SYNC else None


def is_async(engine: object) -> bool:
    """Tell an async engine from a sync one without importing either."""
    return hasattr(engine, "sync_engine")
