"""Long tasks: in steps, watched in a table, cancelled half-way without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from residency.services.errors import NotFound, TaskEnded
from residency.store.engine import reading
from residency.store.models import Base, Task, now

Step = Callable[[int], Iterable[Base]]
AsyncStep = Callable[[int], Awaitable[Iterable[Base]]]
ACTIVE = ("running", "cancelling")
LONGEST_TASK = timedelta(hours=1)
"""A task that takes longer was left behind by a process that died, and is given up."""


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
        raise NotFound(detail, advice="Start one: POST /tasks.")
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


def give_up_left_behind(session: Session) -> None:
    """Say in the table that tasks failed whose process died; should one live, it writes nothing."""
    session.execute(
        update(Task)
        .where(Task.status.in_(ACTIVE), Task.created_at < now() - LONGEST_TASK)
        .values(status="failed")
    )


def run_steps(
    sessions: sessionmaker[Session],
    task_id: int,
    step: Step,
    *,
    stop: Callable[[], bool] = lambda: False,
    clean_up: Callable[[], None] = lambda: None,
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
    work = Work(sessions, task_id)
    try:
        for number in range(work.begin()):
            if stop() or work.is_cancelled():
                return work.give_up("cancelled", clean_up)
            work.add(step(number))
        return work.finish(clean_up)
    except BaseException:
        work.give_up("failed", clean_up)
        raise


async def run_steps_async(
    sessions: sessionmaker[Session],
    task_id: int,
    step: AsyncStep,
    *,
    clean_up: Callable[[], None] = lambda: None,
) -> str:
    """Run a task as an asyncio task; cancelling that cancels it, as asking in the table does.

    The loop goes on while the database works. A task that is cancelled while its rows are being
    written is wholly done or wholly cancelled, as the table says.
    """
    work = Work(sessions, task_id)
    try:
        for number in range(await asyncio.to_thread(work.begin)):
            if await asyncio.to_thread(work.is_cancelled):
                return await asyncio.to_thread(work.give_up, "cancelled", clean_up)
            work.add(await step(number))
        writing = asyncio.ensure_future(asyncio.to_thread(work.finish, clean_up))
        try:
            return await asyncio.shield(writing)
        finally:
            await asyncio.wait([writing])
    except BaseException as error:
        how = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
        await asyncio.shield(asyncio.to_thread(work.give_up, how, clean_up))
        raise


class Work:
    """What a task has prepared, until it is written or given up."""

    def __init__(self, sessions: sessionmaker[Session], task_id: int) -> None:
        """Take on a task of the table."""
        self._sessions = sessions
        self._task_id = task_id
        self._rows: list[Base] = []
        self._step = 0

    def begin(self) -> int:
        """Return how many steps there are."""
        with self._sessions() as session:
            return get_task(reading(session), self._task_id).steps

    def is_cancelled(self) -> bool:
        """Say whether somebody has asked the task to stop."""
        with self._sessions() as session:
            status = reading(session).scalar(select(Task.status).where(Task.id == self._task_id))
        return status == "cancelling"

    def add(self, rows: Iterable[Base]) -> None:
        """Keep what a step has prepared."""
        self._rows.extend(rows)
        self._step += 1

    def finish(self, clean_up: Callable[[], None]) -> str:
        """Write all rows and the end of the task together, or, if it was cancelled, neither."""
        with self._sessions() as session:
            ended = session.execute(
                update(Task)
                .where(Task.id == self._task_id, Task.status == "running")
                .values(status="done", step=self._step)
            )
            if ended.rowcount:  # type: ignore[attr-defined]
                session.add_all(self._rows)
                session.commit()
                return "done"
        return self.give_up("cancelled", clean_up)

    def give_up(self, status: str, clean_up: Callable[[], None]) -> str:
        """Say in the table how the task ended, and clean up, unless it has ended already."""
        is_first = True
        try:
            with self._sessions.begin() as session:
                ended = session.execute(
                    update(Task)
                    .where(Task.id == self._task_id, Task.status.in_(ACTIVE))
                    .values(status=status, step=self._step)
                )
                is_first = bool(ended.rowcount)  # type: ignore[attr-defined]
        finally:
            if is_first:
                clean_up()
        return status
