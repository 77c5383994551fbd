"""What leaves the event loop, and so cannot be put in an order of our choice."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.explore.awaits import here

DATABASE_LOCK = (
    "A worker was paused while it held a lock of the database, and the others gave up waiting for "
    "it:\n{error}\nLocks inside a database cannot be controlled here, so this accuses nobody.\n"
    "Give each worker a session, and say the order:\n  "
    'with separate_sessions("ann", "bob") as (ann, bob): ...'
)


def is_database_lock(error: BaseException | None) -> bool:
    """Say whether an error is a database's refusal to wait any longer for its own lock."""
    return (
        type(error).__name__ == "OperationalError"
        and type(error).__module__.partition(".")[0] in {"sqlite3", "sqlalchemy"}
        and "locked" in str(error)
    )


class Uncontrolled(BrokenPromise):
    """A worker waits for something outside: a socket, a process, another thread."""

    __module__ = "pytest_concurrency"

    @classmethod
    def by(cls, what: str, explores: Callable[[CodeType], bool]) -> Uncontrolled:
        """Say what is used where, and what to do."""
        at = here(explores)
        place = "explore" if at is None else at.place
        return cls(
            f"{place}: {what} is outside the event loop, so its order cannot be controlled. "
            "Await points are explored in coroutines alone. "
            "Replace it by a coroutine of the test, or use concurrent_runner."
        )
