"""Who waits for whom inside the database, asked from the database."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

from pytest_concurrency.db.drivers import sync_url
from pytest_concurrency.db.innodb import InnodbProbe
from pytest_concurrency.db.pglocks import PostgresProbe
from pytest_concurrency.errors import MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.statement import Statement
    from pytest_concurrency.db.watch import EngineWatch


SQLITE_LOCK = "the database's write lock"

_LONG_NS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One connection's wait for a lock.

    Attributes:
        blocked_by: The names of the sessions that hold what it waits for.
        lock: What it waits for, such as ``row account(id=1)``.
    """

    blocked_by: tuple[str, ...]
    lock: str

    def __str__(self) -> str:
        """Return ``waits for ann: row account(id=1)``."""
        holders = " and ".join(self.blocked_by) or "a connection that cannot be named"
        return f"waits for {holders}: {self.lock}"


class Probe(Protocol):
    """Asks one kind of database about waits."""

    @property
    def names_at_once(self) -> bool:
        """Whether who blocks is told without delay."""
        ...

    def waiting(self, control: Connection) -> frozenset[int]:
        """Return the numbers of all connections that wait for a lock."""
        ...

    def blockers(self, control: Connection, number: int) -> tuple[int, ...] | None:
        """Return the numbers of the connections that block another; ``None`` if it runs."""
        ...

    def lock(self, control: Connection, number: int) -> str:
        """Return what a waiting connection waits for."""
        ...

    def cancel(self, control: Connection, number: int) -> None:
        """End what a connection is waiting for, with an error on its side."""
        ...


def probe_for(engine: Engine) -> Probe | None:
    """Return how to ask the database behind an engine; ``None`` if it cannot be asked."""
    name = engine.dialect.name
    if name == "postgresql":
        return PostgresProbe()
    return InnodbProbe() if name in {"mysql", "mariadb"} else None


def control_engine(engine: Engine) -> Engine:
    """Return an engine for one connection of our own, outside of the watched pool."""
    from sqlalchemy import NullPool, create_engine

    url = sync_url(engine.url)
    try:
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except ModuleNotFoundError:
        what = "asking the database who waits"
        extra = "postgres" if url.get_backend_name() == "postgresql" else "mariadb"
        raise MissingExtra(what, extra) from None


def lock_waits(watch: EngineWatch) -> dict[WatchedConnection, Wait]:
    """Return which connections of an engine wait for a lock now, and for whom.

    PostgreSQL, MariaDB and MySQL are asked; for SQLite it is inferred from who holds the write
    lock and whose statement has not ended for some milliseconds.

    Args:
        watch: The watch of the engine.
    """
    active = [one for one in watch.connections if one.current is not None]
    probe = probe_for(watch.engine)
    if probe is None:
        return inferred_waits(watch, active)
    found: dict[WatchedConnection, Wait] = {}
    control = control_engine(watch.engine)
    with control.connect() as connection:
        for one in active:
            numbers = probe.blockers(connection, one.number)
            if numbers is not None:
                names = tuple(watch.name_of(number) for number in numbers)
                found[one] = Wait(blocked_by=names, lock=probe.lock(connection, one.number))
    control.dispose()
    return found


def inferred_waits(
    watch: EngineWatch, active: list[WatchedConnection]
) -> dict[WatchedConnection, Wait]:
    """Return which connections must be waiting for SQLite's write lock, as another has it.

    Args:
        watch: The watch of the engine.
        active: Its connections that are busy with a statement.
    """
    writers = [one for one in watch.connections if one.wrote]
    long_ago = perf_counter_ns() - _LONG_NS
    return {
        one: Wait(blocked_by=tuple(writer.name for writer in writers), lock=SQLITE_LOCK)
        for one in active
        if writers and one not in writers and _is_stuck(one.current, long_ago)
    }


def _is_stuck(statement: Statement | None, long_ago: int) -> bool:
    """Whether a statement runs for long that may need the write lock: readers never wait for it."""
    if statement is None or statement.started_ns >= long_ago:
        return False
    return not statement.sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "EXPLAIN"))
