"""Swaps: a shift changes hands, or a reason is given."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from residency.domain.swaps import Shift, Taker, conflict
from residency.services.errors import NotFound, SwapConflict
from residency.services.locks import take_lock
from residency.store.models import Absence, Assignment, Person, ScheduleRun, SwapRequest

SCHEDULE_LOCK = "schedule"
"""Held by whoever changes who works when, for as long as the change takes."""


def request_swap(
    session: Session,
    *,
    assignment_id: int,
    owner_id: int,
    taker_id: int,
    return_assignment_id: int | None = None,
) -> SwapRequest:
    """Give a shift to somebody, at once, or after the schedule that is being generated.

    Args:
        session: The transaction to do it in.
        assignment_id: The shift.
        owner_id: Who has it, as far as the asker knows.
        taker_id: Who is to have it.
        return_assignment_id: A shift of the taker's that the owner gets in exchange.

    Raises:
        NotFound: A shift or a person does not exist.
        SwapConflict: The swap would break the schedule; nothing is changed.
    """
    _check_known(session, assignment_id, taker_id, return_assignment_id)
    take_lock(session, SCHEDULE_LOCK)
    wish = SwapRequest(
        assignment_id=assignment_id,
        taker_id=taker_id,
        return_assignment_id=return_assignment_id,
    )
    session.add(wish)
    if is_generating(session):
        wish.status = "queued"
        wish.reason = "A schedule is being generated; the swap is decided when it is done."
        session.flush()
        return wish
    reason = carry_out(session, wish, owner_id=owner_id)
    if reason is not None:
        session.expunge(wish)
        raise SwapConflict(reason, advice="Ask for another shift, or do what the reason says.")
    session.flush()
    return wish


def is_generating(session: Session) -> bool:
    """Say whether a schedule is being generated."""
    running = select(ScheduleRun.id).where(ScheduleRun.status == "running").limit(1)
    return session.scalar(running) is not None


def carry_out(session: Session, wish: SwapRequest, *, owner_id: int) -> str | None:
    """Make a swap under the schedule's lock; return why not, if it cannot be made."""
    with session.no_autoflush:
        given = _locked(session, wish.assignment_id)
        back = _locked(session, wish.return_assignment_id) if wish.return_assignment_id else None
        taker = session.get_one(Person, wish.taker_id)
        owner = session.get_one(Person, owner_id)
        reason = conflict(
            _shift(given),
            owner_id=owner_id,
            taker=_taker(session, taker),
            freed=back.block_id if back else None,
        )
        if reason is None and back is not None:
            reason = conflict(
                _shift(back),
                owner_id=taker.id,
                taker=_taker(session, owner),
                freed=given.block_id,
            )
    if reason is not None:
        wish.status, wish.reason = "refused", reason
        return reason
    _exchange(session, given, back, owner=owner, taker=taker)
    wish.status = "done"
    return None


def _exchange(
    session: Session, given: Assignment, back: Assignment | None, *, owner: Person, taker: Person
) -> None:
    """Change who works, in an order in which nobody is ever in one block twice."""
    if back is not None and back.block_id == given.block_id:
        given.template_id, back.template_id = back.template_id, given.template_id
    else:
        given.person = taker
        if back is not None:
            back.person = owner
    for one in (given, back):
        if one is not None:
            one.version += 1
    session.flush()


def decide_queued(session: Session) -> Sequence[SwapRequest]:
    """Decide every swap that waited for a schedule, in the order in which they were asked for."""
    waiting = session.scalars(
        select(SwapRequest).where(SwapRequest.status == "queued").order_by(SwapRequest.id)
    ).all()
    for wish in waiting:
        wish.reason = ""
        owner = session.get_one(Assignment, wish.assignment_id).person_id
        carry_out(session, wish, owner_id=owner)
    session.flush()
    return waiting


def _check_known(
    session: Session, assignment_id: int, taker_id: int, return_assignment_id: int | None
) -> None:
    for number in (assignment_id, return_assignment_id):
        if number is not None and session.get(Assignment, number) is None:
            detail = f"There is no assignment {number}."
            raise NotFound(detail, advice="List the assignments: GET /assignments.")
    if session.get(Person, taker_id) is None:
        detail = f"There is no person {taker_id}."
        raise NotFound(detail, advice="List the people: GET /people.")


def _locked(session: Session, assignment_id: int) -> Assignment:
    return session.scalars(
        select(Assignment)
        .where(Assignment.id == assignment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _shift(assignment: Assignment) -> Shift:
    return Shift(
        assignment_id=assignment.id,
        block_id=assignment.block_id,
        person_id=assignment.person_id,
        person_name=assignment.person.name,
        role=assignment.person.role,
        day=assignment.block.day,
        half=assignment.block.half,
    )


def _taker(session: Session, person: Person) -> Taker:
    blocks = session.scalars(select(Assignment.block_id).where(Assignment.person_id == person.id))
    absences = session.execute(
        select(Absence.first_day, Absence.last_day).where(Absence.person_id == person.id)
    )
    return Taker(
        person_id=person.id,
        name=person.name,
        role=person.role,
        busy_blocks=frozenset(blocks),
        absences=[(first, last) for first, last in absences],
    )
