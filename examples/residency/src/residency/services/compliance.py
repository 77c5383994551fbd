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

from residency.domain.hours import Violation, hours_by_day, long_weeks, missing_days_off
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
    """

    people: Sequence[Any]
    blocks: Sequence[Any]
    templates: Sequence[Any]
    person: Numbers
    block: Numbers
    template: Numbers

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
    plan = read_plan(session, first_day=first_day, last_day=last_day)
    if not len(plan.person):
        return Report(assignments=0, violations=())
    violations = tuple(chain(_hours(plan, first_day, last_day), _supervision(plan)))
    return Report(assignments=len(plan.person), violations=violations)


def resident_hours(plan: Plan, *, first_day: date, last_day: date) -> npt.NDArray[np.float64]:
    """Return the hours of each person and day; the rows of faculty are zero."""
    days = np.array([(one.day - first_day).days for one in plan.blocks], dtype=np.int64)
    is_resident = plan.years[plan.person] > 0
    return hours_by_day(
        people=plan.person[is_resident],
        days=days[plan.block[is_resident]],
        hours=plan.hours[is_resident],
        shape=(len(plan.people), (last_day - first_day).days + 1),
    )


def _hours(plan: Plan, first_day: date, last_day: date) -> Iterator[Violation]:
    by_day = resident_hours(plan, first_day=first_day, last_day=last_day)
    yield from long_weeks(by_day, plan.names, first_day)
    yield from missing_days_off(by_day, plan.names, first_day)


def _supervision(plan: Plan) -> Iterator[Violation]:
    residents, faculty = supervision_counts(plan)
    yield from unsupervised(residents, faculty, [(one.day, one.half) for one in plan.blocks])


def supervision_counts(plan: Plan) -> tuple[Numbers, Numbers]:
    """Return the supervised residents of each block by year, and the faculty of each block."""
    years = plan.years[plan.person]
    blocks = len(plan.blocks)
    counted = (years == 0) | plan.is_supervised
    cells = plan.block[counted] * (len(YEARS) + 1) + years[counted]
    table = np.bincount(cells, minlength=blocks * (len(YEARS) + 1)).reshape(blocks, -1)
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
    return Plan(
        people=people,
        blocks=blocks,
        templates=templates,
        person=_places(columns[0], people),
        block=_places(columns[1], blocks),
        template=_places(columns[2], templates),
    )


def _packed(column: InstrumentedAttribute[int]) -> ColumnElement[str]:
    return func.aggregate_strings(cast(column, String), ",")


def _places(text: str | None, rows: Sequence[Any]) -> Numbers:
    """Return where each of the packed numbers is in rows that begin with their number."""
    numbers = np.fromstring(text or "", dtype=np.int64, sep=",")
    known = np.array([row[0] for row in rows], dtype=np.int64)
    order = np.argsort(known)
    return order[np.searchsorted(known, numbers, sorter=order)]
