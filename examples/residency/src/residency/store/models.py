"""The tables."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, aware on every back end; SQLite keeps no zone of its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Store in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Read in UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON}  # noqa: RUF012 - declarative


class Person(Base):
    """A resident or a member of the faculty."""

    __tablename__ = "person"
    __table_args__ = (
        CheckConstraint("role in ('resident', 'faculty')", name="role"),
        CheckConstraint("(role = 'resident') = (year is not null)", name="year_of_residents_only"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[str] = mapped_column(String(10), index=True)
    year: Mapped[int | None]
    """Postgraduate year 1 to 3; faculty have none."""


class RotationTemplate(Base):
    """An activity that people are assigned to: clinic, ward, night, lecture."""

    __tablename__ = "rotation_template"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    hours: Mapped[float]
    """Work hours that one half-day of it counts for."""
    needs_residents: Mapped[int] = mapped_column(default=1)
    """How many residents cover it in each block."""
    is_supervised: Mapped[bool] = mapped_column(default=True)


class Block(Base):
    """A half-day."""

    __tablename__ = "block"
    __table_args__ = (
        UniqueConstraint("day", "half"),
        CheckConstraint("half in ('AM', 'PM')", name="half"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, index=True)
    half: Mapped[str] = mapped_column(String(2))


class Assignment(Base):
    """One person in one block, doing one thing."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("block_id", "person_id"),
        Index("assignment_by_person", "person_id", "block_id"),
        {"sqlite_autoincrement": True},
    )
    # A number is never given again, which SQLite would do after a new schedule replaced the rows:
    # an edit of what was there would go to somebody else's shift, at the same version.

    id: Mapped[int] = mapped_column(primary_key=True)
    block_id: Mapped[int] = mapped_column(ForeignKey("block.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    template_id: Mapped[int] = mapped_column(ForeignKey("rotation_template.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("schedule_run.id"), index=True)
    note: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)
    """Counted up by every edit; an edit of an older version is refused."""

    block: Mapped[Block] = relationship()
    person: Mapped[Person] = relationship()
    template: Mapped[RotationTemplate] = relationship()


class Absence(Base):
    """Days on which a person cannot work."""

    __tablename__ = "absence"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(String(120), default="")


class SwapRequest(Base):
    """A wish to take over, give away or exchange a shift.

    The shifts are named by block and person, because a new schedule replaces the assignments.
    """

    __tablename__ = "swap_request"

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int | None] = mapped_column(
        ForeignKey("assignment.id", ondelete="SET NULL"), index=True
    )
    """The shift that changes hands, as long as its schedule stands."""
    block_id: Mapped[int] = mapped_column(ForeignKey("block.id"))
    owner_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    """Who had it, as far as the asker knew."""
    taker_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    """Who takes it."""
    return_assignment_id: Mapped[int | None] = mapped_column(
        ForeignKey("assignment.id", ondelete="SET NULL"), index=True
    )
    """The shift given in exchange, if any."""
    return_block_id: Mapped[int | None] = mapped_column(ForeignKey("block.id"))
    status: Mapped[str] = mapped_column(String(10), default="done", index=True)
    """``queued`` while a schedule is generated, ``done`` or ``refused``."""
    reason: Mapped[str] = mapped_column(String(400), default="")
    """Why it waits or was refused, for a person to act on."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class ScheduleRun(Base):
    """One generation of a schedule."""

    __tablename__ = "schedule_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date] = mapped_column(Date)
    status: Mapped[str] = mapped_column(String(12), default="running", index=True)
    """``waiting``, ``running``, ``done``, ``failed``, ``cancelled`` or ``rolled back``."""
    is_fallback: Mapped[bool] = mapped_column(default=False)
    statistics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class IdempotencyRecord(Base):
    """What a request with a key was answered, so that a repeat is answered the same."""

    __tablename__ = "idempotency_record"
    __table_args__ = (UniqueConstraint("key", "body_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(255), index=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(10), default="started")
    """``started`` or ``completed``."""
    status_code: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Task(Base):
    """A long task that can be watched and cancelled."""

    __tablename__ = "task"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(10), default="running")
    """``running``, ``cancelling``, ``cancelled``, ``done`` or ``failed``."""
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=10)
    created_at: Mapped[datetime] = mapped_column(default=now)


class DigestLine(Base):
    """How many shifts a person has, as one digest counted them."""

    __tablename__ = "digest_line"
    __table_args__ = (UniqueConstraint("task_id", "person_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    shifts: Mapped[int]


class Student(Base):
    """Somebody whose education is planned."""

    __tablename__ = "student"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))


class EducationPlan(Base):
    """One version of a student's plan for an academic year."""

    __tablename__ = "education_plan"
    __table_args__ = (UniqueConstraint("student_id", "academic_year", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    student_id: Mapped[int] = mapped_column(ForeignKey("student.id"))
    academic_year: Mapped[str] = mapped_column(String(9))
    """Such as ``2026/2027``."""
    version: Mapped[int]
    """1, 2, 3 … without gap or duplicate."""
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("education_plan.id"))
    content: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Mutex(Base):
    """Never holds a row: writing it takes SQLite's write lock, in place of advisory locks."""

    __tablename__ = "mutex"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
