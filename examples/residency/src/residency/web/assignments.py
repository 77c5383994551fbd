"""Assignments: read, and edited by version."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from sqlalchemy import select

from residency.messages import (
    After,
    AssignmentAnswer,
    AssignmentEdit,
    Day,
    Limit,
    NoteLine,
    Number,
)
from residency.services.assignments import append_note, edit_assignment, get_assignment
from residency.services.errors import NotFound
from residency.store.models import Assignment, Block, RotationTemplate
from residency.web.state import Shared
from residency.web.tokens import PLANNERS, ROLES, SCHEDULED, allow

router = APIRouter(tags=["assignments"])


@router.get("/assignments", dependencies=[allow(*ROLES)])
def list_assignments(
    state: Shared,
    person_id: Annotated[Number | None, Query()] = None,
    day: Annotated[Day | None, Query()] = None,
    after: After = 0,
    limit: Limit = 200,
) -> list[AssignmentAnswer]:
    """List assignments, of a person or a day or all; the next ones come after the last number."""
    with state.reading() as session:
        query = select(Assignment).where(Assignment.id > after)
        query = query.order_by(Assignment.id).limit(limit)
        if person_id is not None:
            query = query.where(Assignment.person_id == person_id)
        if day is not None:
            query = query.join(Block).where(Block.day == day)
        return [AssignmentAnswer.model_validate(one) for one in session.scalars(query)]


@router.get("/assignments/{assignment_id}", dependencies=[allow(*ROLES)])
def read_assignment(state: Shared, assignment_id: Annotated[Number, Path()]) -> AssignmentAnswer:
    """Read one assignment."""
    with state.reading() as session:
        return AssignmentAnswer.model_validate(get_assignment(session, assignment_id))


@router.patch("/assignments/{assignment_id}", dependencies=[allow(*PLANNERS, "faculty")])
def change_assignment(
    state: Shared, assignment_id: Annotated[Number, Path()], edit: AssignmentEdit
) -> AssignmentAnswer:
    """Edit an assignment that still is as the editor saw it; else 409."""
    with state.writing() as session:
        changes = edit.model_dump(exclude={"version"}, exclude_none=True)
        template_id = changes.get("template_id")
        if template_id is not None and session.get(RotationTemplate, template_id) is None:
            detail = f"There is no rotation template {template_id}."
            raise NotFound(detail, advice="Leave template_id out, or name one that exists.")
        edited = edit_assignment(session, assignment_id, version=edit.version, changes=changes)
        return AssignmentAnswer.model_validate(edited)


@router.post(
    "/assignments/{assignment_id}/notes",
    status_code=status.HTTP_201_CREATED,
    dependencies=[allow(*SCHEDULED)],
)
def add_note(
    state: Shared, assignment_id: Annotated[Number, Path()], line: NoteLine
) -> AssignmentAnswer:
    """Add a line to the note; whoever adds one at the same time waits, and both stay."""
    with state.writing() as session:
        return AssignmentAnswer.model_validate(append_note(session, assignment_id, line.text))
