"""Students and the versions of their education plans."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from sqlalchemy import select
from sqlalchemy.orm import Session

from residency.messages import (
    AcademicYear,
    Number,
    PlanAnswer,
    PlanRequest,
    StudentAnswer,
    StudentRequest,
)
from residency.services.errors import NotFound
from residency.services.plans import (
    create_plan,
    create_student,
    get_student,
    latest_plan,
    retried,
)
from residency.store.models import EducationPlan
from residency.web.state import Shared
from residency.web.tokens import PLANNERS, ROLES, allow

router = APIRouter(tags=["education plans"])


@router.post("/students", status_code=status.HTTP_201_CREATED, dependencies=[allow(*PLANNERS)])
def add_student(state: Shared, asked: StudentRequest) -> StudentAnswer:
    """Add a student."""
    with state.writing() as session:
        return StudentAnswer.model_validate(create_student(session, name=asked.name))


@router.post(
    "/students/{student_id}/plans",
    status_code=status.HTTP_201_CREATED,
    dependencies=[allow(*PLANNERS, "faculty")],
)
def add_plan(
    state: Shared, student_id: Annotated[Number, Path()], asked: PlanRequest
) -> PlanAnswer:
    """Add the next version of a student's plan for a year."""

    def create(session: Session) -> PlanAnswer:
        plan = create_plan(
            session,
            student_id=student_id,
            academic_year=asked.academic_year,
            content=asked.content,
        )
        return PlanAnswer.model_validate(plan)

    return retried(state.sessions, create)


@router.get("/students/{student_id}/plans", dependencies=[allow(*ROLES)])
def list_plans(state: Shared, student_id: Annotated[Number, Path()]) -> list[PlanAnswer]:
    """List all versions of all years."""
    with state.reading() as session:
        get_student(session, student_id)
        query = (
            select(EducationPlan)
            .where(EducationPlan.student_id == student_id)
            .order_by(EducationPlan.academic_year, EducationPlan.version)
        )
        return [PlanAnswer.model_validate(one) for one in session.scalars(query)]


@router.get("/students/{student_id}/plans/latest", dependencies=[allow(*ROLES)])
def read_latest_plan(
    state: Shared,
    student_id: Annotated[Number, Path()],
    academic_year: Annotated[AcademicYear, Query()],
) -> PlanAnswer:
    """Read the newest version of a year."""
    with state.reading() as session:
        plan = latest_plan(session, student_id=student_id, academic_year=academic_year)
        if plan is None:
            detail = f"Student {student_id} has no plan for {academic_year}."
            raise NotFound(detail, advice="Add one: POST /students/{student_id}/plans.")
        return PlanAnswer.model_validate(plan)
