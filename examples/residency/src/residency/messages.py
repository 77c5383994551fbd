"""What requests and answers hold."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from residency.services.assignments import LONGEST_NOTE


def _no_truth(value: object) -> object:
    """Refuse true and false, which Python counts as 1 and 0."""
    if isinstance(value, bool):
        msg = f"{str(value).lower()} is no number"
        raise ValueError(msg)  # noqa: TRY004 - what Pydantic tells whoever asked
    return value


def _no_moment(value: object) -> object:
    """Refuse a day that is given as the seconds since 1970."""
    if not isinstance(value, str | date) or (isinstance(value, str) and SECONDS.match(value)):
        msg = "write a day as 2026-01-05"
        raise ValueError(msg)
    return value


SECONDS = re.compile(r"\s*[-+]?[0-9.]+\s*$")
Day = Annotated[date, BeforeValidator(_no_moment)]
NoTruth = BeforeValidator(_no_truth)
NEWEST = 2**31 - 1
"""Larger than any number of something in a table."""
Number = Annotated[int, Field(ge=1, le=NEWEST), NoTruth]
"""The number of something in a table."""
After = Annotated[int, Field(ge=0, le=NEWEST)]
"""The number behind which a list goes on: the last one of the page before."""
Before = Annotated[int, Field(ge=1, le=NEWEST)]
"""The number before which a list goes on that begins with the newest."""
Limit = Annotated[int, Field(ge=1, le=1000)]
"""How much of a list is told at a time."""


def _next_year(value: str) -> str:
    """Refuse an academic year whose two years do not follow each other."""
    first, second = map(int, value.split("/"))
    if second != first + 1:
        msg = f"{value} is no academic year; write a year and the next one: 2026/2027"
        raise ValueError(msg)
    return value


AcademicYear = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}/[0-9]{4}$", examples=["2026/2027"]),
    AfterValidator(_next_year),
]
NO_NUL = r"^[^\u0000]*$"
"""PostgreSQL keeps no text with the character NUL."""
NOT_BLANK = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=NOT_BLANK)]


MOST_LEVELS = 20


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON has no way to write, and what is nested deeper than people read."""
    if not _is_shallow(content, MOST_LEVELS):
        msg = f"content is nested deeper than {MOST_LEVELS} levels"
        raise ValueError(msg)
    json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    return content


def _is_shallow(value: object, levels: int) -> bool:
    """Say whether a value is nested in so many levels at most."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list):
        return True
    return levels > 0 and all(_is_shallow(part, levels - 1) for part in parts)


Content = Annotated[dict[str, Any], AfterValidator(_storable)]


class Message(BaseModel):
    """What all messages share: fields that nobody knows are refused."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class Answer(BaseModel):
    """What all answers share: they are read from the tables' rows."""

    model_config = ConfigDict(from_attributes=True)


class Days(Message):
    """From one day to another."""

    first_day: Day
    last_day: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            msg = f"last_day {self.last_day} is before first_day {self.first_day}"
            raise ValueError(msg)
        return self


class GenerationRequest(Days):
    """Which days to plan."""


def _told(statistics: dict[str, Any]) -> dict[str, Any]:
    """Leave out the assignments that a fallback keeps to put back."""
    return {name: value for name, value in statistics.items() if name != "replaced"}


class RunAnswer(Answer):
    """A schedule run."""

    id: int
    status: str
    first_day: date
    last_day: date
    is_fallback: bool
    statistics: Annotated[dict[str, Any], AfterValidator(_told)]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class AssignmentEdit(Message):
    """An edit of an assignment, as the editor saw it."""

    version: Number
    note: Annotated[str, Field(max_length=LONGEST_NOTE, pattern=NO_NUL)] | None = None
    template_id: Number | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.note is None and self.template_id is None:
            msg = "name what to change: note or template_id"
            raise ValueError(msg)
        return self


class NoteLine(Message):
    """A line to add to an assignment's note."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, pattern=NO_NUL)]


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
    assignment_id: int | None
    owner_id: int
    taker_id: int
    return_assignment_id: int | None
    status: str
    reason: str


class TaskRequest(Message):
    """A long task to start."""

    kind: Literal["digest"] = "digest"
    steps: Annotated[int, Field(ge=1, le=100), NoTruth] = 10


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
    content: Content = Field(default_factory=dict)


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


class DigestAnswer(Answer):
    """How many shifts a person has."""

    person_id: int
    shifts: int


class TokenRequest(Message):
    """Who wants a token."""

    user: Name
    password: Annotated[str, Field(max_length=200, pattern=NO_NUL)]


class TokenAnswer(BaseModel):
    """A token, and for how many seconds it lasts."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - what RFC 6750 calls it
    expires_in: int


class Health(BaseModel):
    """Whether the service can do its work."""

    status: Literal["ok", "degraded"]
    database: bool
    cache: Literal["none", "ok", "gone"]
