"""Engines as production has them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from residency.settings import Settings
from residency.store.pool import CountedPool

LOCK_SECONDS = 5.0
"""How long a statement waits for a lock before it is given up, on every back end."""

READ_ONLY: dict[str, Any] = {"postgresql_readonly": True, "sqlite_begin": "deferred"}
"""Execution options of transactions that only read: on SQLite they then wait for no writer."""


def engine_of(settings: Settings) -> Engine:
    """Return an engine with the settings' database and pool."""
    return make_engine(
        settings.database_url,
        lock_seconds=settings.lock_seconds,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout,
    )


def make_engine(url: str, *, lock_seconds: float = LOCK_SECONDS, **options: Any) -> Engine:
    """Make an engine that does not wait for locks for ever.

    SQLite is set up so that it is safe under threads: WAL, ``BEGIN IMMEDIATE``, foreign keys
    enforced. A connection that broke is replaced before anybody gets it.

    Args:
        url: An SQLAlchemy URL.
        lock_seconds: How long a statement waits for a lock.
        options: For ``create_engine``.
    """
    options = {"poolclass": CountedPool, "pool_pre_ping": True, **options}
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": lock_seconds}, **options)
        make_sqlite_safe(engine)
        return engine
    limit = {"options": f"-c lock_timeout={int(lock_seconds * 1000)}"}
    return create_engine(url, connect_args=limit, **options)


def reading(session: Session) -> Session:
    """Let a session's transaction, which has not begun, only read; return the session.

    On SQLite it then takes no lock that others wait for, however long it lasts.
    """
    session.connection(execution_options=READ_ONLY)
    return session


def make_sqlite_safe(engine: Engine) -> None:
    """Give an engine's SQLite connections WAL, explicit transactions and foreign keys."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        begin = connection.get_execution_options().get("sqlite_begin", "immediate")
        connection.exec_driver_sql(f"BEGIN {begin}")
