"""Tools that read: people, shifts, matches, swaps, runs, compliance."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field
from sqlalchemy import select

from residency.messages import NO_NUL, Day, NoTruth, Number, PersonAnswer, RunAnswer
from residency.services.compliance import validate
from residency.services.generation import get_run
from residency.services.matching import Match, find_matches
from residency.store.models import Assignment, Block, Person, RotationTemplate
from residency.tools.desk import Desk, check_order

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
Limit = Annotated[int, Field(ge=1, le=200), NoTruth]
Part = Annotated[str, Field(max_length=120, pattern=NO_NUL)]


class ShiftAnswer(BaseModel):
    """A shift: who works when, doing what."""

    assignment_id: int
    version: int
    person_id: int
    person: str
    day: date
    half: str
    activity: str
    note: str


class ComplianceAnswer(BaseModel):
    """Whether the work-hour rules hold between two days."""

    is_compliant: bool
    assignments: int
    violations: int
    first_violations: list[str]
    """What is broken, by whom and by how much: the first ones."""


def add_finding_tools(server: MCPServer[None], desk: Desk) -> None:
    """Give a server the tools that find people and shifts."""

    @server.tool(annotations=READS)
    def find_people(
        name: Part = "", role: Literal["resident", "faculty"] | None = None, limit: Limit = 20
    ) -> list[PersonAnswer]:
        """Find people by a part of their name, and by role: resident or faculty."""
        query = select(Person).order_by(Person.name, Person.id).limit(limit)
        if name:
            query = query.where(Person.name.icontains(name, autoescape=True))
        if role is not None:
            query = query.where(Person.role == role)
        with desk.reading() as session:
            return [PersonAnswer.model_validate(one) for one in session.scalars(query)]

    @server.tool(annotations=READS)
    def list_shifts(
        first_day: Day, last_day: Day, person_id: Number | None = None, limit: Limit = 50
    ) -> list[ShiftAnswer]:
        """List the shifts between two days, of one person or of all, the earliest first."""
        check_order(first_day, last_day)
        query = (
            select(Assignment, Person.name, Block, RotationTemplate.name)
            .join(Person, Person.id == Assignment.person_id)
            .join(Block, Block.id == Assignment.block_id)
            .join(RotationTemplate, RotationTemplate.id == Assignment.template_id)
            .where(Block.day.between(first_day, last_day))
            .order_by(Block.day, Block.half, Person.name)
            .limit(limit)
        )
        if person_id is not None:
            query = query.where(Assignment.person_id == person_id)
        with desk.reading() as session:
            return [_shift(*row) for row in session.execute(query)]

    @server.tool(annotations=READS)
    def find_swap_partners(assignment_id: Number, limit: Limit = 10) -> list[Match]:
        """Find who can take a shift, best first, with a shift that they could give in exchange."""
        with desk.reading() as session:
            return find_matches(session, assignment_id, limit=limit)


def add_judging_tools(server: MCPServer[None], desk: Desk) -> None:
    """Give a server the tools that say how a schedule stands."""

    @server.tool(annotations=READS)
    def read_schedule_run(run_id: Number) -> RunAnswer:
        """Read how the generation of a schedule stands."""
        with desk.reading() as session:
            return RunAnswer.model_validate(get_run(session, run_id))

    @server.tool(annotations=READS)
    def check_compliance(first_day: Day, last_day: Day, limit: Limit = 20) -> ComplianceAnswer:
        """Check the work-hour rules between two days: hours, days off, supervision."""
        check_order(first_day, last_day)
        with desk.reading() as session:
            report = validate(session, first_day=first_day, last_day=last_day)
        return ComplianceAnswer(
            is_compliant=report.is_compliant,
            assignments=report.assignments,
            violations=len(report.violations),
            first_violations=[str(one.detail) for one in report.violations[:limit]],
        )


def _shift(assignment: Assignment, person: str, block: Block, activity: str) -> ShiftAnswer:
    return ShiftAnswer(
        assignment_id=assignment.id,
        version=assignment.version,
        person_id=assignment.person_id,
        person=person,
        day=block.day,
        half=block.half,
        activity=activity,
        note=assignment.note,
    )
