"""Two people edit one assignment (requirements 2.2), on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import create_engine, event, select, text

from editing import WHOLE, note_of
from mutation import ALWAYS, redefine, rewritten
from residency.services.assignments import append_note, edit_assignment, edit_under_lock
from residency.services.errors import BeingEdited, NoteFull, NotFound, StaleVersion
from residency.services.generation import Draft, Place, generate
from residency.store.models import Assignment

MONDAY = date(2026, 1, 5)


def edit_without_protection(session, number, words):
    """Read a note, add to it, write it: what an editor without any protection does."""
    note = session.scalar(select(Assignment.note).where(Assignment.id == number))
    yield
    session.execute(
        text("UPDATE assignment SET note = :note WHERE id = :id"),
        {"note": f"{note} {words}".strip(), "id": number},
    )
    session.commit()
    yield


@pytest.mark.backends("postgres")
def test_lost_update_without_protection(separate_sessions, sessions, concurrent_edit_scenario):
    """2.2: two read, two write what they computed: the first edit is gone, and no error tells."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        edits = [
            edit_without_protection(ann, number, "a"),
            edit_without_protection(bob, number, "b"),
        ]
        for _ in range(2):
            for edit in edits:
                next(edit)
    assert note_of(sessions) == "b"


@pytest.mark.backends("sqlite")
def test_lost_update_with_the_drivers_own_habit(database, sessions, concurrent_edit_scenario):
    """2.2: SQLite's driver begins no transaction before a SELECT, and so loses the update too."""
    unsafe = create_engine(database.url)
    with unsafe.connect() as ann, unsafe.connect() as bob:
        edits = [
            edit_without_protection(session, 1, name) for session, name in ((ann, "a"), (bob, "b"))
        ]
        for _ in range(2):
            for edit in edits:
                next(edit)
    unsafe.dispose()
    assert note_of(sessions) == "b"


@pytest.mark.backends("sqlite")
def test_lost_update_is_impossible_where_transactions_take_the_lock(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: on SQLite as the service opens it, the second reader waits for the first writer."""
    with separate_sessions("ann", "bob") as (ann, bob):
        first = edit_without_protection(ann, 1, "a")
        next(first)
        second = edit_without_protection(bob, 1, "b")
        waiting = bob.start(lambda _session: next(second))
        assert (waiting.blocked_by, waiting.lock) == (["ann"], WHOLE)
        next(first)
        waiting.result()
        next(second)
    assert note_of(sessions) == "a b"


def test_for_update_keeps_both_edits_and_one_waits(
    separate_sessions, sessions, concurrent_edit_scenario, database_backend
):
    """2.2: with SELECT … FOR UPDATE both edits survive and one waits: for a row, or for all."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, number, "a")
        waiting = bob.start(append_note, number, "b")
        assert waiting.blocked_by == ["ann"]
        assert waiting.lock == (
            WHOLE if database_backend == "sqlite" else f"row assignment(id={number})"
        )
        ann.commit()
        assert waiting.result().version == 3
        bob.commit()
    assert note_of(sessions) == "a\nb"


def test_rows_are_locked_on_postgres_and_everything_on_sqlite(
    separate_sessions, swap_scenario, database_backend
):
    """2.2: an edit of another assignment waits on SQLite only."""
    first, second = swap_scenario.assignments
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, first, "a")
        other = bob.start(append_note, second, "b")
        assert other.blocked_by == (["ann"] if database_backend == "sqlite" else [])
        ann.commit()
        assert other.result().note == "b"


@pytest.mark.backends("postgres")
def test_nowait_is_refused_at_once(separate_sessions, concurrent_edit_scenario):
    """2.2: on PostgreSQL an edit that does not wait is told at once that somebody is editing."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, number, "a")
        refused = bob.start(edit_under_lock, number, lambda _: None, wait=False)
        with pytest.raises(BeingEdited, match="Somebody else is editing assignment 1"):
            refused.result()


@pytest.mark.backends("sqlite")
def test_nowait_waits_on_sqlite(separate_sessions, concurrent_edit_scenario):
    """2.2: SQLite knows no NOWAIT for a row: the transaction waits before it can ask."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, number, "a")
        waiting = bob.start(edit_under_lock, number, lambda _: None, wait=False)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        assert waiting.result().version == 3


def test_version_column_refuses_the_second(separate_sessions, sessions, concurrent_edit_scenario):
    """2.2: with a version column the second edit of one version is refused: HTTP 409."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        edit_assignment(ann, number, version=1, changes={"note": "a"})
        second = bob.start(edit_assignment, number, version=1, changes={"note": "b"})
        assert second.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(StaleVersion, match="Assignment 1 is at version 2, not 1"):
            second.result()
        bob.rollback()
    assert note_of(sessions) == "a"


def test_version_column_lets_the_second_in_if_the_first_gives_up(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: after a rollback the version stands, and who waited may edit."""
    number = concurrent_edit_scenario.assignment
    with separate_sessions("ann", "bob") as (ann, bob):
        edit_assignment(ann, number, version=1, changes={"note": "a"})
        second = bob.start(edit_assignment, number, version=1, changes={"note": "b"})
        ann.rollback()
        assert second.result().version == 2
        bob.commit()
    assert note_of(sessions) == "b"


def test_hundred_edits_of_one_version_over_http(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: of 100 edits of one version one is made; 99 are answered 409, with what to do."""
    outcome = concurrent_runner(
        lambda worker: service.patch(
            "/assignments/1", json={"version": 1, "note": f"by {worker.index}"}
        ),
        workers=100,
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 1, 409: 99}
    refused = next(answer for answer in outcome.values if answer.status_code == 409)
    assert refused.json() == {
        "type": "about:blank",
        "status": 409,
        "title": "Edited in between",
        "detail": "Assignment 1 is at version 2, not 1.",
        "advice": "Read it again and repeat the edit on what it is now.",
    }
    made = next(answer for answer in outcome.values if answer.status_code == 200)
    assert made.json()["note"] == note_of(sessions)


def test_hundred_notes_over_http_all_stay(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: 100 lines added at once under FOR UPDATE are all there, and every version was given."""
    outcome = concurrent_runner(
        lambda worker: service.post("/assignments/1/notes", json={"text": f"{worker.index:02d}"}),
        workers=100,
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {201: 100}
    assert sorted(answer.json()["version"] for answer in outcome.values) == list(range(2, 102))
    assert sorted(note_of(sessions).split("\n")) == [f"{number:02d}" for number in range(100)]


def test_note_that_would_not_fit_is_refused(sessions, concurrent_edit_scenario):
    """2.2: a full note is refused with what to do, and nothing is cut off."""
    with sessions.begin() as session:
        append_note(session, 1, "x" * 398)
        with pytest.raises(NoteFull, match="The note would have 401 characters; 400 are the most"):
            append_note(session, 1, "yy")
    assert note_of(sessions) == "x" * 398


@pytest.mark.backends("postgres")
def test_mutant_without_for_update_loses_an_edit(
    separate_sessions, sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: without FOR UPDATE nobody waits at the read, and the first edit is lost."""
    with rewritten(engine, r"\s+FOR UPDATE", ""), separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, 1, "a")
        waiting = bob.start(append_note, 1, "b")  # waits at the write, with what it has read
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        waiting.result()
        bob.commit()
    assert note_of(sessions) == "b"


@pytest.mark.backends("postgres")
def test_mutant_without_nowait_waits(separate_sessions, engine, concurrent_edit_scenario):
    """2.2 mutant: without NOWAIT an edit that ought not to wait does."""
    with rewritten(engine, " NOWAIT", ""), separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, 1, "a")
        waiting = bob.start(edit_under_lock, 1, lambda _: None, wait=False)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        waiting.result()


def test_mutant_without_the_version_condition_loses_an_edit(
    separate_sessions, sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: an update that does not ask for the version overwrites the first edit."""
    anything = rewritten(engine, r"assignment\.version = \S+", ALWAYS)
    with anything, separate_sessions("ann", "bob") as (ann, bob):
        edit_assignment(ann, 1, version=1, changes={"note": "a"})
        second = bob.start(edit_assignment, 1, version=1, changes={"note": "b"})
        ann.commit()
        assert second.result().note == "b"
        bob.commit()
    assert note_of(sessions) == "b"


def edit_what_was_seen_before(ann, bob):
    """Let Bob edit what he saw before Ann did."""
    seen = bob.get_one(Assignment, 1)
    assert seen.note == ""
    append_note(ann, 1, "a")
    ann.commit()
    append_note(bob, 1, "b")
    bob.commit()


@pytest.mark.backends("postgres")
def test_edit_under_a_lock_reads_again(separate_sessions, sessions, concurrent_edit_scenario):
    """2.2: who saw an assignment before somebody else edited it edits what it is now."""
    with separate_sessions("ann", "bob") as (ann, bob):
        edit_what_was_seen_before(ann, bob)
    assert note_of(sessions) == "a\nb"


@pytest.mark.backends("postgres")
def test_mutant_that_locks_and_does_not_read_again_loses_an_edit(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2 mutant: a lock is of no use to who goes on with what the session remembers."""

    def remember(execution):
        execution.update_execution_options(populate_existing=False)

    with separate_sessions("ann", "bob") as (ann, bob):
        event.listen(bob, "do_orm_execute", remember)
        edit_what_was_seen_before(ann, bob)
    assert note_of(sessions) == "b"


def edit_what_was_planned_anew(sessions, scenario):
    """Let a new schedule give the shift to somebody else, and an editor edit the one before."""

    def planner(*_):
        place = Place(
            block_id=scenario.block, person_id=scenario.faculty[0], template_id=scenario.template
        )
        return Draft(places=[place], statistics={})

    generate(sessions, first_day=MONDAY, last_day=MONDAY, planner=planner)
    with sessions.begin() as session:
        changes = {"note": "for whoever had it"}
        return edit_assignment(session, scenario.assignment, version=1, changes=changes).person_id


def test_edit_of_what_was_planned_anew_is_refused(sessions, concurrent_edit_scenario):
    """2.2: a number stands for one assignment for ever, never for one of a later schedule."""
    with pytest.raises(NotFound, match="There is no assignment 1"):
        edit_what_was_planned_anew(sessions, concurrent_edit_scenario)


@pytest.mark.backends("sqlite")
def test_mutant_that_gives_numbers_again_edits_somebody_elses_shift(
    sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: SQLite's own habit gives the number, at version 1, to the next assignment."""
    redefine(engine, "assignment", " AUTOINCREMENT", "")
    edited = edit_what_was_planned_anew(sessions, concurrent_edit_scenario)
    assert edited == concurrent_edit_scenario.faculty[0]
