"""The fallback schedule: the least that must be covered, deployed at once and taken back again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from residency.domain.greedy import MONTH, HalfDay, Need, Worker, fill, halves
from residency.services.errors import Refusal
from residency.services.generation import Draft, Place, get_run, require_blocks
from residency.services.swaps import SCHEDULE_LOCK, is_generating
from residency.store.locks import take_lock
from residency.store.models import (
    Absence,
    Assignment,
    Block,
    Person,
    RotationTemplate,
    ScheduleRun,
    now,
)

KEPT = ("id", "block_id", "person_id", "template_id", "run_id", "note", "version")
"""What is remembered of each assignment that a fallback replaces."""


class FallbackRefused(Refusal):
    """A fallback that cannot be deployed or taken back as things are."""

    title = "Fallback not possible"


def fallback_draft(
    session: Session, *, first_day: date, last_day: date, missing: Collection[int] = ()
) -> Draft:
    """Work out the least that must be covered, without those who are missing or absent."""
    blocks, needs, everybody = read_problem(session, first_day=first_day, last_day=last_day)
    workers = [one for one in everybody if one.id not in missing]
    filled = fill(blocks, needs, workers)
    return Draft(
        places=[
            Place(block_id=block, person_id=person, template_id=template)
            for block, person, template in filled.places
        ],
        statistics={"planner": "fallback", "filled": filled.share, "empty": filled.empty},
    )


def read_problem(
    session: Session, *, first_day: date, last_day: date
) -> tuple[list[HalfDay], list[Need], list[Worker]]:
    """Read what has to be covered, and by whom."""
    absent = _absences(session, first_day, last_day)
    worked = _worked_around(session, first_day, last_day)
    workers = [
        Worker(
            id=number,
            year=year,
            absent=absent.get(number, frozenset()),
            worked=worked.get(number, {}),
        )
        for number, year in session.execute(select(Person.id, Person.year).order_by(Person.id))
    ]
    needs = [
        Need(
            template_id=one.id,
            residents=one.needs_residents,
            hours=one.hours,
            is_supervised=one.is_supervised,
        )
        for one in session.scalars(select(RotationTemplate).order_by(RotationTemplate.id))
    ]
    days = Block.day.between(first_day, last_day)
    query = select(Block.id, Block.day).where(days).order_by(Block.day, Block.half)
    blocks = [HalfDay(id=number, day=day) for number, day in session.execute(query)]
    return blocks, needs, workers


def deploy_fallback(
    session: Session, *, first_day: date, last_day: date, missing: Collection[int] = ()
) -> ScheduleRun:
    """Put the fallback in the place of what was planned, which is kept to be put back.

    Raises:
        FallbackRefused: A schedule is being generated, which would replace it.
        NothingToPlan: There are no blocks between the days.
    """
    take_lock(session, SCHEDULE_LOCK)
    if is_generating(session):
        detail = "A schedule is being generated and would replace the fallback."
        raise FallbackRefused(detail, advice="Wait until the run has ended, then deploy.")
    require_blocks(session, first_day, last_day)
    draft = fallback_draft(session, first_day=first_day, last_day=last_day, missing=missing)
    replaced = _take_away(session, first_day, last_day)
    run = ScheduleRun(
        first_day=first_day,
        last_day=last_day,
        status="done",
        is_fallback=True,
        statistics={**draft.statistics, "replaced": replaced},
        finished_at=now(),
    )
    session.add(run)
    session.flush()
    rows = [
        {
            "block_id": one.block_id,
            "person_id": one.person_id,
            "template_id": one.template_id,
            "run_id": run.id,
        }
        for one in draft.places
    ]
    if rows:
        session.execute(insert(Assignment), rows)
    return run


def roll_back(session: Session, run_id: int) -> ScheduleRun:
    """Put back what a fallback replaced, every assignment as it was.

    Raises:
        NotFound: There is no such run.
        FallbackRefused: It is no fallback, or no longer what is planned for its days.
    """
    take_lock(session, SCHEDULE_LOCK)
    run = get_run(session, run_id)
    if not run.is_fallback or run.status != "done":
        detail = f"Run {run_id} is no fallback that is in force."
        raise FallbackRefused(detail, advice="List the runs, and name a fallback that is done.")
    if is_generating(session) or _is_replaced(session, run):
        detail = f"Fallback {run_id} is replaced by a newer schedule."
        raise FallbackRefused(detail, advice="Generate a schedule for these days instead.")
    replaced = run.statistics["replaced"]
    _take_away(session, run.first_day, run.last_day)
    if replaced:
        rows = [dict(zip(KEPT, values, strict=True)) for values in replaced]
        session.execute(insert(Assignment), rows)
    run.status = "rolled back"
    session.flush()
    return run


def _take_away(session: Session, first_day: date, last_day: date) -> list[list[Any]]:
    """Delete the assignments between two days; return what they were."""
    blocks = select(Block.id).where(Block.day.between(first_day, last_day))
    planned = Assignment.block_id.in_(blocks)
    columns = [getattr(Assignment, name) for name in KEPT]
    query = select(*columns).where(planned).order_by(Assignment.id)
    rows = [list(row) for row in session.execute(query)]
    session.execute(
        delete(Assignment).where(planned), execution_options={"synchronize_session": False}
    )
    session.expire_all()
    return rows


def _is_replaced(session: Session, run: ScheduleRun) -> bool:
    later = select(ScheduleRun.id).where(
        ScheduleRun.id > run.id,
        ScheduleRun.status == "done",
        ScheduleRun.first_day <= run.last_day,
        ScheduleRun.last_day >= run.first_day,
    )
    return session.scalar(later.limit(1)) is not None


def _worked_around(session: Session, first_day: date, last_day: date) -> dict[int, dict[date, int]]:
    """Return the half-hours of residents on days near enough to count with those between."""
    begin = date.fromordinal(max(first_day.toordinal() - MONTH + 1, date.min.toordinal()))
    end = date.fromordinal(min(last_day.toordinal() + MONTH - 1, date.max.toordinal()))
    query = (
        select(Assignment.person_id, Block.day, func.sum(RotationTemplate.hours))
        .join(Block, Block.id == Assignment.block_id)
        .join(RotationTemplate, RotationTemplate.id == Assignment.template_id)
        .join(Person, Person.id == Assignment.person_id)
        .where(Block.day.between(begin, end), ~Block.day.between(first_day, last_day))
        .where(Person.year.is_not(None))
        .group_by(Assignment.person_id, Block.day)
    )
    found: dict[int, dict[date, int]] = {}
    for person, day, hours in session.execute(query):
        found.setdefault(person, {})[day] = halves(hours)
    return found


def _absences(session: Session, first_day: date, last_day: date) -> dict[int, frozenset[date]]:
    found: dict[int, set[date]] = {}
    query = select(Absence.person_id, Absence.first_day, Absence.last_day).where(
        Absence.first_day <= last_day, Absence.last_day >= first_day
    )
    for person, first, last in session.execute(query):
        begin, end = max(first, first_day), min(last, last_day)
        days = range((end - begin).days + 1)
        found.setdefault(person, set()).update(begin + timedelta(days=day) for day in days)
    return {person: frozenset(days) for person, days in found.items()}
