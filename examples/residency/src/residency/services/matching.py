"""Matching: who could take a shift, and what could be given in exchange, among all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from residency.services.assignments import get_assignment
from residency.store.models import Absence, Assignment, Block, Person

EXCHANGE_WITHIN = timedelta(days=14)
"""An exchange is of shifts at most so far apart."""


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


@dataclass(frozen=True, slots=True)
class _Offer:
    assignment_id: int
    person_id: int
    day: date
    half: str


def find_matches(session: Session, assignment_id: int, *, limit: int | None = None) -> list[Match]:
    """Return who can take a shift: who can exchange first, then who works least in that week.

    Everybody is looked at in five queries, however many there are.

    Args:
        session: The transaction to read in.
        assignment_id: The shift.
        limit: Return so many at most.

    Raises:
        NotFound: There is no such shift.
    """
    shift = get_assignment(session, assignment_id)
    free = _free_people(session, shift)
    loads = _loads(session, shift.block.day)
    offers = _nearest_offers(session, shift)
    found = [_match(number, name, loads, offers) for number, name in free]
    found.sort(key=lambda one: (one.return_day is None, one.shifts_in_week, one.person_id))
    return found[:limit]


def _match(
    number: int, name: str, loads: dict[int, int], offers: dict[int, _Offer]
) -> Match:
    offer = offers.get(number)
    return Match(
        person_id=number,
        name=name,
        shifts_in_week=loads.get(number, 0),
        return_assignment_id=offer.assignment_id if offer else None,
        return_day=offer.day if offer else None,
        return_half=offer.half if offer else None,
    )


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
    return {number: count for number, count in rows}


def _nearest_offers(session: Session, shift: Assignment) -> dict[int, _Offer]:
    """Return the nearest shift of each that the owner could take, none of them in the block."""
    day = shift.block.day
    mine, away = aliased(Assignment), aliased(Absence)
    works = select(mine.block_id).where(mine.person_id == shift.person_id)
    is_away = select(away.id).where(
        away.person_id == shift.person_id,
        away.first_day <= Block.day,
        away.last_day >= Block.day,
    )
    rows = session.execute(
        select(Assignment.id, Assignment.person_id, Block.day, Block.half)
        .join(Block)
        .join(Person, Person.id == Assignment.person_id)
        .where(
            Block.day.between(day - EXCHANGE_WITHIN, day + EXCHANGE_WITHIN),
            Person.role == shift.person.role,
            Assignment.block_id.not_in(works),
            ~is_away.exists(),
        )
    )
    offers = [_Offer(*row) for row in rows]
    return _nearest(offers, day)


def _nearest(offers: Iterable[_Offer], day: date) -> dict[int, _Offer]:
    of_person: dict[int, list[_Offer]] = defaultdict(list)
    for offer in offers:
        of_person[offer.person_id].append(offer)
    return {
        number: min(theirs, key=lambda one: (abs(one.day - day), one.day, one.half))
        for number, theirs in of_person.items()
    }
