"""Schedule runs: asked for once, however often the request arrives."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Header, Path, Response, status
from fastapi.responses import JSONResponse
from sqlalchemy import select

from residency.services.generation import begin_run, complete_run, get_run
from residency.services.idempotency import create_request, mark_completed
from residency.store.models import ScheduleRun
from residency.web.messages import GenerationRequest, Number, RunAnswer
from residency.web.state import Shared, Transaction

router = APIRouter(tags=["schedule runs"])

REPLAYED = "X-Idempotency-Replayed"
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post(
    "/schedule-runs", status_code=status.HTTP_202_ACCEPTED, responses={202: {"model": RunAnswer}}
)
def generate_schedule(
    state: Shared, asked: GenerationRequest, key: Key, background: BackgroundTasks
) -> Response:
    """Generate a schedule; the same key and days again give the same answer."""
    body = asked.model_dump(mode="json")
    with state.sessions.begin() as session:
        claim = create_request(session, key=key, body=body)
        if not claim.is_new:
            return _answer(claim.record.status_code, claim.record.answer, replayed=True)
        run = begin_run(session, first_day=asked.first_day, last_day=asked.last_day)
        answer = RunAnswer.model_validate(run).model_dump(mode="json")
        mark_completed(
            session, claim.record.id, status_code=status.HTTP_202_ACCEPTED, answer=answer
        )
        run_id = run.id
    background.add_task(complete_run, state.sessions, run_id, planner=state.planner)
    return _answer(status.HTTP_202_ACCEPTED, answer, replayed=False)


def _answer(code: int | None, answer: dict[str, Any] | None, *, replayed: bool) -> Response:
    headers = {REPLAYED: "true"} if replayed else None
    return JSONResponse(answer, status_code=code or 202, headers=headers)


@router.get("/schedule-runs")
def list_runs(session: Transaction) -> list[RunAnswer]:
    """List the newest runs."""
    query = select(ScheduleRun).order_by(ScheduleRun.id.desc()).limit(200)
    return [RunAnswer.model_validate(one) for one in session.scalars(query)]


@router.get("/schedule-runs/{run_id}")
def read_run(session: Transaction, run_id: Annotated[Number, Path()]) -> RunAnswer:
    """Read one run."""
    return RunAnswer.model_validate(get_run(session, run_id))
