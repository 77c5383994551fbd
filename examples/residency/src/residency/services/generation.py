"""Generating a schedule: begun, worked out, written; swaps wait meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from residency.services.errors import GenerationRunning, NotFound, Refusal
from residency.services.locks import take_lock
from residency.services.swaps import SCHEDULE_LOCK, decide_queued, is_generating
from residency.store.models import Assignment, Block, ScheduleRun, now


class NothingToPlan(Refusal):
    """There are no blocks between the days."""

    status = 422
    title = "No blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One row of a schedule that was worked out."""

    block_id: int
    person_id: int
    template_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A schedule that was worked out, and what that took."""

    places: Iterable[Place]
    statistics: dict[str, Any]


Planner = Callable[[Session, date, date], Draft]
"""Works a schedule out from what a session can read; it writes nothing."""


def begin_run(session: Session, *, first_day: date, last_day: date) -> ScheduleRun:
    """Enter a run in the table; from now on swaps wait for it.

    Raises:
        NothingToPlan: There are no blocks between the days.
        GenerationRunning: Another run is not over.
    """
    take_lock(session, SCHEDULE_LOCK)
    blocks = select(Block.id).where(Block.day.between(first_day, last_day)).limit(1)
    if session.scalar(blocks) is None:
        detail = f"There are no blocks from {first_day} to {last_day}."
        raise NothingToPlan(detail, advice="List the blocks: GET /blocks.")
    if is_generating(session):
        detail = "Another schedule is being generated."
        raise GenerationRunning(detail, advice="Wait until it is done: GET /runs.")
    run = ScheduleRun(first_day=first_day, last_day=last_day)
    session.add(run)
    session.flush()
    return run


def finish_run(session: Session, run_id: int, draft: Draft) -> ScheduleRun:
    """Put a draft in the place of what was planned for its days, and decide the waiting swaps."""
    take_lock(session, SCHEDULE_LOCK)
    run = get_run(session, run_id)
    days = select(Block.id).where(Block.day.between(run.first_day, run.last_day))
    session.execute(delete(Assignment).where(Assignment.block_id.in_(days)))
    session.add_all(
        Assignment(
            block_id=place.block_id,
            person_id=place.person_id,
            template_id=place.template_id,
            run_id=run.id,
        )
        for place in draft.places
    )
    run.status, run.statistics, run.finished_at = "done", draft.statistics, now()
    session.flush()
    decide_queued(session)
    return run


def fail_run(session: Session, run_id: int, reason: str) -> None:
    """Give a run up; what was planned before stays, and the waiting swaps are decided."""
    take_lock(session, SCHEDULE_LOCK)
    run = get_run(session, run_id)
    run.status, run.statistics, run.finished_at = "failed", {"reason": reason}, now()
    session.flush()
    decide_queued(session)


def get_run(session: Session, run_id: int) -> ScheduleRun:
    """Return a run.

    Raises:
        NotFound: There is none with this number.
    """
    run = session.get(ScheduleRun, run_id, populate_existing=True)
    if run is None:
        detail = f"There is no schedule run {run_id}."
        raise NotFound(detail, advice="List the runs: GET /runs.")
    return run


def complete_run(sessions: sessionmaker[Session], run_id: int, *, planner: Planner) -> None:
    """Work out and write the schedule of a run that has begun."""
    try:
        with sessions() as session:
            run = get_run(session, run_id)
            draft = planner(session, run.first_day, run.last_day)
        with sessions.begin() as session:
            finish_run(session, run_id, draft)
    except BaseException as error:
        with sessions.begin() as session:
            fail_run(session, run_id, f"{type(error).__name__}: {error}")
        raise


def generate(
    sessions: sessionmaker[Session], *, first_day: date, last_day: date, planner: Planner
) -> int:
    """Generate a schedule from beginning to end; return the number of its run."""
    with sessions.begin() as session:
        run_id = begin_run(session, first_day=first_day, last_day=last_day).id
    complete_run(sessions, run_id, planner=planner)
    return run_id
