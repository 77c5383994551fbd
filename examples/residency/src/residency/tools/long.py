"""Tools that take a while, and tell how far they are: generation and the digest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from residency.messages import NO_NUL, Day, GenerationRequest, NoTruth, RunAnswer, TaskAnswer
from residency.services.digest import digest_step
from residency.services.generation import begin_run, get_run, start_next, work_off
from residency.services.idempotency import (
    clean_up,
    create_request,
    mark_completed,
    recorded_answer,
)
from residency.services.tasks import create_task, get_task, run_steps_async
from residency.store.models import Base
from residency.tools.desk import Desk, check_order, refusals_told

GENERATES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
COUNTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
Key = Annotated[str, Field(min_length=1, max_length=255, pattern=NO_NUL)]
Steps = Annotated[int, Field(ge=1, le=1000), NoTruth]
STARTED = 202


class GenerationAnswer(BaseModel):
    """A schedule run, and whether this call or an earlier one with its key asked for it."""

    run: RunAnswer
    is_replayed: bool


def add_long_tools(server: MCPServer[None], desk: Desk) -> None:
    """Give a server the tools that tell how far they are."""

    @server.tool(annotations=GENERATES)
    async def generate_schedule(
        first_day: Day, last_day: Day, key: Key, context: Context[None, Any]
    ) -> GenerationAnswer:
        """Generate the schedule of some days; the same key and days again give the same run."""
        check_order(first_day, last_day)
        asked = GenerationRequest(first_day=first_day, last_day=last_day)
        run_id, is_new, started = await asyncio.to_thread(_enter, desk, asked, key)
        await context.report_progress(1, 3, f"Run {run_id} is entered.")
        if started is not None:
            await context.report_progress(2, 3, f"Run {started} is being worked out.")
            await asyncio.to_thread(work_off, desk.sessions, planner=desk.planner, started=started)
            desk.background.submit(clean_up)
        run = await asyncio.to_thread(_read_run, desk, run_id)
        await context.report_progress(3, 3, f"Run {run_id} is {run.status}.")
        return GenerationAnswer(run=run, is_replayed=not is_new)

    @server.tool(annotations=COUNTS)
    async def count_shifts(context: Context[None, Any], steps: Steps = 10) -> TaskAnswer:
        """Count everybody's shifts in steps; cancelling the call cancels the task."""
        task_id = await asyncio.to_thread(_begin_digest, desk, steps)
        prepare = digest_step(desk.sessions, task_id=task_id, steps=steps)
        step = _telling(prepare, steps, context)
        await run_steps_async(desk.sessions, task_id, step)
        return await asyncio.to_thread(_read_task, desk, task_id)


def _enter(desk: Desk, asked: GenerationRequest, key: str) -> tuple[int, bool, int | None]:
    """Enter a run once for a key; return its number, whether it is new, and the run to work out."""
    with desk.writing() as session:
        claim = create_request(session, key=key, body=asked.model_dump(mode="json"))
        if not claim.is_new:
            return int(recorded_answer(claim)[1]["id"]), False, None
        run = begin_run(session, first_day=asked.first_day, last_day=asked.last_day)
        started = start_next(session)
        answer = RunAnswer.model_validate(run).model_dump(mode="json")
        mark_completed(session, claim.record.id, status_code=STARTED, answer=answer)
        return run.id, True, started


def _read_run(desk: Desk, run_id: int) -> RunAnswer:
    with desk.reading() as session:
        return RunAnswer.model_validate(get_run(session, run_id))


def _begin_digest(desk: Desk, steps: int) -> int:
    with desk.writing() as session:
        return create_task(session, kind="digest", steps=steps).id


def _read_task(desk: Desk, task_id: int) -> TaskAnswer:
    with desk.reading() as session:
        return TaskAnswer.model_validate(get_task(session, task_id))


def _telling(
    prepare: Callable[[int], Iterable[Base]], steps: int, context: Context[None, Any]
) -> Callable[[int], Any]:
    """Return what does a step beside the loop, and then tells that it is done."""

    async def step(number: int) -> Iterable[Base]:
        with refusals_told():
            rows = await asyncio.to_thread(prepare, number)
        await context.report_progress(number + 1, steps, f"Step {number + 1} of {steps} is done.")
        return rows

    return step
