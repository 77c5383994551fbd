"""The async session of one task; importing it needs greenlet, as everything async in SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, final

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import Executable

from pytest_concurrency.db.steps import AsyncStep
from pytest_concurrency.db.worker_session import GuardedSession, call_with


@final
class AsyncWorkerSession(AsyncSession):
    """An async session on a connection of its own. Its commits are real."""

    sync_session_class = GuardedSession

    @property
    def guarded(self) -> GuardedSession:
        """The sync session behind this one."""
        return cast("GuardedSession", self.sync_session)

    @property
    def name(self) -> str:
        """The session's name."""
        return self.guarded.name

    async def start(
        self, what: Executable | str | Callable[..., Any], *args: Any, **kwargs: Any
    ) -> AsyncStep:
        """Start a step, and return once it has ended or is known to wait for another session.

        Args:
            what: A statement, SQL as text, or a coroutine function; a function is called with
                this session first, a method of this session as it is.
            args: For a statement, its parameters; for a function, what follows the session.
            kwargs: For a function, its keyword arguments.
        """
        guarded = self.guarded
        before = guarded._step  # noqa: SLF001
        if isinstance(before, AsyncStep):
            await before.settle()
        step = guarded._begin_step(AsyncStep, what)  # noqa: SLF001
        if not isinstance(step, AsyncStep):  # pragma: no cover  (narrows the type)
            raise TypeError

        async def action() -> object:
            return guarded._keep(await call_with(self, what, args, kwargs))  # noqa: SLF001

        step.run(action, guarded._ownership.appoint)  # noqa: SLF001
        await step.settle()
        return guarded._started(step)  # noqa: SLF001
