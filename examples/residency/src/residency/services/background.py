"""Work in the background: each piece in a session of its own, never in that of who asked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState, Session, sessionmaker

P = ParamSpec("P")
T = TypeVar("T")


class BorrowedSession(TypeError):
    """Work was given a session that is somebody else's, or a row that lives in one."""


class Background:
    """Does work after whoever asked for it has gone on.

    A session belongs to one thread and one transaction. So each piece of work gets a session that
    is opened, committed or rolled back, and closed in the thread that does it, and what it is given
    must not carry another session along: numbers and texts, no rows.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        executor: Executor,
        *,
        failed: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        """Do work in the threads of an executor.

        Args:
            sessions: Make the sessions.
            executor: Has the threads; its owner ends it.
            failed: Told of work that raised; the future holds the error too.
        """
        self._sessions = sessions
        self._executor = executor
        self._failed = failed

    def submit(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Let work be done in a transaction of its own, committed if it returns.

        Raises:
            BorrowedSession: An argument is a session, or a row that lives in one.
        """
        for value in (*args, *kwargs.values()):
            _check(value)
        return self._executor.submit(lambda: self._do(work, *args, **kwargs))

    def _do(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            with self._sessions.begin() as session:
                return work(session, *args, **kwargs)
        except BaseException as error:
            self._failed(error)
            raise


def _check(value: object) -> None:
    """Refuse what belongs to another session."""
    if isinstance(value, Session):
        message = "Work in the background gets a session of its own. Leave this one out."
        raise BorrowedSession(message)
    state = inspect(value, raiseerr=False)
    if isinstance(state, InstanceState) and state.session is not None:
        name = type(value).__name__
        message = f"This {name} lives in another session. Give its number, and read it there."
        raise BorrowedSession(message)
