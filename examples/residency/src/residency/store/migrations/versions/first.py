"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    "block",
    "idempotency_record",
    "mutex",
    "person",
    "rotation_template",
    "schedule_run",
    "student",
    "task",
    "absence",
    "assignment",
    "digest_line",
    "education_plan",
    "swap_request",
)


def upgrade() -> None:
    """Go forward."""
    _block()
    _idempotency_record()
    _mutex()
    _person()
    _rotation_template()
    _schedule_run()
    _student()
    _task()
    _absence()
    _assignment()
    _digest_line()
    _education_plan()
    _swap_request()


def downgrade() -> None:
    """Go back to nothing."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _block() -> None:
    op.create_table(
        "block",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("half", sa.String(length=2), nullable=False),
        sa.CheckConstraint("half in ('AM', 'PM')", name=op.f("ck_block_half")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block")),
        sa.UniqueConstraint("day", "half", name=op.f("uq_block_day_half")),
    )
    op.create_index(op.f("ix_block_day"), "block", ["day"], unique=False)


def _idempotency_record() -> None:
    op.create_table(
        "idempotency_record",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_record")),
        sa.UniqueConstraint("key", "body_hash", name=op.f("uq_idempotency_record_key_body_hash")),
    )
    op.create_index(
        op.f("ix_idempotency_record_expires_at"), "idempotency_record", ["expires_at"], unique=False
    )
    op.create_index(op.f("ix_idempotency_record_key"), "idempotency_record", ["key"], unique=False)


def _mutex() -> None:
    op.create_table(
        "mutex",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mutex")),
    )


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(role = 'resident') = (year is not null)",
            name=op.f("ck_person_year_of_residents_only"),
        ),
        sa.CheckConstraint("role in ('resident', 'faculty')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index(op.f("ix_person_role"), "person", ["role"], unique=False)


def _rotation_template() -> None:
    op.create_table(
        "rotation_template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("hours", sa.Double(), nullable=False),
        sa.Column("needs_residents", sa.Integer(), nullable=False),
        sa.Column("is_supervised", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rotation_template")),
        sa.UniqueConstraint("name", name=op.f("uq_rotation_template_name")),
    )


def _schedule_run() -> None:
    op.create_table(
        "schedule_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("is_fallback", sa.Boolean(), nullable=False),
        sa.Column("statistics", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_run")),
    )
    op.create_index(op.f("ix_schedule_run_status"), "schedule_run", ["status"], unique=False)


def _student() -> None:
    op.create_table(
        "student",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student")),
    )


def _task() -> None:
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )


def _absence() -> None:
    op.create_table(
        "absence",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_absence_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absence")),
    )
    op.create_index(op.f("ix_absence_person_id"), "absence", ["person_id"], unique=False)


def _assignment() -> None:
    op.create_table(
        "assignment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("block_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(length=400), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["block_id"], ["block.id"], name=op.f("fk_assignment_block_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_assignment_person_id")),
        sa.ForeignKeyConstraint(["run_id"], ["schedule_run.id"], name=op.f("fk_assignment_run_id")),
        sa.ForeignKeyConstraint(
            ["template_id"], ["rotation_template.id"], name=op.f("fk_assignment_template_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sa.UniqueConstraint("block_id", "person_id", name=op.f("uq_assignment_block_id_person_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("assignment_by_person", "assignment", ["person_id", "block_id"], unique=False)
    op.create_index(op.f("ix_assignment_run_id"), "assignment", ["run_id"], unique=False)


def _digest_line() -> None:
    op.create_table(
        "digest_line",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("shifts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_digest_line_person_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_digest_line_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest_line")),
        sa.UniqueConstraint("task_id", "person_id", name=op.f("uq_digest_line_task_id_person_id")),
    )


def _education_plan() -> None:
    op.create_table(
        "education_plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("student_id", sa.Integer(), nullable=False),
        sa.Column("academic_year", sa.String(length=9), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["education_plan.id"], name=op.f("fk_education_plan_parent_id")
        ),
        sa.ForeignKeyConstraint(
            ["student_id"], ["student.id"], name=op.f("fk_education_plan_student_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_education_plan")),
        sa.UniqueConstraint(
            "student_id",
            "academic_year",
            "version",
            name=op.f("uq_education_plan_student_id_academic_year_version"),
        ),
    )


def _swap_request() -> None:
    op.create_table(
        "swap_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Integer(), nullable=True),
        sa.Column("block_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("taker_id", sa.Integer(), nullable=False),
        sa.Column("return_assignment_id", sa.Integer(), nullable=True),
        sa.Column("return_block_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["assignment_id"],
            ["assignment.id"],
            name=op.f("fk_swap_request_assignment_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["block_id"], ["block.id"], name=op.f("fk_swap_request_block_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["person.id"], name=op.f("fk_swap_request_owner_id")),
        sa.ForeignKeyConstraint(
            ["return_assignment_id"],
            ["assignment.id"],
            name=op.f("fk_swap_request_return_assignment_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["return_block_id"], ["block.id"], name=op.f("fk_swap_request_return_block_id")
        ),
        sa.ForeignKeyConstraint(["taker_id"], ["person.id"], name=op.f("fk_swap_request_taker_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_swap_request")),
    )
    op.create_index(
        op.f("ix_swap_request_assignment_id"), "swap_request", ["assignment_id"], unique=False
    )
    op.create_index(
        op.f("ix_swap_request_return_assignment_id"),
        "swap_request",
        ["return_assignment_id"],
        unique=False,
    )
    op.create_index(op.f("ix_swap_request_status"), "swap_request", ["status"], unique=False)
