"""The digest: a long task that counts everybody's shifts, one part of the people at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from residency.store.engine import reading
from residency.store.models import Assignment, Base, DigestLine


def digest_step(
    sessions: sessionmaker[Session], *, task_id: int, steps: int
) -> Callable[[int], Iterable[Base]]:
    """Return what does one step of so many: it counts the shifts of its share of the people."""

    def step(number: int) -> Iterable[Base]:
        counts = (
            select(Assignment.person_id, func.count())
            .where(Assignment.person_id % steps == number)
            .group_by(Assignment.person_id)
        )
        with sessions() as session:
            return [
                DigestLine(task_id=task_id, person_id=person_id, shifts=shifts)
                for person_id, shifts in reading(session).execute(counts)
            ]

    return step
