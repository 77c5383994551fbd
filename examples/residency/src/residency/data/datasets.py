"""The synthetic datasets, as functions that fill an empty database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Table, insert, text
from sqlalchemy.orm import Session

from residency.data.roster import (
    FIRST_DAY,
    HUGE,
    LARGE,
    Roster,
    Row,
    Size,
    make_blocks,
    make_people,
    make_roster,
    make_templates,
)
from residency.store.models import Assignment, Base, Block, Person, RotationTemplate

Fill = Callable[[Session], None]


def fill_large(session: Session) -> None:
    """Four weeks of 100 residents and 30 faculty: 5,600 assignments."""
    write(session, make_roster(LARGE))


def fill_huge(session: Session) -> None:
    """Twelve weeks of 100 residents and 30 faculty: 16,800 assignments."""
    write(session, make_roster(HUGE))


def filled(size: Size) -> Fill:
    """Return what fills a database with the roster of a size."""
    return lambda session: write(session, make_roster(size))


def unassigned(size: Size) -> Roster:
    """Return a roster in which nobody works."""
    return Roster(
        people=make_people(size),
        templates=make_templates(size),
        blocks=make_blocks(size.weeks),
        assignments=[],
    )


def overworked(size: Size) -> Roster:
    """Return a roster in which every resident works all the time, with nobody to supervise."""
    roster = unassigned(size)
    roster.templates.append(
        {"id": 7, "name": "Call", "hours": 10.0, "needs_residents": 1, "is_supervised": True}
    )
    pairs = [(block, one) for block in roster.blocks for one in roster.people if one["year"]]
    roster.assignments.extend(
        {"id": number, "block_id": block["id"], "person_id": one["id"], "template_id": 7}
        for number, (block, one) in enumerate(pairs, start=1)
    )
    return roster


def write(session: Session, roster: Roster) -> None:
    """Write a roster into an empty database; rows that come later get the numbers after it."""
    for mapped, rows in (
        (Person, roster.people),
        (RotationTemplate, roster.templates),
        (Block, roster.blocks),
        (Assignment, roster.assignments),
    ):
        _insert(session, mapped, rows)
    session.flush()


def _insert(session: Session, mapped: type[Base], rows: list[Row]) -> None:
    if not rows:
        return
    table = mapped.__table__
    if not isinstance(table, Table):
        message = f"{mapped.__name__} is not mapped to a table"
        raise TypeError(message)
    session.connection().execute(insert(table), rows)
    if session.get_bind().dialect.name == "postgresql":
        move = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {len(rows)})"
        session.execute(text(move))


LAST_DAY = FIRST_DAY + timedelta(days=27)
"""The last day of four weeks."""
