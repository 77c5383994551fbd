"""Long tasks: started, watched, cancelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, status

from residency.services.digest import digest_step
from residency.services.tasks import cancel_task, create_task, get_task, run_steps
from residency.web.messages import Number, TaskAnswer, TaskRequest
from residency.web.state import Shared, Transaction

router = APIRouter(tags=["tasks"])


@router.post("/tasks", status_code=status.HTTP_202_ACCEPTED)
def start_task(state: Shared, asked: TaskRequest) -> TaskAnswer:
    """Start a long task in the background."""
    with state.sessions.begin() as session:
        task = create_task(session, kind=asked.kind, steps=asked.steps)
        answer = TaskAnswer.model_validate(task)
    state.background.submit(run_steps, state.sessions, answer.id, digest_step(state.sessions))
    return answer


@router.get("/tasks/{task_id}")
def read_task(session: Transaction, task_id: Annotated[Number, Path()]) -> TaskAnswer:
    """Read one task."""
    return TaskAnswer.model_validate(get_task(session, task_id))


@router.post("/tasks/{task_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
def stop_task(session: Transaction, task_id: Annotated[Number, Path()]) -> TaskAnswer:
    """Ask a running task to stop; 409 if it is over."""
    return TaskAnswer.model_validate(cancel_task(session, task_id))
