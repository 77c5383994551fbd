"""Engines as production has them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event


def make_engine(url: str, **options: Any) -> Engine:
    """Make an engine; SQLite is set up so that it is safe under threads.

    SQLite: WAL, ``BEGIN IMMEDIATE``, a busy time-out of five seconds, foreign keys enforced.

    Args:
        url: An SQLAlchemy URL.
        options: For ``create_engine``.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, **options)
    engine = create_engine(url, connect_args={"timeout": 5.0}, **options)
    make_sqlite_safe(engine)
    return engine


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
        connection.exec_driver_sql("BEGIN IMMEDIATE")
