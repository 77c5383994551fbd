"""How sessions are named, told of an error and closed, sync or async."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_concurrency.db.busy import make_plain
from pytest_concurrency.db.scope import Scope
from pytest_concurrency.errors import BrokenPromise

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pytest_concurrency.db.worker_session import GuardedSession


UNBLOCKED = 0.5


_WORKER = re.compile(r"worker \d+$")


def free_name(worker: object, taken: dict[str, Any]) -> str:
    """Return a name for a worker's own session that no other has."""
    get_name = getattr(worker, "get_name", None)
    name = str(get_name() if callable(get_name) else getattr(worker, "name", worker))
    ours = _WORKER.search(name)  # of a run, whose threads carry the test's name before it
    name = ours[0] if ours else name
    return name if name not in taken else f"{name} ({len(taken)})"


def tell(error: BaseException | None, scope: Scope) -> None:
    """Add the timeline to an error that leaves the block."""
    if isinstance(error, Exception) and scope.watch.statements:
        error.add_note(f"\nWhat the sessions sent:\n\n{scope.timeline()}")


def roll_back(session: GuardedSession) -> None:
    """Roll back; a connection that was lost has nothing to roll back."""
    from sqlalchemy.exc import DBAPIError

    try:
        session.rollback()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise


def close(session: GuardedSession, connection: Connection) -> None:
    """Close a session and give its connection back."""
    if not session._ownership.is_free():  # noqa: SLF001
        msg = (
            f"session {session.name!r} is still in use at the end of its block by a worker that "
            "has not ended. Wait for every worker inside the block."
        )
        raise BrokenPromise(msg)
    roll_back(session)
    session.close()
    found = session._scope.found(session.name)  # noqa: SLF001
    if found is not None and found.patience is not None:
        with suppress(Exception):  # a connection that the test killed needs no setting
            make_plain(connection.connection, found)
    if not connection.dialect.is_async:
        connection.close()


def verify(scope: Scope) -> None:
    """Hold that no connection went back to the pool inside a transaction."""
    for found in scope.watch.connections:
        after = found.dirty_after
        if found.returned_dirty and after is not None and after.session in scope.sessions:
            msg = (
                f"session {after.session!r}: its connection went back to the pool inside a "
                f"transaction, after {after.text()}"
            )
            raise BrokenPromise(msg)
