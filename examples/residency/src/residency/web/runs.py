"""Schedule runs: asked for once, however often the request arrives."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Path, Response, status
from fastapi.responses import JSONResponse
from sqlalchemy import select

from residency.messages import NEWEST, Before, GenerationRequest, Limit, Number, RunAnswer
from residency.services.errors import NotFound
from residency.services.generation import begin_run, get_run, start_next, work_off
from residency.services.idempotency import create_request, mark_completed, recorded_answer
from residency.solver.plot import quality_svg
from residency.store.models import ScheduleRun
from residency.web.state import Shared, State
from residency.web.tokens import PLANNERS, ROLES, allow

router = APIRouter(tags=["schedule runs"])
logger = structlog.get_logger()


class Plot(Response):
    """A drawing."""

    media_type = "image/svg+xml"


REPLAYED = "X-Idempotency-Replayed"
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post(
    "/schedule-runs",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=RunAnswer,
    dependencies=[allow(*PLANNERS)],
)
def generate_schedule(state: Shared, asked: GenerationRequest, key: Key) -> Response:
    """Generate a schedule; the same key and days again give the same answer.

    A run that comes while another is going is ``waiting`` until that one has ended.
    """
    with state.sessions.begin() as session:
        claim = create_request(session, key=key, body=asked.model_dump(mode="json"))
        if not claim.is_new:
            code, answer = recorded_answer(claim)
            return JSONResponse(answer, status_code=code, headers={REPLAYED: "true"})
        run = begin_run(session, first_day=asked.first_day, last_day=asked.last_day)
        started = start_next(session)
        code, answer = status.HTTP_202_ACCEPTED, _answer(run)
        mark_completed(session, claim.record.id, status_code=code, answer=answer)
    if started is not None:
        _complete(state, started)
    return JSONResponse(answer, status_code=code)


def _answer(run: ScheduleRun) -> dict[str, Any]:
    return RunAnswer.model_validate(run).model_dump(mode="json")


def _complete(state: State, started: int) -> None:
    """Work a run out in the background, and then those that came meanwhile."""

    def failed(run_id: int, error: Exception) -> None:
        logger.error("schedule run failed", run=run_id, error=repr(error))

    state.generations.submit(
        work_off, state.sessions, planner=state.planner, started=started, failed=failed
    )


@router.get("/schedule-runs", dependencies=[allow(*ROLES)])
def list_runs(state: Shared, before: Before = NEWEST, limit: Limit = 200) -> list[RunAnswer]:
    """List runs, the newest first."""
    with state.reading() as session:
        query = select(ScheduleRun).where(ScheduleRun.id < before)
        query = query.order_by(ScheduleRun.id.desc()).limit(limit)
        return [RunAnswer.model_validate(one) for one in session.scalars(query)]


@router.get(
    "/schedule-runs/{run_id}/quality.svg",
    dependencies=[allow(*ROLES)],
    response_class=Plot,
)
def draw_quality(state: Shared, run_id: Annotated[Number, Path()]) -> Plot:
    """Draw how good the schedule was against time, as far as a solver worked it out."""
    with state.reading() as session:
        statistics = get_run(session, run_id).statistics
    if "quality" not in statistics:
        detail = f"Schedule run {run_id} was not worked out by the solver, or not yet."
        raise NotFound(detail, advice="Name a run that is done: GET /schedule-runs.")
    return Plot(quality_svg(statistics))


@router.get("/schedule-runs/{run_id}", dependencies=[allow(*ROLES)])
def read_run(state: Shared, run_id: Annotated[Number, Path()]) -> RunAnswer:
    """Read one run."""
    with state.reading() as session:
        return RunAnswer.model_validate(get_run(session, run_id))
