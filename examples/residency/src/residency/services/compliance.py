"""Compliance: all rules over all people and days between two dates, read set-wise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from residency.domain.hours import Violation, hours_by_day, long_weeks, missing_days_off
from residency.domain.supervision import unsupervised
from residency.store.models import Assignment, Block, Person, RotationTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a validation found."""

    assignments: int
    violations: tuple[Violation, ...]

    @property
    def is_compliant(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations


def validate(session: Session, *, first_day: date, last_day: date) -> Report:
    """Check every rule on everybody's assignments from one day to another."""
    people = session.execute(select(Person.id, Person.name, Person.year)).all()
    blocks = session.execute(
        select(Block.id, Block.day, Block.half)
        .where(Block.day.between(first_day, last_day))
        .order_by(Block.day, Block.half)
    ).all()
    table = _read(session, first_day, last_day)
    if not people or not blocks or not len(table):
        return Report(assignments=len(table), violations=())
    found = tuple(_check(_Grid(people, blocks, table, first_day, last_day)))
    return Report(assignments=len(table), violations=found)


def _read(session: Session, first_day: date, last_day: date) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Read the person, block and template of every assignment as rows of one array."""
    query = (
        select(Assignment.person_id, Assignment.block_id, Assignment.template_id)
        .join(Block, Block.id == Assignment.block_id)
        .where(Block.day.between(first_day, last_day))
    )
    rows = session.connection().execute(query).cursor.fetchall()  # type: ignore[union-attr]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
