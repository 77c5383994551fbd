"""Concurrent editing (requirements 2.2), on SQLite and on PostgreSQL, with their difference."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import InternalError, OperationalError

from residency.services import assignments, generation, swaps, tasks
from residency.services.assignments import append_note, edit_assignment, edit_under_lock
from residency.services.errors import (
    BeingEdited,
    NoteFull,
    RunOver,
    StaleVersion,
    SwapConflict,
    TaskEnded,
)
from residency.services.generation import begin_run, complete_run, finish_run, start_next, work_off
from residency.services.plans import retried
from residency.services.swaps import request_swap
from residency.services.tasks import cancel_task, create_task, get_task, run_steps, run_steps_async
from residency.store.engine import reading
from residency.store.models import (
    Absence,
    Assignment,
    Block,
    Person,
    RotationTemplate,
    ScheduleRun,
    Student,
    SwapRequest,
    Task,
)

WHOLE = "the database's write lock"


def note_of(sessions, number=1):
    with sessions() as session:
        return session.get_one(Assignment, number).note


def owners(sessions):
    """Return who has which block: (block, person) pairs, and fail if anybody has one twice."""
    query = select(Assignment.block_id, Assignment.person_id)
    with sessions() as session:
        pairs = [tuple(row) for row in session.execute(query)]
    assert len(pairs) == len(set(pairs))
    return set(pairs)


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


# --- two people edit one assignment ---


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
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without FOR UPDATE nobody waits at the read, and the first edit is lost."""
    plain = assignments.select

    class Unlocked:
        def __init__(self, statement):
            self.statement = statement

        def where(self, *conditions):
            return Unlocked(self.statement.where(*conditions))

        def with_for_update(self, **_):
            return self.statement

    monkeypatch.setattr(assignments, "select", lambda table: Unlocked(plain(table)))
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, 1, "a")
        waiting = bob.start(append_note, 1, "b")  # waits at the write, with what it has read
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        waiting.result()
        bob.commit()
    assert note_of(sessions) == "b"


def test_mutant_without_the_version_condition_loses_an_edit(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2 mutant: an update that does not ask for the version overwrites the first edit."""

    def edit(session, words):
        session.execute(
            text("UPDATE assignment SET note = :note, version = 2 WHERE id = 1"), {"note": words}
        )

    with separate_sessions("ann", "bob") as (ann, bob):
        edit(ann, "a")
        second = bob.start(edit, "b")
        ann.commit()
        second.result()
        bob.commit()
    assert note_of(sessions) == "b"


class Counter:
    """A version counter kept in memory, with the lock that it needs."""

    def __init__(self, lock):
        self.lock = lock
        self.version = 1

    def edit(self, seen):
        """Count up if the version still is the one seen; say whether it was."""
        with self.lock:
            if self.version != seen:
                return False
            self.version += 1
            return True


class NoLock:
    """A lock that locks nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_version_counter_in_every_order(interleave):
    """2.2: compare and count under a lock: one of two edits of a version wins, in every order."""

    @interleave
    def body(run):
        counter = Counter(threading.Lock())
        assert sorted(run(lambda: counter.edit(1), lambda: counter.edit(1))) == [False, True]


def test_mutant_version_counter_without_a_lock_is_found(interleave):
    """2.2 mutant: without the lock there is an order in which both edits win."""
    with pytest.raises(AssertionError, match=r"\[True, True\]"):

        @interleave
        def body(run):
            counter = Counter(NoLock())
            assert sorted(run(lambda: counter.edit(1), lambda: counter.edit(1))) == [False, True]


# --- two of the faculty want one shift ---


def wish(scenario, taker):
    return {"assignment_id": scenario.assignment, "owner_id": scenario.owner, "taker_id": taker}


def test_one_gets_the_shift_and_the_other_is_told_why(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: two of the faculty want a third's shift: one gets it, the other is told who has it."""
    scenario = concurrent_edit_scenario
    with separate_sessions("ann", "bob") as (ann, bob):
        assert request_swap(ann, **wish(scenario, scenario.faculty[0])).status == "done"
        waiting = bob.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[1]))
        )
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(SwapConflict) as refused:
            waiting.result()
        bob.rollback()
    assert refused.value.detail == "Dr. Ann has the shift Mon 05 Jan AM by now. Ask them."
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_hundred_want_one_shift_over_http(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: of 100 people who want one shift one gets it; all others are told why, with 409."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        people = [Person(name=f"Dr. {number}", role="faculty") for number in range(100)]
        session.add_all(people)
        session.flush()
        takers = [one.id for one in people]
    outcome = concurrent_runner(
        lambda taker: service.post("/swaps", json=wish(scenario, taker)), items=takers
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {201: 1, 409: 99}
    winner = next(answer.json()["taker_id"] for answer in outcome.values if answer.is_success)
    reasons = {answer.json()["detail"] for answer in outcome.values if not answer.is_success}
    name = f"Dr. {takers.index(winner)}"
    assert reasons == {f"{name} has the shift Mon 05 Jan AM by now. Ask them."}
    assert owners(sessions) == {(scenario.block, winner)}
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(SwapRequest)) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_two_compatible_swaps_never_double_book(separate_sessions, sessions, swap_scenario, first):
    """2.2: an exchange and a gift of one assignment, in both orders: nobody is in a block twice."""
    (ann_id, bob_id), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments
    both = [
        {
            "assignment_id": monday,
            "owner_id": ann_id,
            "taker_id": bob_id,
            "return_assignment_id": tuesday,
        },
        {"assignment_id": tuesday, "owner_id": bob_id, "taker_id": ann_id},
    ]
    with separate_sessions("one", "two") as (one, two):
        assert request_swap(one, **both[first]).status == "done"
        waiting = two.start(lambda session: request_swap(session, **both[1 - first]))
        assert waiting.blocked_by == ["one"]
        one.commit()
        with pytest.raises(SwapConflict, match=r"(by now|already)"):
            waiting.result()
        two.rollback()
    days = {block for block, _ in owners(sessions)}
    assert days == set(swap_scenario.blocks)


def test_hundred_exchanges_leave_every_shift_taken_once(sessions, swap_scenario, concurrent_runner):
    """2.2: 100 exchanges of two shifts, back and forth: each shift has one owner in the end."""
    (ann, bob), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments

    def exchange(worker):
        owner, taker = (ann, bob) if worker.index % 2 else (bob, ann)
        with sessions.begin() as session:
            request_swap(
                session,
                assignment_id=monday,
                owner_id=owner,
                taker_id=taker,
                return_assignment_id=tuesday,
            )

    outcome = concurrent_runner(exchange, workers=100)
    assert {type(error) for error in outcome.errors} <= {SwapConflict}
    assert len(outcome.values) >= 1
    pairs = owners(sessions)
    assert len(pairs) == 2
    assert {block for block, _ in pairs} == set(swap_scenario.blocks)
    assert {person for _, person in pairs} == {ann, bob}


@pytest.mark.backends("postgres")
def test_mutant_without_locks_gives_one_shift_to_both(
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without the schedule's lock and FOR UPDATE both are told that they have it."""
    scenario = concurrent_edit_scenario
    monkeypatch.setattr(swaps, "take_lock", lambda _session, _name: None)
    monkeypatch.setattr(
        swaps, "_assignment", lambda session, number: session.get(Assignment, number)
    )
    with separate_sessions("ann", "bob") as (ann, bob):
        bob.get(Assignment, scenario.assignment)
        assert request_swap(ann, **wish(scenario, scenario.faculty[0])).status == "done"
        waiting = bob.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[1]))
        )
        ann.commit()
        assert waiting.result().status == "done"
        bob.commit()
    assert owners(sessions) == {(scenario.block, scenario.faculty[1])}


# --- a swap while a schedule is generated ---


def start_run(sessions, scenario):
    with sessions.begin() as session:
        day = session.get_one(Block, scenario.block).day
        begin_run(session, first_day=day, last_day=day + timedelta(days=1))
        return start_next(session)


def keep_owner(scenario):
    """Return a planner that gives the shift to whom it belongs, in a new row."""

    def planner(session, first_day, last_day):
        place = generation.Place(
            block_id=scenario.block, person_id=scenario.owner, template_id=scenario.template
        )
        return generation.Draft(places=[place], statistics={})

    return planner


def test_swap_during_a_run_of_500_ms_is_queued_and_then_made(
    serve, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: swaps asked for during a run of 500 ms are queued: one is made, one is told why not."""
    scenario = concurrent_edit_scenario
    begun = threading.Event()

    def plan_for_500_ms(session, first_day, last_day):
        begun.set()
        threading.Event().wait(0.5)
        return keep_owner(scenario)(session, first_day, last_day)

    service = serve(planner=plan_for_500_ms)
    service.post(
        "/schedule-runs",
        json={"first_day": "2026-01-05", "last_day": "2026-01-06"},
        headers={"Idempotency-Key": "k1"},
    )
    assert begun.wait(20)
    asked = concurrent_runner(
        lambda taker: service.post("/swaps", json=wish(scenario, taker)), items=scenario.faculty
    ).raise_errors()
    assert asked.tally(lambda answer: (answer.status_code, answer.json()["status"])) == {
        (202, "queued"): 2
    }
    for _ in range(2000):
        decided = {one["taker_id"]: one for one in service.get("/swaps").json()}
        if {one["status"] for one in decided.values()} == {"done", "refused"}:
            break
    made = next(one for one in decided.values() if one["status"] == "done")
    refused = next(one for one in decided.values() if one["status"] == "refused")
    assert made["id"] < refused["id"]
    assert refused["reason"].endswith("has the shift Mon 05 Jan AM by now. Ask them.")
    assert owners(sessions) == {(scenario.block, made["taker_id"])}


def test_swap_queued_for_a_shift_that_is_no_more_is_refused(sessions, concurrent_edit_scenario):
    """2.2: a new schedule may take the shift away; the queued swap then says so."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    with sessions.begin() as session:
        assert request_swap(session, **wish(scenario, scenario.faculty[0])).status == "queued"
    with sessions.begin() as session:
        finish_run(session, run_id, generation.Draft(places=[], statistics={}))
    with sessions() as session:
        found = session.scalars(select(SwapRequest)).one()
        assert found.status == "refused"
        assert found.reason == "Dr. Chen does not work on Mon 05 Jan AM in the new schedule."
        assert found.assignment_id is None


def test_swap_waits_for_all_runs_that_wait(sessions, concurrent_edit_scenario):
    """2.2: between two runs no swap is made that the second would undo."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["queued"]
    work_off(sessions, planner=keep_owner(scenario))
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["done"]
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_swap_and_the_beginning_of_a_run_in_both_orders(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: whichever comes first, the other waits for it; then the swap is queued, or is made."""
    scenario = concurrent_edit_scenario
    day = {"first_day": "2026-01-05", "last_day": "2026-01-05"}
    with separate_sessions("planner", "ann") as (planner, ann):
        days = {name: planner.get(Block, scenario.block).day for name in day}
        planner.rollback()
        begin_run(planner, **days)
        waiting = ann.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[0]))
        )
        assert waiting.blocked_by == ["planner"]
        planner.commit()
        assert waiting.result().status == "queued"
        ann.rollback()
        planner.execute(text("DELETE FROM schedule_run"))
        planner.commit()

        request_swap(ann, **wish(scenario, scenario.faculty[0]))
        waiting = planner.start(lambda session: begin_run(session, **days).status)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        assert waiting.result() == "waiting"
        planner.commit()
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_exchange_that_breaks_half_way_changes_nothing(sessions, swap_scenario, monkeypatch):
    """2.2: a swap is never applied half-way: whatever breaks, both shifts stay as they were."""
    before = owners(sessions)
    plain = swaps._exchange

    def broken(*args, **kwargs):
        plain(*args, **kwargs)
        message = "the process dies"
        raise RuntimeError(message)

    monkeypatch.setattr(swaps, "_exchange", broken)
    with pytest.raises(RuntimeError), sessions.begin() as session:
        request_swap(
            session,
            assignment_id=swap_scenario.assignments[0],
            owner_id=swap_scenario.faculty[0],
            taker_id=swap_scenario.faculty[1],
            return_assignment_id=swap_scenario.assignments[1],
        )
    assert owners(sessions) == before


def test_run_that_fails_leaves_the_old_schedule_and_lets_swaps_go_on(
    sessions, concurrent_edit_scenario
):
    """2.2: after a failed run the schedule is the old one, and the queued swap is made on it."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))

    def planner(*_):
        message = "no schedule satisfies the rules"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no schedule"):
        complete_run(sessions, run_id, planner=planner)
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_run_that_was_given_up_cannot_write_any_more(sessions, concurrent_edit_scenario):
    """2.2: a run left behind is given up after 15 minutes; if it wakes up, it writes nothing."""
    scenario = concurrent_edit_scenario
    left = start_run(sessions, scenario)
    with sessions.begin() as session:
        session.get_one(ScheduleRun, left).started_at -= generation.LONGEST_RUN
    assert start_run(sessions, scenario) == left + 1
    before = owners(sessions)
    with pytest.raises(RunOver, match=f"Schedule run {left} is failed, not running"):
        complete_run(sessions, left, planner=lambda *_: generation.Draft(places=[], statistics={}))
    assert owners(sessions) == before


def test_mutant_swap_that_does_not_look_for_a_run_is_lost(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: a swap made during a run is undone by the new schedule, and nobody is told."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    monkeypatch.setattr(swaps, "is_generating", lambda _session: False)
    with sessions.begin() as session:
        assert request_swap(session, **wish(scenario, scenario.faculty[0])).status == "done"
    monkeypatch.undo()
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    assert owners(sessions) == {(scenario.block, scenario.owner)}


@pytest.mark.backends("postgres")
def test_mutant_without_the_schedules_lock_lets_a_swap_slip_in(
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without the lock a swap does not see the run that is just beginning."""
    scenario = concurrent_edit_scenario
    monkeypatch.setattr(swaps, "take_lock", lambda _session, _name: None)
    with separate_sessions("planner", "ann") as (planner, ann):
        day = planner.get(Block, scenario.block).day
        begin_run(planner, first_day=day, last_day=day)
        run_id = start_next(planner)
        slipped = ann.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[0]))
        )
        assert slipped.result().status == "done"
        ann.commit()
        planner.commit()
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    assert owners(sessions) == {(scenario.block, scenario.owner)}


# --- a long task is cancelled ---


def a_student(number):
    return [Student(name=f"student {number}")]


def new_task(sessions, steps=10):
    with sessions.begin() as session:
        return create_task(session, kind="digest", steps=steps).id


def table(sessions, task_id):
    """Return what the task table says, and how many rows the task wrote."""
    with sessions() as session:
        task = get_task(session, task_id)
        rows = session.scalar(select(func.count()).select_from(Student))
        return task.status, task.step, rows


def test_thread_that_checks_a_flag_stops_half_way(sessions, concurrent_runner):
    """2.2: a task of 10 steps sees its flag after five, rolls back, cleans up, is "cancelled"."""
    task_id = new_task(sessions)
    flag, half_way, cleaned = threading.Event(), threading.Event(), []

    def step(number):
        if number == 4:
            half_way.set()
            assert flag.wait(20)
        return a_student(number)

    def cancel():
        assert half_way.wait(20)
        flag.set()

    outcome = concurrent_runner(
        lambda: run_steps(
            sessions, task_id, step, stop=flag.is_set, clean_up=lambda: cleaned.append(1)
        ),
        cancel,
    ).raise_errors()
    assert "cancelled" in outcome.values
    assert table(sessions, task_id) == ("cancelled", 5, 0)
    assert cleaned == [1]


def test_asyncio_task_is_cancelled_half_way(sessions):
    """2.2: an asyncio task cancelled in its fifth step rolls back, cleans up, is "cancelled"."""
    task_id = new_task(sessions)
    cleaned = []

    async def main():
        half_way = asyncio.Event()

        async def step(number):
            if number == 4:
                half_way.set()
                await asyncio.Event().wait()
            return a_student(number)

        work = asyncio.create_task(
            run_steps_async(sessions, task_id, step, clean_up=lambda: cleaned.append(1))
        )
        await half_way.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert table(sessions, task_id) == ("cancelled", 4, 0)
    assert cleaned == [1]


def test_asyncio_task_cancelled_while_it_writes_is_whole(sessions, monkeypatch):
    """2.2: cancelled while its rows are being written, a task is done, and so says the table."""
    task_id = new_task(sessions)
    writing, go_on, cleaned = threading.Event(), threading.Event(), []
    plain = tasks.Work.finish

    def finish(self, clean_up):
        writing.set()
        assert go_on.wait(20)
        return plain(self, clean_up)

    monkeypatch.setattr(tasks.Work, "finish", finish)

    async def main():
        async def step(number):
            return a_student(number)

        work = asyncio.create_task(
            run_steps_async(sessions, task_id, step, clean_up=lambda: cleaned.append(1))
        )
        await asyncio.to_thread(writing.wait, 20)
        work.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert table(sessions, task_id) == ("done", 10, 10)
    assert cleaned == []


def test_asyncio_task_is_cancelled_in_the_table(sessions):
    """2.2: asking in the table stops an asyncio task as it stops a thread."""
    task_id = new_task(sessions)

    async def step(number):
        if number == 4:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    assert asyncio.run(run_steps_async(sessions, task_id, step)) == "cancelled"
    assert table(sessions, task_id) == ("cancelled", 5, 0)


@pytest.mark.parametrize("cancelled_in", range(10))
def test_task_cancelled_in_any_step_leaves_nothing(sessions, cancelled_in):
    """2.2: whenever a task is cancelled, even in its last step, none of its rows is there."""
    task_id = new_task(sessions)

    def step(number):
        if number == cancelled_in:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    assert run_steps(sessions, task_id, step) == "cancelled"
    assert table(sessions, task_id) == ("cancelled", cancelled_in + 1, 0)


def test_task_that_is_not_cancelled_is_done(sessions):
    """2.2: left alone, all ten steps are written together."""
    task_id = new_task(sessions)
    assert run_steps(sessions, task_id, a_student) == "done"
    assert table(sessions, task_id) == ("done", 10, 10)
    with sessions() as session, pytest.raises(TaskEnded, match=f"Task {task_id} is done"):
        cancel_task(session, task_id)


def test_task_that_fails_says_so_and_leaves_nothing(sessions):
    """2.2: a step that raises ends the task as "failed", with nothing written."""
    task_id = new_task(sessions)

    def step(number):
        if number == 4:
            message = "no more paper"
            raise OSError(message)
        return a_student(number)

    with pytest.raises(OSError, match="no more paper"):
        run_steps(sessions, task_id, step)
    assert table(sessions, task_id) == ("failed", 4, 0)


@pytest.mark.parametrize("first", ["cancel", "finish"])
def test_cancellation_and_the_end_in_both_orders(separate_sessions, sessions, first):
    """2.2: a task is cancelled or done, never both: whoever comes second finds it decided."""
    task_id = new_task(sessions)
    done = text("UPDATE task SET status = 'done' WHERE id = :id AND status = 'running'")
    with separate_sessions("user", "task") as (user, task):
        if first == "cancel":
            cancel_task(user, task_id)
            end = task.start(done, {"id": task_id})
            assert end.blocked_by == ["user"]
            user.commit()
            assert end.result() == 0
        else:
            assert task.start(done, {"id": task_id}).result() == 1
            asked = user.start(cancel_task, task_id)
            assert asked.blocked_by == ["task"]
            task.commit()
            with pytest.raises(TaskEnded):
                asked.result()


def test_hundred_cancel_one_task_over_http(serve, sessions, concurrent_runner, monkeypatch):
    """2.2: a task is cancelled through the API; 100 who ask at once all get the same answer."""
    half_way, go_on = threading.Event(), threading.Event()

    def held_step(*_, **__):
        def step(number):
            if number == 4:
                half_way.set()
                assert go_on.wait(20)
            return a_student(number)

        return step

    monkeypatch.setattr("residency.web.tasks.digest_step", held_step)
    service = serve()
    task_id = service.post("/tasks", json={"steps": 10}).json()["id"]
    assert half_way.wait(20)
    outcome = concurrent_runner(
        lambda: service.post(f"/tasks/{task_id}/cancel"), workers=100
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {202: 100}
    go_on.set()
    for _ in range(2000):
        found = service.get(f"/tasks/{task_id}").json()
        if found["status"] == "cancelled":
            break
    assert (found["status"], found["step"]) == ("cancelled", 5)
    assert table(sessions, task_id)[2] == 0


def test_digest_counts_everybody_and_can_be_read(service, swap_scenario):
    """2.2: a task that is done has written what it prepared in all of its steps."""
    task_id = service.post("/tasks", json={"steps": 3}).json()["id"]
    for _ in range(2000):
        if service.get(f"/tasks/{task_id}").json()["status"] == "done":
            break
    digest = service.get(f"/tasks/{task_id}/digest").json()
    assert digest == [{"person_id": person, "shifts": 1} for person in swap_scenario.faculty]


def test_mutant_end_without_a_condition_writes_a_cancelled_task(sessions, monkeypatch):
    """2.2 mutant: a task that does not look again at its end writes all rows once cancelled."""

    def careless(self, _clean_up):
        with self._sessions.begin() as session:
            session.add_all(self._rows)
            session.get_one(Task, self._task_id).status = "done"
        return "done"

    monkeypatch.setattr(tasks.Work, "finish", careless)
    task_id = new_task(sessions)

    def step(number):
        if number == 9:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    run_steps(sessions, task_id, step)
    assert table(sessions, task_id)[2] == 10


class Job:
    """A task in memory: done or cancelled, decided under a lock."""

    def __init__(self, lock):
        self.lock = lock
        self.status = "running"
        self.written = []

    def cancel(self):
        with self.lock:
            if self.status == "running":
                self.status = "cancelled"

    def work(self):
        rows = []
        for number in range(3):
            if self.status == "cancelled":
                return
            rows.append(number)
        with self.lock:
            if self.status == "running":
                self.status = "done"
                self.written = rows


def test_flag_is_checked_in_every_order(interleave):
    """2.2: flag checked before each step, decided under a lock: all or nothing, in every order."""

    @interleave
    def body(run):
        job = Job(threading.Lock())
        run(job.work, job.cancel)
        assert (job.status, len(job.written)) in {("done", 3), ("cancelled", 0)}


def test_mutant_flag_without_a_lock_is_found(interleave):
    """2.2 mutant: decided without a lock, a cancelled task may have written its rows."""
    with pytest.raises(AssertionError, match="cancelled"):

        @interleave
        def body(run):
            job = Job(NoLock())
            run(job.work, job.cancel)
            assert (job.status, len(job.written)) in {("done", 3), ("cancelled", 0)}


# --- readers, and deadlocks ---


def read_both(session):
    return session.scalars(select(Assignment.person_id).order_by(Assignment.id)).all()


def test_reader_during_a_write_sees_the_old_rows_or_the_new(separate_sessions, swap_scenario):
    """2.2: a reader during an exchange waits for nobody and sees both old rows or both new."""
    (ann, bob), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments
    with separate_sessions("writer", "reader") as (writer, reader):
        request_swap(
            writer,
            assignment_id=monday,
            owner_id=ann,
            taker_id=bob,
            return_assignment_id=tuesday,
        )
        early = reader.start(lambda session: read_both(reading(session)))
        assert early.blocked_by == []
        assert early.result() == [ann, bob]
        reader.rollback()
        writer.commit()
        assert read_both(reading(reader)) == [bob, ann]


@pytest.mark.backends("sqlite")
def test_reader_that_may_write_waits_on_sqlite(separate_sessions, swap_scenario):
    """2.2: without ``reading`` a reader takes SQLite's write lock, and waits: hence ``reading``."""
    with separate_sessions("writer", "reader") as (writer, reader):
        append_note(writer, 1, "a")
        waiting = reader.start(read_both)
        assert (waiting.blocked_by, waiting.lock) == (["writer"], WHOLE)
        writer.commit()
        waiting.result()


@pytest.mark.backends("postgres")
def test_reading_transaction_cannot_write_on_postgres(separate_sessions, swap_scenario):
    """2.2: PostgreSQL refuses a write in a transaction that said it only reads."""
    refused = pytest.raises(InternalError, match="read-only transaction")
    with separate_sessions("reader") as (reader,), refused:
        append_note(reading(reader), 1, "a")


def test_hundred_readers_during_exchanges_over_http(service, swap_scenario, concurrent_runner):
    """2.2: whoever reads while shifts change hands finds each of the two with one shift."""
    (ann, bob), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments
    exchange = {
        "assignment_id": monday,
        "owner_id": ann,
        "taker_id": bob,
        "return_assignment_id": tuesday,
    }
    back = {**exchange, "owner_id": bob, "taker_id": ann}

    def write():
        return [service.post("/swaps", json=one).status_code for one in (exchange, back) * 5]

    def read():
        return [one["person_id"] for one in service.get("/assignments").json()]

    outcome = concurrent_runner(write, *[read] * 99).raise_errors()
    written, *read_ones = outcome.values
    assert written == [201] * 10
    assert {tuple(one) for one in read_ones} <= {(ann, bob), (bob, ann)}


def edit_in_order(session, numbers):
    """Edit assignments one after the other, pausing between them."""
    for number in numbers:
        append_note(session, number, "x")


def test_locks_taken_in_one_order_never_deadlock(sessions, swap_scenario, concurrent_runner):
    """2.2: 40 transactions that lock both rows in one order all succeed."""

    def edit():
        with sessions.begin() as session:
            edit_in_order(session, sorted(swap_scenario.assignments))

    concurrent_runner(edit, workers=40).raise_errors()
    with sessions() as session:
        assert session.scalars(select(Assignment.version)).all() == [41, 41]


@pytest.mark.backends("postgres")
def test_locks_taken_in_opposite_orders_deadlock_and_are_named(separate_sessions, swap_scenario):
    """2.2: in opposite orders PostgreSQL ends one of the two, and both are named."""
    first, second = swap_scenario.assignments
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, first, "a")
        append_note(bob, second, "b")
        one = ann.start(append_note, second, "a")
        assert one.blocked_by == ["bob"]
        two = bob.start(append_note, first, "b")
        failed, other = (one, two) if one.state == "failed" else (two, one)
        assert set(failed.cycle) == {"ann", "bob"}
        with pytest.raises(OperationalError, match="deadlock detected"):
            failed.result()
        {"ann": ann, "bob": bob}[failed.session].rollback()
        other.result()


@pytest.mark.backends("sqlite")
def test_locks_taken_in_opposite_orders_cannot_deadlock_on_sqlite(separate_sessions, swap_scenario):
    """2.2: on SQLite the second transaction waits before its first row, so no circle can close."""
    first, second = swap_scenario.assignments
    with separate_sessions("ann", "bob") as (ann, bob):
        append_note(ann, first, "a")
        waiting = bob.start(append_note, second, "b")
        assert waiting.blocked_by == ["ann"]
        append_note(ann, second, "a")
        ann.commit()
        assert waiting.result().note == "a\nb"


def test_deadlocks_are_resolved_by_trying_again(sessions, swap_scenario, concurrent_runner):
    """2.2: ten that lock in opposite orders all succeed, for the one that is ended tries again."""
    first, second = swap_scenario.assignments

    def edit(worker):
        order = (first, second) if worker.index % 2 else (second, first)
        retried(sessions, lambda session: edit_in_order(session, order))

    concurrent_runner(edit, workers=10).raise_errors()
    with sessions() as session:
        assert session.scalars(select(Assignment.version)).all() == [11, 11]


def test_absent_taker_is_told_so(sessions, concurrent_edit_scenario):
    """2.2: the reason of a refusal names what stands in the way: an absence, with its days."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        day = session.get_one(Block, scenario.block).day
        session.add(Absence(person_id=scenario.faculty[0], first_day=day, last_day=day))
    absent = pytest.raises(SwapConflict, match=r"Ann is absent from 2026-01-05 to 2026-01-05")
    with absent, sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))


def test_exchange_within_one_block_changes_what_each_does(sessions, concurrent_edit_scenario):
    """2.2: two who work in one block exchange what they do there, and stay in it once each."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        ward = RotationTemplate(name="Ward", hours=6.0)
        other = Assignment(block_id=scenario.block, person_id=scenario.faculty[0], template=ward)
        session.add(other)
        session.flush()
        swap = {**wish(scenario, scenario.faculty[0]), "return_assignment_id": other.id}
        request_swap(session, **swap)
        ward_id = ward.id
    with sessions() as session:
        does = dict(session.execute(select(Assignment.person_id, Assignment.template_id)).all())
    assert does == {scenario.owner: ward_id, scenario.faculty[0]: scenario.template}
