"""What requests and answers hold."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""The number of something in a table."""
AcademicYear = Annotated[str, Field(pattern=r"^\d{4}/\d{4}$", examples=["2026/2027"])]
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]


class Message(BaseModel):
    """What all messages share: fields that nobody knows are refused."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class Answer(BaseModel):
    """What all answers share: they are read from the tables' rows."""

    model_config = ConfigDict(from_attributes=True)


class GenerationRequest(Message):
    """Which days to plan."""

    first_day: date
    last_day: date


class RunAnswer(Answer):
    """A schedule run."""

    id: int
    status: str
    first_day: date
    last_day: date
    is_fallback: bool
    statistics: dict[str, Any]
    created_at: datetime
    finished_at: datetime | None


class AssignmentEdit(Message):
    """An edit of an assignment, as the editor saw it."""

    version: Number
    note: Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")] | None = None
    template_id: Number | None = None


class AssignmentAnswer(Answer):
    """An assignment."""

    id: int
    block_id: int
    person_id: int
    template_id: int
    note: str
    version: int


class SwapWish(Message):
    """A shift that is to change hands."""

    assignment_id: Number
    owner_id: Number
    taker_id: Number
    return_assignment_id: Number | None = None


class SwapAnswer(Answer):
    """What became of a wish."""

    id: int
    assignment_id: int
    taker_id: int
    return_assignment_id: int | None
    status: str
    reason: str


class TaskRequest(Message):
    """A long task to start."""

    kind: Literal["digest"] = "digest"
    steps: Annotated[int, Field(ge=1, le=1000)] = 10


class TaskAnswer(Answer):
    """A long task."""

    id: int
    kind: str
    status: str
    step: int
    steps: int


class StudentRequest(Message):
    """A student to add."""

    name: Name


class StudentAnswer(Answer):
    """A student."""

    id: int
    name: str


class PlanRequest(Message):
    """What the next version of a plan holds."""

    academic_year: AcademicYear
    content: dict[str, Any] = Field(default_factory=dict)


class PlanAnswer(Answer):
    """One version of a plan."""

    id: int
    student_id: int
    academic_year: str
    version: int
    parent_id: int | None
    content: dict[str, Any]


class PersonAnswer(Answer):
    """A person."""

    id: int
    name: str
    role: str
    year: int | None
