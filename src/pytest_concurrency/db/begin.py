"""How SQLite's transactions begin, and what else makes them safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Begin = Literal["immediate", "deferred", "driver"]

STATEMENTS = {"immediate": "BEGIN IMMEDIATE", "deferred": "BEGIN"}


def refuse_unknown(begin: str, where: str) -> None:
    """Refuse a way to begin that is none, and name the near one."""
    if begin in get_args(Begin):
        return
    guess = nearest(begin, get_args(Begin)) or "immediate"
    msg = (
        f"{where}: begin={begin!r} is no way to begin a transaction. "
        f"'immediate', 'deferred' and 'driver' are. Write begin={guess!r}."
    )
    raise UsageError(msg)


def make_safe(
    engine: Engine, *, begin: Begin = "immediate", timeout: float = 5.0, wal: bool = True
) -> Engine:
    """Let an SQLite engine begin its transactions explicitly, and return it.

    ``immediate`` takes the write lock when a transaction begins, so that no update can be lost
    and none is refused half-way; ``deferred`` takes it at the first write, as most production
    code does; ``driver`` leaves transactions to the driver's own habit (no ``BEGIN`` before a
    ``SELECT``). One transaction can choose for itself with
    ``connection.execution_options(sqlite_begin="deferred")``.

    Args:
        engine: An engine (or the ``sync_engine`` of an async one) on an SQLite file.
        begin: How transactions begin.
        timeout: How many seconds a statement waits for a lock.
        wal: Whether to switch the file to write-ahead logging, in which readers never wait.
    """
    from sqlalchemy import event

    refuse_unknown(begin, "make_safe")
    pragmas = [
        *(["journal_mode=WAL"] if wal else []),
        "synchronous=OFF",
        "foreign_keys=ON",
        f"busy_timeout={int(timeout * 1000)}",
    ]

    def connect(dbapi: Any, _record: object) -> None:
        if begin != "driver":
            dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", connect)
    if begin != "driver":
        event.listen(engine, "begin", lambda connection: _send_begin(connection, begin))
    return engine


def _send_begin(connection: Connection, begin: Begin) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    chosen = options.get("sqlite_begin", begin)
    refuse_unknown(chosen, "execution_options")
    if chosen != "driver":
        connection.exec_driver_sql(STATEMENTS[chosen])
