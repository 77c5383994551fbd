"""Matching: who could take a shift, and what could be given in exchange, among all at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import BigInteger, case, func, literal, select
from sqlalchemy.orm import Session

from residency.services.assignments import get_assignment
from residency.store.models import Absence, Assignment, Block, Person

EXCHANGE_WITHIN = timedelta(days=14)
"""An exchange is of shifts at most so far apart."""
NUMBERS = 2**32
"""More than there are numbers of shifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Somebody who can take a shift: nothing stands in the way of the swap as things are now."""

    person_id: int
    name: str
    shifts_in_week: int
    """How many half-days they work in that week already."""
    return_assignment_id: int | None = None
    """A shift of theirs that the owner could take in exchange, the nearest; if there is one."""
    return_day: date | None = None
    return_half: str | None = None


def find_matches(session: Session, assignment_id: int, *, limit: int | None = None) -> list[Match]:
    """Return who can take a shift: who can exchange first, then who works least in that week.

    Everybody is looked at in six queries, however many there are.

    Args:
        session: The transaction to read in.
        assignment_id: The shift.
        limit: Return so many at most.

    Raises:
        NotFound: There is no such shift.
    """
    shift = get_assignment(session, assignment_id)
    loads, offers = _loads(session, shift.block.day), _nearest_offers(session, shift)
    found = [
        _match(number, name, loads.get(number, 0), offers.get(number))
        for number, name in _free_people(session, shift)
    ]
    found.sort(key=lambda one: _rank(one, shift.person_id))
    return found[:limit]


def _match(number: int, name: str, load: int, offer: tuple[int, Block] | None) -> Match:
    if offer is None:
        return Match(person_id=number, name=name, shifts_in_week=load)
    assignment_id, block = offer
    return Match(
        person_id=number,
        name=name,
        shifts_in_week=load,
        return_assignment_id=assignment_id,
        return_day=block.day,
        return_half=block.half,
    )


def _rank(match: Match, owner_id: int) -> tuple[bool, int, int]:
    """Return where a match stands; among equals each owner begins with somebody else."""
    after_owner = (match.person_id - owner_id) % 2**31
    return match.return_day is None, match.shifts_in_week, after_owner


def _free_people(session: Session, shift: Assignment) -> list[tuple[int, str]]:
    """Return those of the owner's role who neither work in the block nor are absent."""
    works = select(Assignment.person_id).where(Assignment.block_id == shift.block_id)
    day = shift.block.day
    absent = select(Absence.person_id).where(Absence.first_day <= day, Absence.last_day >= day)
    rows = session.execute(
        select(Person.id, Person.name).where(
            Person.role == shift.person.role, Person.id.not_in(works), Person.id.not_in(absent)
        )
    )
    return [(number, name) for number, name in rows]


def _loads(session: Session, day: date) -> dict[int, int]:
    """Return how many half-days each works in the week of a day."""
    monday = day - timedelta(days=day.weekday())
    rows = session.execute(
        select(Assignment.person_id, func.count())
        .join(Block)
        .where(Block.day.between(monday, monday + timedelta(days=6)))
        .group_by(Assignment.person_id)
    )
    return {row[0]: row[1] for row in rows}


def _nearest_offers(session: Session, shift: Assignment) -> dict[int, tuple[int, Block]]:
    """Return the nearest shift of each person that the owner could take, and its block.

    The database picks one of each person's shifts: there may be tens of thousands. A block's place
    and a shift's number make one number, of which the least is the nearest shift.
    """
    blocks = _blocks_near(session, shift)
    if not blocks:
        return {}
    places = {block.id: literal(place, BigInteger) for place, block in enumerate(blocks)}
    near = case(places, value=Assignment.block_id) * NUMBERS + Assignment.id
    rows = session.execute(
        select(Assignment.person_id, func.min(near))
        .where(Assignment.block_id.in_(places))
        .group_by(Assignment.person_id)
    )
    return {number: (least % NUMBERS, blocks[least // NUMBERS]) for number, least in rows}


def _blocks_near(session: Session, shift: Assignment) -> list[Block]:
    """Return the blocks in which the owner is free, the nearest first."""
    day, owner = shift.block.day, shift.person_id
    works = select(Assignment.block_id).where(Assignment.person_id == owner)
    is_away = (
        select(Absence.id)
        .where(
            Absence.person_id == owner,
            Absence.first_day <= Block.day,
            Absence.last_day >= Block.day,
        )
        .exists()
    )
    found = session.scalars(
        select(Block).where(
            Block.day.between(day - EXCHANGE_WITHIN, day + EXCHANGE_WITHIN),
            Block.id.not_in(works),
            ~is_away,
        )
    )
    return sorted(found, key=lambda one: (abs(one.day - day), one.day, one.half))
