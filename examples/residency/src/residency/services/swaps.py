"""Swaps: a shift changes hands, or a reason is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from residency.domain.swaps import Shift, Taker, conflict
from residency.services.assignments import lock_assignment
from residency.services.errors import NotFound, SwapConflict
from residency.store.locks import take_lock
from residency.store.models import Absence, Assignment, Block, Person, ScheduleRun, SwapRequest

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
    take_lock(session, SCHEDULE_LOCK)
    owner, taker = _people(session, owner_id, taker_id)
    given = lock_assignment(session, assignment_id)
    back = lock_assignment(session, return_assignment_id) if return_assignment_id else None
    wish = _wish(given, back, owner_id=owner_id, taker_id=taker_id)
    if is_generating(session):
        wish.status = "queued"
        wish.reason = "A schedule is being generated; the swap is decided when it is done."
    else:
        reason = carry_out(session, given, back, owner=owner, taker=taker)
        if reason is not None:
            raise SwapConflict(reason, advice="Ask for another shift, or do what the reason says.")
        wish.status = "done"
    session.add(wish)
    session.flush()
    return wish


def _wish(
    given: Assignment, back: Assignment | None, *, owner_id: int, taker_id: int
) -> SwapRequest:
    return SwapRequest(
        assignment_id=given.id,
        block_id=given.block_id,
        owner_id=owner_id,
        taker_id=taker_id,
        return_assignment_id=back.id if back else None,
        return_block_id=back.block_id if back else None,
    )


def is_generating(session: Session) -> bool:
    """Say whether a schedule is being generated, or is about to be."""
    active = select(ScheduleRun.id).where(ScheduleRun.status.in_(("running", "waiting"))).limit(1)
    return session.scalar(active) is not None


def carry_out(
    session: Session,
    given: Assignment,
    back: Assignment | None,
    *,
    owner: Person,
    taker: Person,
) -> str | None:
    """Make a swap under the schedule's lock; return why not, if it cannot be made."""
    reason = conflict(
        _shift(given),
        owner_id=owner.id,
        taker=_taker(session, taker),
        freed=back.block_id if back else None,
    )
    if reason is None and back is not None:
        reason = conflict(
            _shift(back), owner_id=taker.id, taker=_taker(session, owner), freed=given.block_id
        )
    if reason is None:
        _exchange(session, given, back, owner=owner, taker=taker)
    return reason


def decide_queued(session: Session) -> Sequence[SwapRequest]:
    """Decide every swap that waited for a schedule, in the order in which they were asked for."""
    waiting = session.scalars(
        select(SwapRequest).where(SwapRequest.status == "queued").order_by(SwapRequest.id)
    ).all()
    for wish in waiting:
        reason = _decide(session, wish)
        wish.status, wish.reason = ("done", "") if reason is None else ("refused", reason)
        session.flush()
    return waiting


def _decide(session: Session, wish: SwapRequest) -> str | None:
    """Carry out a wish on the schedule as it is now; return why not, if it cannot be."""
    given = _shift_of(session, wish.owner_id, wish.block_id)
    if given is None:
        return _gone(session, wish.owner_id, wish.block_id)
    back = None
    if wish.return_block_id is not None:
        back = _shift_of(session, wish.taker_id, wish.return_block_id)
        if back is None:
            return _gone(session, wish.taker_id, wish.return_block_id)
    owner, taker = _people(session, wish.owner_id, wish.taker_id)
    reason = carry_out(session, given, back, owner=owner, taker=taker)
    if reason is None:
        wish.assignment_id = given.id
        wish.return_assignment_id = back.id if back else None
    return reason


def _gone(session: Session, person_id: int, block_id: int) -> str:
    """Return why somebody has not the shift that they had: it was given away, or planned away."""
    person, block = session.get_one(Person, person_id), session.get_one(Block, block_id)
    shift = f"{block.day:%a %d %b} {block.half}"
    given = session.scalars(
        select(Person.name)
        .join(SwapRequest, SwapRequest.taker_id == Person.id)
        .join(Assignment, Assignment.id == SwapRequest.assignment_id)
        .where(
            SwapRequest.owner_id == person_id,
            SwapRequest.block_id == block_id,
            SwapRequest.status == "done",
            Assignment.person_id == SwapRequest.taker_id,
        )
    ).first()
    if given is not None:
        return f"{given} has the shift {shift} by now. Ask them."
    return f"{person.name} does not work on {shift} in the new schedule."


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


def _people(session: Session, *numbers: int) -> Iterator[Person]:
    for number in numbers:
        found = session.get(Person, number)
        if found is None:
            detail = f"There is no person {number}."
            raise NotFound(detail, advice="List the people: GET /people.")
        yield found


def _shift_of(session: Session, person_id: int, block_id: int) -> Assignment | None:
    return session.scalars(
        select(Assignment)
        .where(Assignment.person_id == person_id, Assignment.block_id == block_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


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
