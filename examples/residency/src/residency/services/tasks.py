"""Long tasks: in steps, watched in a table, cancelled half-way without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from residency.services.errors import NotFound, Refusal
from residency.store.models import Base, Task

Step = Callable[[int], Iterable[Base]]
AsyncStep = Callable[[int], Awaitable[Iterable[Base]]]


class TaskEnded(Refusal):
    """A task that is over cannot be cancelled."""

    title = "The task is over"


def create_task(session: Session, *, kind: str, steps: int = 10) -> Task:
    """Enter a task in the table."""
    task = Task(kind=kind, steps=steps)
    session.add(task)
    session.flush()
    return task


def get_task(session: Session, task_id: int) -> Task:
    """Return a task.

    Raises:
        NotFound: There is none with this number.
    """
    task = session.get(Task, task_id, populate_existing=True)
    if task is None:
        detail = f"There is no task {task_id}."
        raise NotFound(detail, advice="List the tasks: GET /tasks.")
    return task


def cancel_task(session: Session, task_id: int) -> Task:
    """Ask a running task to stop; asking twice is harmless.

    Raises:
        NotFound: There is none with this number.
        TaskEnded: It is over.
    """
    session.execute(
        update(Task).where(Task.id == task_id, Task.status == "running").values(status="cancelling")
    )
    task = get_task(session, task_id)
    if task.status not in ("cancelling", "cancelled"):
        detail = f"Task {task_id} is {task.status}."
        raise TaskEnded(detail, advice="Only running tasks can be cancelled.")
    return task


def run_steps(
    sessions: sessionmaker[Session],
    task_id: int,
    step: Step,
    *,
    stop: Callable[[], bool] | None = None,
    clean_up: Callable[[], None] | None = None,
) -> str:
    """Run a task in the caller's thread; return how it ended.

    Its steps only prepare rows. They are written in one transaction after the last step, so that
    no lock is held meanwhile and a task that is cancelled, even in its last moment, leaves nothing.

    Args:
        sessions: Where the work is done, and the table kept.
        task_id: Which task.
        step: Does one step; returns the rows that it adds.
        stop: Asked before each step whether to stop, besides the table.
        clean_up: Called when the task is cancelled or fails.
    """
    run = _Run(sessions, task_id, clean_up)
    with run:
        for number in range(run.steps):
            if (stop is not None and stop()) or run.is_cancelled():
                return run.end("cancelled")
            run.rows.extend(step(number))
            run.step = number + 1
        return run.commit()


async def run_steps_async(
    sessions: sessionmaker[Session],
    task_id: int,
    step: AsyncStep,
    *,
    clean_up: Callable[[], None] | None = None,
) -> str:
    """Run a task as an asyncio task; cancelling that cancels it, as asking in the table does."""
    run = _Run(sessions, task_id, clean_up)
    with run:
        for number in range(run.steps):
            if run.is_cancelled():
                return run.end("cancelled")
            run.rows.extend(await step(number))
            run.step = number + 1
        return run.commit()


class _Run:
    """One task from its first step to its entry in the table."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        task_id: int,
        clean_up: Callable[[], None] | None,
    ) -> None:
        self._sessions = sessions
        self._task_id = task_id
        self._clean_up = clean_up
        self.rows: list[Base] = []
        self.step = 0
        with sessions() as session:
            self.steps = get_task(session, task_id).steps

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is not None:
            self.end("cancelled" if isinstance(error, asyncio.CancelledError) else "failed")

    def is_cancelled(self) -> bool:
        """Say whether somebody has asked the task to stop."""
        with self._sessions() as session:
            status = session.scalar(select(Task.status).where(Task.id == self._task_id))
        return status == "cancelling"

    def commit(self) -> str:
        """Write all rows and the end of the task together, or neither."""
        with self._sessions() as session:
            session.add_all(self.rows)
            session.flush()
            result = session.execute(
                update(Task)
                .where(Task.id == self._task_id, Task.status == "running")
                .values(status="done", step=self.step)
            )
            if result.rowcount:  # type: ignore[attr-defined]
                session.commit()
                return "done"
            session.rollback()
        return self.end("cancelled")

    def end(self, status: str) -> str:
        """Clean up, and say in the table how it ended."""
        if self._clean_up is not None:
            self._clean_up()
        with self._sessions.begin() as session:
            session.execute(
                update(Task).where(Task.id == self._task_id).values(status=status, step=self.step)
            )
        return status
