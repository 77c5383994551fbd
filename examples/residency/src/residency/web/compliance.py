"""Compliance: whether the work-hour rules hold, and where not."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from residency.messages import Answer, Days
from residency.services.compliance import validate
from residency.web.state import Shared
from residency.web.tokens import ROLES, allow

router = APIRouter(tags=["compliance"])


class ViolationAnswer(Answer):
    """One rule broken once: by whom, when and by how much."""

    rule: str
    person: str
    first_day: date
    last_day: date
    measured: float
    limit: float
    detail: str


class ComplianceAnswer(Answer):
    """Whether the rules hold between two days."""

    is_compliant: bool
    assignments: int
    broken: int
    """How often a rule is broken."""
    violations: list[ViolationAnswer]
    """The first ones."""


class Judged(Days):
    """Which days to judge, and how much to tell."""

    limit: int = Field(default=100, ge=1, le=1000)


@router.get("/compliance", dependencies=[allow(*ROLES)])
def check_compliance(state: Shared, asked: Annotated[Judged, Query()]) -> ComplianceAnswer:
    """Check the work-hour rules between two days: hours, days off, supervision."""
    with state.reading() as session:
        report = validate(session, first_day=asked.first_day, last_day=asked.last_day)
    told = [ViolationAnswer.model_validate(one) for one in report.violations[: asked.limit]]
    return ComplianceAnswer(
        is_compliant=report.is_compliant,
        assignments=report.assignments,
        broken=len(report.violations),
        violations=told,
    )
