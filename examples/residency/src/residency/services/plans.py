"""Education plans in versions: 1, 2, 3 … for each student and academic year."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from residency.services.errors import NotFound, VersionConflict
from residency.store.locks import take_lock
from residency.store.models import EducationPlan, Student

T = TypeVar("T")
MOST_ATTEMPTS = 8
FIRST_WAIT = 0.01
LONGEST_WAIT = 0.5


def create_student(session: Session, *, name: str) -> Student:
    """Add a student."""
    student = Student(name=name)
    session.add(student)
    session.flush()
    return student


def get_student(session: Session, student_id: int) -> Student:
    """Return a student.

    Raises:
        NotFound: There is none with this number.
    """
    found = session.get(Student, student_id)
    if found is None:
        detail = f"There is no student {student_id}."
        raise NotFound(detail, advice="Add the student first: POST /students.")
    return found


def get_next_version_number(session: Session, *, student_id: int, academic_year: str) -> int:
    """Return the number of the next plan; nobody else gets it before this transaction ends."""
    take_lock(session, f"plan:{student_id}:{academic_year}")
    latest = session.scalar(
        select(func.max(EducationPlan.version)).where(
            EducationPlan.student_id == student_id, EducationPlan.academic_year == academic_year
        )
    )
    return (latest or 0) + 1


def latest_plan(session: Session, *, student_id: int, academic_year: str) -> EducationPlan | None:
    """Return the newest plan of a student and year."""
    return session.scalars(
        select(EducationPlan)
        .where(EducationPlan.student_id == student_id, EducationPlan.academic_year == academic_year)
        .order_by(EducationPlan.version.desc())
        .limit(1)
    ).one_or_none()


def create_plan(
    session: Session, *, student_id: int, academic_year: str, content: dict[str, Any]
) -> EducationPlan:
    """Add the next version of a plan, linked to the one before it.

    Raises:
        NotFound: There is no such student.
        VersionConflict: Somebody else took the number; trying again will do.
    """
    get_student(session, student_id)
    number = get_next_version_number(session, student_id=student_id, academic_year=academic_year)
    parent = latest_plan(session, student_id=student_id, academic_year=academic_year)
    plan = EducationPlan(
        student_id=student_id,
        academic_year=academic_year,
        version=number,
        parent_id=parent.id if parent else None,
        content=content,
    )
    session.add(plan)
    try:
        session.flush()
    except IntegrityError as error:
        detail = f"Version {number} of {academic_year} was taken in between."
        raise VersionConflict(detail, advice="Send the request again.") from error
    return plan


def retried(
    sessions: sessionmaker[Session],
    action: Callable[[Session], T],
    *,
    attempts: int = MOST_ATTEMPTS,
    before_sleep: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do something in a transaction of its own, again if another one got in its way.

    Waits longer each time, up to a limit, and never the same as others who wait.

    Args:
        sessions: Make the transactions.
        action: What to do in one.
        attempts: How often to try at most; the last error is passed on.
        before_sleep: Told of each wait.
        sleep: Waits.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        retry=retry_if_exception_type((VersionConflict, OperationalError)),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
    for attempt in retrying:
        with attempt, sessions.begin() as session:
            result = action(session)
    return result
