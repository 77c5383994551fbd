"""Who waits for whom inside the database, asked from the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_concurrency.db.innodb import InnodbProbe
from pytest_concurrency.db.pglocks import PostgresProbe
from pytest_concurrency.errors import MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.watch import EngineWatch


_SYNC = {"asyncpg": "psycopg", "aiomysql": "pymysql", "asyncmy": "pymysql"}


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

    url = engine.url
    if engine.dialect.is_async and engine.dialect.driver in _SYNC:
        url = url.set(drivername=f"{url.get_backend_name()}+{_SYNC[engine.dialect.driver]}")
    try:
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except ModuleNotFoundError:
        what = "asking the database who waits"
        extra = "postgres" if url.get_backend_name() == "postgresql" else "mariadb"
        raise MissingExtra(what, extra) from None


def lock_waits(watch: EngineWatch) -> dict[WatchedConnection, Wait]:
    """Return which connections of an engine wait for a lock now, and for whom.

    It answers in about a millisecond, for PostgreSQL, MariaDB and MySQL; SQLite cannot be asked.

    Args:
        watch: The watch of the engine.
    """
    probe = probe_for(watch.engine)
    if probe is None or watch.engine.dialect.is_async:
        return {}
    found: dict[WatchedConnection, Wait] = {}
    control = control_engine(watch.engine)
    with control.connect() as connection:
        for one in watch.connections:
            numbers = probe.blockers(connection, one.number) if one.current else None
            if numbers is not None:
                names = tuple(watch.name_of(number) for number in numbers)
                found[one] = Wait(blocked_by=names, lock=probe.lock(connection, one.number))
    control.dispose()
    return found
