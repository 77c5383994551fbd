"""The digest: a long task that sums up everybody's coming week, one part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from residency.store.models import Assignment, Base


def digest_step(sessions: sessionmaker[Session]) -> Callable[[int], Iterable[Base]]:
    """Return what does one step: it counts the shifts of one part of the people."""

    def step(number: int) -> Iterable[Base]:
        with sessions() as session:
            session.execute(
                select(Assignment.person_id, func.count())
                .where(Assignment.person_id % 10 == number % 10)
                .group_by(Assignment.person_id)
            ).all()
        return ()

    return step
