"""Generating a schedule: entered, worked out, written. One at a time; swaps wait meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from residency.services.errors import NotFound, NothingToPlan, RunOver
from residency.services.swaps import SCHEDULE_LOCK, decide_queued, is_generating
from residency.store.engine import reading
from residency.store.locks import take_lock
from residency.store.models import Assignment, Block, ScheduleRun, now

LONGEST_RUN = timedelta(minutes=15)
"""A run that takes longer was left behind by a process that died, and is given up."""


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
    """Enter a run in the table, waiting for its turn; from now on swaps wait for it.

    Raises:
        NothingToPlan: There are no blocks between the days.
    """
    take_lock(session, SCHEDULE_LOCK)
    require_blocks(session, first_day, last_day)
    run = ScheduleRun(first_day=first_day, last_day=last_day, status="waiting")
    session.add(run)
    session.flush()
    return run


def require_blocks(session: Session, first_day: date, last_day: date) -> None:
    """Refuse days without any block.

    Raises:
        NothingToPlan: There are no blocks between the days.
    """
    blocks = select(Block.id).where(Block.day.between(first_day, last_day)).limit(1)
    if session.scalar(blocks) is None:
        detail = f"There are no blocks from {first_day} to {last_day}."
        raise NothingToPlan(detail, advice="Name days that have blocks, the first one first.")


def start_next(session: Session) -> int | None:
    """Start the run that waits longest, unless one is running; whoever did has to complete it.

    A run that was left behind is given up. If none is to come, swaps that wait wait no longer.

    Returns:
        The number of the run that was started, if one was.
    """
    take_lock(session, SCHEDULE_LOCK)
    for left in session.scalars(
        select(ScheduleRun).where(
            ScheduleRun.status == "running", ScheduleRun.started_at < now() - LONGEST_RUN
        )
    ):
        _end(left, "failed", {"reason": f"It was given up after {LONGEST_RUN}."})
    session.flush()
    if _first(session, "running") is not None:
        return None
    found = _first(session, "waiting")
    if found is None:
        decide_queued(session)
        return None
    found.status, found.started_at = "running", now()
    session.flush()
    return found.id


def finish_run(session: Session, run_id: int, draft: Draft) -> ScheduleRun:
    """Put a draft in the place of what was planned for its days, and decide the waiting swaps.

    Raises:
        RunOver: The run is not running; it was given up, or completed by somebody else.
    """
    run = _running(session, run_id)
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
    _end(run, "done", draft.statistics)
    _let_swaps_go_on(session)
    return run


def fail_run(session: Session, run_id: int, reason: str) -> None:
    """Give a run up; what was planned before stays, and the waiting swaps are decided.

    Raises:
        RunOver: The run is not running.
    """
    _end(_running(session, run_id), "failed", {"reason": reason})
    _let_swaps_go_on(session)


def get_run(session: Session, run_id: int) -> ScheduleRun:
    """Return a run.

    Raises:
        NotFound: There is none with this number.
    """
    run = session.get(ScheduleRun, run_id, populate_existing=True)
    if run is None:
        detail = f"There is no schedule run {run_id}."
        raise NotFound(detail, advice="List the runs: GET /schedule-runs.")
    return run


def complete_run(sessions: sessionmaker[Session], run_id: int, *, planner: Planner) -> None:
    """Work out and write the schedule of a run that was started."""
    try:
        with sessions() as session:
            run = get_run(reading(session), run_id)
            draft = planner(session, run.first_day, run.last_day)
        with sessions.begin() as session:
            finish_run(session, run_id, draft)
    except RunOver:
        raise
    except BaseException as error:
        with sessions.begin() as session:
            fail_run(session, run_id, f"{type(error).__name__}: {error}")
        raise


def work_off(
    sessions: sessionmaker[Session],
    *,
    planner: Planner,
    started: int | None = None,
    failed: Callable[[int, Exception], None] = lambda _run, _error: None,
) -> None:
    """Complete the runs that wait, one after the other, unless somebody else is doing so.

    Args:
        sessions: Where the data is.
        planner: Works the schedules out.
        started: A run that the caller has started already.
        failed: Told of each run that failed; the next one is begun all the same.
    """
    while True:
        if started is None:
            with sessions.begin() as session:
                started = start_next(session)
        if started is None:
            return
        try:
            complete_run(sessions, started, planner=planner)
        except Exception as error:  # noqa: BLE001 - whoever asked for the run reads it in the table
            failed(started, error)
        started = None


def generate(
    sessions: sessionmaker[Session], *, first_day: date, last_day: date, planner: Planner
) -> int:
    """Generate a schedule and return the number of its run.

    If another run is going, this one waits, and whoever works on that one completes it too.
    """
    with sessions.begin() as session:
        run_id = begin_run(session, first_day=first_day, last_day=last_day).id
        started = start_next(session)
    if started == run_id:
        complete_run(sessions, run_id, planner=planner)
        started = None
    work_off(sessions, planner=planner, started=started)
    return run_id


def _first(session: Session, status: str) -> ScheduleRun | None:
    query = select(ScheduleRun).where(ScheduleRun.status == status).order_by(ScheduleRun.id)
    return session.scalars(query.limit(1)).one_or_none()


def _running(session: Session, run_id: int) -> ScheduleRun:
    take_lock(session, SCHEDULE_LOCK)
    run = get_run(session, run_id)
    if run.status != "running":
        detail = f"Schedule run {run_id} is {run.status}, not running."
        raise RunOver(detail, advice="Start another run: POST /schedule-runs.")
    return run


def _end(run: ScheduleRun, status: str, statistics: dict[str, Any]) -> None:
    run.status, run.statistics, run.finished_at = status, statistics, now()


def _let_swaps_go_on(session: Session) -> None:
    """Decide the waiting swaps, unless another run is to come that would undo them."""
    session.flush()
    if not is_generating(session):
        decide_queued(session)
