"""The session of one worker.

It imports SQLAlchemy when it is imported, for a session has to be a ``Session``, and is itself
imported only when sessions are opened. Nothing here needs greenlet: what is async, and does, has
a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, final

from sqlalchemy.engine import CursorResult, Result
from sqlalchemy.orm import Session
from sqlalchemy.sql import ClauseElement, Executable

from pytest_concurrency.db.opening import check_step
from pytest_concurrency.db.ownership import Ownership
from pytest_concurrency.db.place import calling_place, started_at
from pytest_concurrency.db.statement import sql_text
from pytest_concurrency.db.steps import AsyncStep, Step, StepThread
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from pytest_concurrency.db.scope import Scope

StartedT = TypeVar("StartedT", Step, AsyncStep)

_GUARDED = (
    "add", "add_all", "begin", "begin_nested", "bulk_insert_mappings", "bulk_save_objects",
    "bulk_update_mappings", "close", "commit", "connection", "delete", "execute", "expire",
    "expire_all", "flush", "get", "get_one", "merge", "query", "refresh", "rollback", "scalar",
    "scalars",
)  # fmt: skip


def _guard(name: str) -> Callable[..., Any]:
    plain = getattr(Session, name)

    @wraps(plain)
    def method(self: GuardedSession, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with self._ownership:
            try:
                return plain(self, *args, **kwargs)
            except Exception as error:
                self._scope.annotate(error, self.name)
                raise

    return method


def _guard_all(kind: type[GuardedSession]) -> type[GuardedSession]:
    """Let every method that uses a session hold that the worker may."""
    for name in _GUARDED:
        setattr(kind, name, _guard(name))
    return kind


@_guard_all
class GuardedSession(Session):
    """A session that refuses a second worker.

    Attributes:
        name: The session's name.
    """

    name: str

    def __init__(self, *, name: str, scope: Scope, **options: Any) -> None:  # noqa: D107  (made by separate_sessions)
        self.name = name
        self._scope = scope
        self._step: Step | AsyncStep | None = None
        self._ownership = Ownership(
            name, opener=scope.opener, step=self._step_after_settling, share=scope.share
        )
        super().__init__(**options)

    def _active_step(self) -> str | None:
        step = self._step
        return None if step is None or step._ended.is_set() else step.text  # noqa: SLF001

    def _step_after_settling(self) -> str | None:
        """Return the text of a step that still waits, once that is known."""
        step = self._step
        if self._active_step() is None:
            return None
        if isinstance(step, Step):
            step.settle()
        elif step is not None:
            from sqlalchemy.exc import MissingGreenlet
            from sqlalchemy.util import await_only

            with suppress(MissingGreenlet):  # called where nothing can be awaited: it counts as is
                await_only(step.settle())
        return self._active_step()

    def _begin_step(self, kind: type[Step | AsyncStep], what: object) -> Step | AsyncStep:
        __tracebackhide__ = True
        check_step(self.name, what)
        if (text := self._step_after_settling()) is not None:
            raise UsageError(self._ownership.still_in(text))
        self._scope.prepare_to_look()
        started_at.set(calling_place())
        self._step = kind(session=self.name, text=named(what), looker=self._scope)
        return self._step

    def _started(self, step: StartedT) -> StartedT:
        """Note a step that has failed at once, for a test that never asks."""
        if step._error is not None:  # noqa: SLF001
            self._scope.watch.failed_steps.append(step)
        return step

    def _keep(self, result: Any) -> Any:
        """Return rows as a list, or the number of changed rows, and show them in the timeline."""
        if not isinstance(result, Result):
            return result
        if not result.returns_rows:  # type: ignore[attr-defined]
            return result.rowcount if isinstance(result, CursorResult) else None
        rows = result.all()
        self._scope.show_rows(self.name, [tuple(row) for row in rows])
        return rows


@final
class WorkerSession(GuardedSession):
    """A session on a connection of its own. Its commits are real.

    Everything of ``sqlalchemy.orm.Session`` works; ``start`` is added.
    """

    _thread: StepThread | None = None

    def start(self, what: Executable | str | Callable[..., Any], *args: Any, **kwargs: Any) -> Step:
        """Start a step, and return once it has ended or is known to wait for another session.

        Args:
            what: A statement, SQL as text, or a function; a function is called with this session
                first, a method of this session as it is.
            args: For a statement, its parameters; for a function, what follows the session.
            kwargs: For a function, its keyword arguments.
        """
        __tracebackhide__ = True
        step = self._begin_step(Step, what)
        if not isinstance(step, Step):  # pragma: no cover  (narrows the type)
            raise TypeError
        if self._thread is None:
            self._thread = StepThread(self.name, self._ownership.appoint)
        self._thread.run(step, lambda: self._keep(call_with(self, what, args, kwargs)))
        step.settle()
        return self._started(step)


def call_with(session: Any, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do what a step is for: execute a statement, or call a function with the session."""
    if isinstance(what, str):
        from sqlalchemy import text

        what = text(what)
    if isinstance(what, Executable):
        return session.execute(what, *args)
    if getattr(what, "__self__", None) is session:
        return what(*args, **kwargs)
    return what(session, *args, **kwargs)


def named(what: object) -> str:
    """Return a statement as text, or the name of a function."""
    if isinstance(what, str):
        return sql_text(what, width=76)
    if isinstance(what, ClauseElement):
        compiled = what.compile()
        return sql_text(str(compiled), compiled.params, width=76)
    return f"{getattr(what, '__qualname__', what)}()"
