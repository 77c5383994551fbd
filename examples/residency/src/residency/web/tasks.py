"""Long tasks: started, watched, cancelled."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, status
from sqlalchemy import select

from residency.messages import DigestAnswer, Number, TaskAnswer, TaskRequest
from residency.services.digest import digest_step
from residency.services.tasks import cancel_task, create_task, get_task, run_steps
from residency.store.models import DigestLine
from residency.web.state import Shared
from residency.web.tokens import PLANNERS, ROLES, allow

router = APIRouter(tags=["tasks"])
logger = structlog.get_logger()


@router.post("/tasks", status_code=status.HTTP_202_ACCEPTED, dependencies=[allow(*PLANNERS)])
def start_task(state: Shared, asked: TaskRequest) -> TaskAnswer:
    """Start a long task in the background."""
    with state.sessions.begin() as session:
        task = create_task(session, kind=asked.kind, steps=asked.steps)
        answer = TaskAnswer.model_validate(task)
    step = digest_step(state.sessions, task_id=answer.id, steps=answer.steps)
    running = state.background.submit(
        run_steps, state.sessions, answer.id, step, stop=state.stopping.is_set
    )
    running.add_done_callback(_log_failure)
    return answer


def _log_failure(ended: Future[str]) -> None:
    error = ended.exception()
    if error is not None:
        logger.error("task failed", error=repr(error))


@router.get("/tasks/{task_id}", dependencies=[allow(*ROLES)])
def read_task(state: Shared, task_id: Annotated[Number, Path()]) -> TaskAnswer:
    """Read one task."""
    with state.reading() as session:
        return TaskAnswer.model_validate(get_task(session, task_id))


@router.get("/tasks/{task_id}/digest", dependencies=[allow(*ROLES)])
def read_digest(state: Shared, task_id: Annotated[Number, Path()]) -> list[DigestAnswer]:
    """Read what a task has counted: nothing before it is done."""
    with state.reading() as session:
        get_task(session, task_id)
        query = (
            select(DigestLine).where(DigestLine.task_id == task_id).order_by(DigestLine.person_id)
        )
        return [DigestAnswer.model_validate(one) for one in session.scalars(query)]


@router.post(
    "/tasks/{task_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[allow(*PLANNERS)],
)
def stop_task(state: Shared, task_id: Annotated[Number, Path()]) -> TaskAnswer:
    """Ask a running task to stop; 409 if it is over."""
    with state.writing() as session:
        return TaskAnswer.model_validate(cancel_task(session, task_id))
