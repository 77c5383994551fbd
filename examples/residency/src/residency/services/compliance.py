"""Compliance: all rules over all people and days between two dates, set-wise.

A validation is four statements, however many assignments there are: the database packs each column
of them into one text, and arrays do the rest. It judges what is planned between the two dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from residency.domain.hours import WEEKS, Violation, hours_by_day, long_weeks, missing_days_off
from residency.domain.supervision import YEARS, unsupervised
from residency.store.models import Assignment, Block, Person, RotationTemplate

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a validation found."""

    assignments: int
    violations: tuple[Violation, ...]

    @property
    def is_compliant(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who works when on what: three columns with an entry for each assignment.

    Attributes:
        people: Rows of ``Person``, in order of their numbers; ``person`` counts in them.
        blocks: Rows of ``Block``, in order of time; ``block`` counts in them.
        templates: Rows of ``RotationTemplate``; ``template`` counts in them.
        first_day: The first day that is judged.
        last_day: The last one.
    """

    first_day: date
    last_day: date
    people: Sequence[Any]
    blocks: Sequence[Any]
    templates: Sequence[Any]
    person: Numbers
    block: Numbers
    template: Numbers

    @property
    def days(self) -> int:
        """How many days are judged."""
        return (self.last_day - self.first_day).days + 1

    @property
    def years(self) -> Numbers:
        """The year of each person; faculty have year 0."""
        return np.array([one.year or 0 for one in self.people], dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """The name of each person."""
        return [one.name for one in self.people]

    @property
    def is_supervised(self) -> npt.NDArray[np.bool_]:
        """Whether each assignment is of work that needs supervision."""
        kinds = np.array([one.is_supervised for one in self.templates], dtype=bool)
        return kinds[self.template]

    @property
    def hours(self) -> npt.NDArray[np.float64]:
        """The hours of each assignment."""
        return np.array([one.hours for one in self.templates], dtype=np.float64)[self.template]


def validate(session: Session, *, first_day: date, last_day: date) -> Report:
    """Check every rule on everybody's assignments from one day to another."""
    return report_on(read_plan(session, first_day=first_day, last_day=last_day))


def report_on(plan: Plan) -> Report:
    """Check every rule on a plan that was read."""
    if not len(plan.person):
        return Report(assignments=0, violations=())
    violations = tuple(chain(_hours(plan), _supervision(plan)))
    return Report(assignments=len(plan.person), violations=violations)


def resident_hours(plan: Plan) -> npt.NDArray[np.float64]:
    """Return the hours of each person and judged day; the rows of faculty are zero."""
    days = np.array([(one.day - plan.first_day).days for one in plan.blocks], dtype=np.int64)
    is_resident = plan.years[plan.person] > 0
    return hours_by_day(
        people=plan.person[is_resident],
        days=days[plan.block[is_resident]],
        hours=plan.hours[is_resident],
        shape=(len(plan.people), plan.days),
    )


def _hours(plan: Plan) -> Iterator[Violation]:
    by_day = resident_hours(plan)
    yield from long_weeks(by_day, plan.names, plan.first_day)
    yield from missing_days_off(by_day, plan.names, plan.first_day)


def _supervision(plan: Plan) -> Iterator[Violation]:
    residents, faculty = supervision_counts(plan)
    yield from unsupervised(residents, faculty, [(one.day, one.half) for one in plan.blocks])


def supervision_counts(plan: Plan) -> tuple[Numbers, Numbers]:
    """Return the supervised residents of each block by year, and the faculty of each block."""
    years = plan.years[plan.person]
    blocks = len(plan.blocks)
    counted = (years == 0) | plan.is_supervised
    columns = len(YEARS) + 1
    cells = plan.block[counted] * columns + years[counted]
    table = np.bincount(cells, minlength=blocks * columns).reshape(blocks, columns)
    return table[:, 1:], table[:, 0]


def read_plan(session: Session, *, first_day: date, last_day: date) -> Plan:
    """Read what is planned from one day to another.

    Assignments are read first: what they refer to may grow meanwhile, but not go.
    """
    days = Block.day.between(first_day, last_day)
    columns = session.execute(
        select(
            _packed(Assignment.person_id),
            _packed(Assignment.block_id),
            _packed(Assignment.template_id),
        )
        .join(Block, Block.id == Assignment.block_id)
        .where(days)
    ).one()
    people = session.execute(select(Person.id, Person.name, Person.year).order_by(Person.id)).all()
    blocks = session.execute(
        select(Block.id, Block.day, Block.half).where(days).order_by(Block.day, Block.half)
    ).all()
    kind = RotationTemplate
    templates = session.execute(
        select(kind.id, kind.name, kind.hours, kind.needs_residents, kind.is_supervised).order_by(
            kind.id
        )
    ).all()
    begin, end = _judged(blocks, first_day, last_day)
    return Plan(
        first_day=begin,
        last_day=end,
        people=people,
        blocks=blocks,
        templates=templates,
        person=_places(columns[0], people),
        block=_places(columns[1], blocks),
        template=_places(columns[2], templates),
    )


def _judged(blocks: Sequence[Any], first_day: date, last_day: date) -> tuple[date, date]:
    """Return the asked days without those too far from any block to change a four-week average.

    Whoever asks about all times is answered about those in which something can be planned.
    """
    if not blocks:
        return first_day, first_day
    reach = WEEKS * 7 - 1
    begin, end = blocks[0].day.toordinal() - reach, blocks[-1].day.toordinal() + reach
    return (
        date.fromordinal(max(first_day.toordinal(), begin)),
        date.fromordinal(min(last_day.toordinal(), end)),
    )


def _packed(column: InstrumentedAttribute[int]) -> ColumnElement[str]:
    return func.aggregate_strings(cast(column, String), ",")


def _places(text: str | None, rows: Sequence[Any]) -> Numbers:
    """Return where each of the packed numbers is in rows that begin with their number."""
    numbers = np.fromstring(text or "", dtype=np.int64, sep=",")
    known = np.array([row[0] for row in rows], dtype=np.int64)
    order = np.argsort(known)
    return order[np.searchsorted(known, numbers, sorter=order)]
