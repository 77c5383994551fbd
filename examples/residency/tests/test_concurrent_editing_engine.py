"""How connections are set up for it (requirements 2.2 concurrent editing, 2.5)."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from editing import WHOLE, note_of
from engines import url_of
from mutation import drop_constraint
from residency.services.assignments import append_note
from residency.store.engine import READ_ONLY, make_engine, reading
from residency.store.models import Assignment


@contextmanager
def an_engine(database, **options):
    """Make an engine on a test's database."""
    made = make_engine(url_of(database), **options)
    try:
        yield made
    finally:
        made.dispose()


def read_then_add(session):
    """Read a note, and add to it once told to, in one transaction; yield in between."""
    session.scalar(select(Assignment.note))
    yield
    append_note(session, 1, "x")
    session.commit()
    yield


# --- SQLite: who writes says so at the beginning ---


@pytest.mark.backends("sqlite")
def test_second_who_will_write_waits_at_the_beginning(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: BEGIN IMMEDIATE: the second of two who read and then write waits, and loses nothing."""
    with separate_sessions("ann", "bob") as (ann, bob):
        first, second = read_then_add(ann), read_then_add(bob)
        next(first)
        waiting = bob.start(lambda _session: next(second))
        assert (waiting.blocked_by, waiting.lock) == (["ann"], WHOLE)
        next(first)
        waiting.result()
        next(second)
    assert note_of(sessions) == "x\nx"


@pytest.mark.backends("sqlite")
def test_mutant_that_begins_deferred_is_refused_at_its_write(
    engine, sessions, concurrent_edit_scenario
):
    """2.2 mutant: with BEGIN DEFERRED both read, and the second is refused when it writes."""
    deferred = engine.execution_options(**READ_ONLY)
    with Session(deferred) as ann, Session(deferred) as bob:
        first, second = read_then_add(ann), read_then_add(bob)
        next(first)
        next(second)
        next(first)
        with pytest.raises(OperationalError, match="database is locked"):
            next(second)
    assert note_of(sessions) == "x"


# --- SQLite: WAL ---


def write_while_somebody_reads(engine):
    """Write, with a transaction open that has read."""
    with Session(engine) as reader, Session(engine) as writer:
        reading(reader).scalar(select(Assignment.note))
        append_note(writer, 1, "x")
        writer.commit()


@pytest.mark.backends("sqlite")
def test_writer_waits_for_no_reader(database, sessions, concurrent_edit_scenario):
    """2.2: with WAL a writer commits while a transaction that has read is open."""
    with an_engine(database, lock_seconds=0.1) as engine:
        write_while_somebody_reads(engine)
    assert note_of(sessions) == "x"


@pytest.mark.backends("sqlite")
def test_mutant_without_wal_waits_for_every_reader(engine, database, concurrent_edit_scenario):
    """2.2 mutant: with SQLite's own journal a reader that goes on keeps the writer from its end."""
    engine.dispose()
    with an_engine(database, lock_seconds=0.1, pool_size=1) as changed, changed.connect() as one:
        driver = one.connection.driver_connection
        one.rollback()
        assert driver.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    plain = create_engine(database.url, connect_args={"timeout": 0.1, "isolation_level": None})
    with plain.connect() as reader, plain.connect() as writer:
        reader.exec_driver_sql("BEGIN")
        reader.execute(select(Assignment.note))
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        writer.execute(text("UPDATE assignment SET note = 'x'"))
        with pytest.raises(OperationalError, match="database is locked"):
            writer.exec_driver_sql("COMMIT")
        writer.exec_driver_sql("ROLLBACK")
        reader.exec_driver_sql("ROLLBACK")
    plain.dispose()


# --- foreign keys ---

NOBODYS = {"block_id": 1, "person_id": 999, "template_id": 1, "note": "", "version": 1}


def test_shift_of_nobody_is_refused(engine, concurrent_edit_scenario):
    """2.2: both back ends hold foreign keys: no shift belongs to somebody who is not there."""
    refused = pytest.raises(IntegrityError, match=r"(?i)foreign key")
    with refused, engine.begin() as connection:
        connection.execute(insert(Assignment).values(NOBODYS))


def test_mutant_without_foreign_keys_keeps_a_shift_of_nobody(
    engine, database, concurrent_edit_scenario
):
    """2.2 mutant: without them, which is SQLite's own default, whatever number comes is kept."""
    if database.backend == "postgres":
        drop_constraint(engine, "assignment", "fk_assignment_person_id")
    plain = create_engine(database.url)
    with plain.begin() as connection:
        connection.execute(insert(Assignment).values(NOBODYS))
        assert connection.scalar(text("SELECT count(*) FROM assignment")) == 2
    plain.dispose()


# --- how long one waits ---


def test_lock_is_waited_for_so_long_and_no_longer(
    database, sessions, separate_sessions, concurrent_runner, concurrent_edit_scenario
):
    """2.2: who waits too long for a lock is refused; mutant: without a limit one waits on."""
    endless = 0 if database.backend == "postgres" else 10**5

    def add(engine):
        with Session(engine) as session:
            append_note(session, 1, "x")
            session.commit()

    def refused_then_let_go(engine):
        with pytest.raises(OperationalError, match=r"lock timeout|database is locked"):
            add(engine)
        holder.rollback()

    with (
        an_engine(database, lock_seconds=0.3) as limited,
        an_engine(database, lock_seconds=endless) as patient,
        separate_sessions("holder") as (holder,),
    ):
        append_note(holder, 1, "mine")
        concurrent_runner(
            lambda: add(patient), lambda: refused_then_let_go(limited), timeout="30s"
        ).raise_errors()
    assert note_of(sessions) == "x"
