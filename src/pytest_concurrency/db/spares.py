"""Connections to clones, opened before a test asks: PostgreSQL takes milliseconds for its first."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_MOST = 8
_ASKED_FIRST = "SELECT pg_catalog.version(), current_schema()"
_OF_THE_POOL = frozenset({
    "echo", "echo_pool", "execution_options", "hide_parameters", "isolation_level",
    "logging_name", "max_overflow", "pool_logging_name", "pool_pre_ping", "pool_recycle",
    "pool_reset_on_return", "pool_size", "pool_timeout", "pool_use_lifo", "poolclass",
})  # fmt: skip


@final
class Spare:
    """A connection to one database, for the first engine that connects as it did."""

    def __init__(self, connection: Any) -> None:  # noqa: D107  (made by the spares)
        self._connection = connection
        self._lock = threading.Lock()

    def offer(self, engine: Engine, options: dict[str, Any]) -> None:
        """Let an engine's first connection be this one, if its options connect in no other way."""
        from sqlalchemy import event

        if options.keys() <= _OF_THE_POOL:
            event.listen(engine, "do_connect", lambda *_: self._taken())
        else:
            self.close()

    def close(self) -> None:
        """Close it, unless an engine has it."""
        connection = self._taken()
        if connection is not None:
            with suppress(Exception):  # its server may be gone
                connection.close()

    def _taken(self) -> Any:
        with self._lock:
            connection, self._connection = self._connection, None
        return None if connection is None or connection.closed else connection


@final
class Spares:
    """The spare connections of a server, a few at a time."""

    def __init__(self) -> None:  # noqa: D107
        self._open: list[Spare] = []
        self._lock = threading.Lock()

    def connect(self, url: URL) -> Spare:
        """Return a new connection to a database; the oldest is closed if there are too many."""
        spare = Spare(_warm(url))
        with self._lock:
            self._open.append(spare)
            oldest = self._open.pop(0) if len(self._open) > _MOST else None
        if oldest is not None:
            oldest.close()
        return spare

    def close(self) -> None:
        """Close those that no engine has."""
        with self._lock:
            closing, self._open = self._open, []
        for spare in closing:
            spare.close()


def _warm(url: URL) -> Any:
    """Connect as an engine would, and ask what it will ask: the server answers quicker then."""
    from psycopg.types import TypeInfo
    from sqlalchemy import NullPool, create_engine

    dialect = create_engine(url, poolclass=NullPool).dialect
    arguments, options = dialect.create_connect_args(url)
    connection: Any = dialect.connect(*arguments, **options)
    TypeInfo.fetch(connection, "hstore")
    connection.execute(_ASKED_FIRST)
    connection.rollback()
    return connection
