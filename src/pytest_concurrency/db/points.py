"""The points at which a worker can be paused before it reaches the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_concurrency.db.drivers import sync_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

Kind = Literal["statement", "commit", "rollback"]


class StatementListener(Protocol):
    """What is called before each statement, commit and rollback.

    It runs on the worker that is about to reach the database, so it may pause that worker; under
    an async engine it runs in SQLAlchemy's greenlet, where ``await_only`` awaits.
    """

    def __call__(self, connection: Connection, kind: Kind, sql: str, parameters: object, /) -> None:
        """Hear of a statement before it is sent.

        Args:
            connection: The connection that will carry it.
            kind: What it is; savepoints are statements.
            sql: Its text.
            parameters: Its values.
        """
        ...


def listen(engine: Engine | AsyncEngine, listener: StatementListener) -> Callable[[], None]:
    """Call a listener before everything that an engine sends; return what ends that.

    ``BEGIN`` is heard of only where it is a statement of its own: with SQLite engines made safe
    by this package. Other drivers send it together with the first statement.

    Args:
        engine: A sync or an async engine.
        listener: Called before each statement, commit and rollback.
    """
    from sqlalchemy import event

    target = sync_engine(engine)

    def before(connection: Connection, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        listener(connection, "statement", sql, values)

    heard: list[tuple[str, Callable[..., None]]] = [
        ("before_cursor_execute", before),
        ("commit", lambda connection: listener(connection, "commit", "COMMIT", ())),
        ("rollback", lambda connection: listener(connection, "rollback", "ROLLBACK", ())),
    ]
    for name, function in heard:
        event.listen(target, name, function)

    def end() -> None:
        for name, function in heard:
            event.remove(target, name, function)

    return end
