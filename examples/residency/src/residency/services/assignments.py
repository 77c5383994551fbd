"""Editing assignments: by version, or under a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from residency.services.errors import BeingEdited, NoteFull, NotFound, StaleVersion
from residency.store.models import Assignment

EDITABLE = ("note", "template_id")
LONGEST_NOTE = 400
LOCK_NOT_AVAILABLE = "55P03"


def get_assignment(session: Session, assignment_id: int) -> Assignment:
    """Return an assignment.

    Raises:
        NotFound: There is none with this number.
    """
    return _there(session.get(Assignment, assignment_id), assignment_id)


def lock_assignment(session: Session, assignment_id: int, *, wait: bool = True) -> Assignment:
    """Return an assignment as it is now, locked until the transaction ends.

    Raises:
        NotFound: There is none with this number.
    """
    locked = (
        select(Assignment)
        .where(Assignment.id == assignment_id)
        .with_for_update(nowait=not wait)
        .execution_options(populate_existing=True)
    )
    return _there(session.scalars(locked).one_or_none(), assignment_id)


def _there(found: Assignment | None, assignment_id: int) -> Assignment:
    if found is None:
        detail = f"There is no assignment {assignment_id}."
        raise NotFound(detail, advice="List the assignments: GET /assignments.")
    return found


def edit_assignment(
    session: Session, assignment_id: int, *, version: int, changes: dict[str, Any]
) -> Assignment:
    """Edit an assignment that still is as the editor saw it.

    Raises:
        NotFound: There is none with this number.
        StaleVersion: Somebody else edited it in between.
    """
    kept = {name: value for name, value in changes.items() if name in EDITABLE}
    result = session.execute(
        update(Assignment)
        .where(Assignment.id == assignment_id, Assignment.version == version)
        .values(**kept, version=Assignment.version + 1)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()
    found = get_assignment(session, assignment_id)
    if not result.rowcount:  # type: ignore[attr-defined]
        detail = f"Assignment {assignment_id} is at version {found.version}, not {version}."
        raise StaleVersion(detail, advice="Read it again and repeat the edit on what it is now.")
    return found


def edit_under_lock(
    session: Session,
    assignment_id: int,
    change: Callable[[Assignment], None],
    *,
    wait: bool = True,
) -> Assignment:
    """Edit an assignment while nobody else can: others wait, and then see what was done.

    On PostgreSQL the row is locked. SQLite has no row locks; its transactions begin by taking the
    write lock of the whole database, which has the same effect on everybody, and always waits.

    Args:
        session: The transaction to do it in.
        assignment_id: Which assignment.
        change: Changes it.
        wait: Whether to wait for somebody who is editing it.

    Raises:
        NotFound: There is none with this number.
        BeingEdited: Somebody else is editing it, and this edit does not wait.
    """
    try:
        found = lock_assignment(session, assignment_id, wait=wait)
    except OperationalError as error:
        if wait or getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        detail = f"Somebody else is editing assignment {assignment_id}."
        raise BeingEdited(detail, advice="Try again in a moment.") from error
    change(found)
    found.version += 1
    session.flush()
    return found


def append_note(session: Session, assignment_id: int, text: str) -> Assignment:
    """Add a line to an assignment's note, whoever else is adding one.

    Raises:
        NotFound: There is none with this number.
        NoteFull: The note would be longer than there is room for.
    """

    def change(assignment: Assignment) -> None:
        note = f"{assignment.note}\n{text}" if assignment.note else text
        if len(note) > LONGEST_NOTE:
            detail = f"The note would have {len(note)} characters; {LONGEST_NOTE} are the most."
            raise NoteFull(detail, advice="Shorten the note first: PATCH /assignments/{id}.")
        assignment.note = note

    return edit_under_lock(session, assignment_id, change)
