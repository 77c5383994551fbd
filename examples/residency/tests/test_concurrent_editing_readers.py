"""Readers during writes, and deadlocks (requirements 2.2 concurrent editing)."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import InternalError, OperationalError

from editing import WHOLE
from residency.services.assignments import append_note
from residency.services.plans import retried
from residency.services.swaps import request_swap
from residency.store.engine import reading
from residency.store.models import Assignment


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


def deadlocked(step):
    """Wait until a step has ended, and say whether a deadlock ended it; if not it went on."""
    try:
        step.result()
    except OperationalError:
        return True
    return False


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
        (failed,) = [step for step in (one, two) if deadlocked(step)]
        assert set(failed.cycle) == {"ann", "bob"}
        with pytest.raises(OperationalError, match="deadlock detected"):
            failed.result()


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
