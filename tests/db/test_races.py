"""The classic races on three back ends, statement by statement."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from pytest_concurrency.db import separate_sessions

READ = text("SELECT balance FROM account WHERE id = 1")
LOCK = text("SELECT balance FROM account WHERE id = 1 FOR UPDATE")


def write(balance):
    return text("UPDATE account SET balance = :balance WHERE id = 1").bindparams(balance=balance)


def balance_of(engine, number=1):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT balance FROM account WHERE id = :id"), {"id": number})


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_lost_update_is_shown(on, backend):
    """Two read, two write what they computed: one deposit is gone, and no error tells."""
    engine = on(backend).engine(isolation_level="READ COMMITTED")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        seen = [ann.scalar(READ), bob.scalar(READ)]
        ann.execute(write(seen[0] + 1))
        ann.commit()
        bob.execute(write(seen[1] + 1))
        bob.commit()

    assert balance_of(engine) == 11


def test_lost_update_is_refused_by_sqlite_once_both_have_read(on):
    """SQLite refuses a write after a read that another session's commit has overtaken."""
    engine = on("sqlite").engine()

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        assert [ann.scalar(READ), bob.scalar(READ)] == [10, 10]
        ann.execute(write(11))
        ann.commit()
        step = bob.start(write(11))

    assert step.state == "failed"
    assert step.error.orig.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    assert balance_of(engine) == 11


def test_lost_update_is_shown_with_the_drivers_own_habit(bank_schema):
    """The driver begins no transaction before a SELECT, so SQLite loses updates silently."""
    from pytest_concurrency.db import SqliteServer

    server = SqliteServer(begin="driver")
    with server.template("bank", bank_schema).clone() as database:
        engine = database.engine()
        with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
            seen = [ann.scalar(READ), bob.scalar(READ)]
            ann.execute(write(seen[0] + 1))
            ann.commit()
            bob.execute(write(seen[1] + 1))
            bob.commit()

        assert balance_of(engine) == 11
    server.stop()


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_for_update_waits_and_keeps_both(on, backend):
    """FOR UPDATE makes the second wait for the first, and both deposits stay."""
    engine = on(backend).engine()

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        seen = ann.scalar(LOCK)
        waiting = bob.start(LOCK)

        assert waiting.state == "waiting"
        assert waiting.blocked_by == ["ann"]
        assert waiting.lock in {"row account(id=1)", "row account(1)"}

        ann.execute(write(seen + 1))
        ann.commit()

        assert waiting.state == "done"
        assert waiting.result() == [(11,)]

        bob.execute(write(12))
        bob.commit()

    assert balance_of(engine) == 12


def test_begin_immediate_waits_and_keeps_both(on):
    """On SQLite, BEGIN IMMEDIATE does for the whole database what FOR UPDATE does for a row."""
    engine = on("sqlite").engine().execution_options(sqlite_begin="immediate")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        seen = ann.scalar(READ)
        waiting = bob.start(READ)

        assert waiting.blocked_by == ["ann"]
        assert waiting.lock == "the database's write lock"

        ann.execute(write(seen + 1))
        ann.commit()

        assert waiting.result() == [(11,)]


def test_version_column_refuses_the_second(engine):
    """With a version in the condition the second update finds no row, on every back end."""
    change = text(
        "UPDATE account SET balance = :b, version = version + 1 WHERE id = 1 AND version = 1"
    )

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        assert ann.start(change, {"b": 11}).result() == 1
        ann.commit()
        assert bob.start(change, {"b": 12}).result() == 0
        bob.rollback()

    assert balance_of(engine) == 11


def test_atomic_update_waits_and_keeps_both(engine):
    """A relative update waits for the first, then adds to what it left, on every back end."""
    add = text("UPDATE account SET balance = balance + 1 WHERE id = 1")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        ann.execute(add)
        waiting = bob.start(add)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        assert waiting.result() == 1
        bob.commit()

    assert balance_of(engine) == 12


def leave(session, name):
    """Go off call if somebody else stays."""
    others = session.scalar(
        text("SELECT count(*) FROM doctor WHERE on_call = 1 AND name <> :name"), {"name": name}
    )
    if others:
        session.execute(text("UPDATE doctor SET on_call = 0 WHERE name = :name"), {"name": name})


def on_call(engine):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM doctor WHERE on_call = 1"))


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_write_skew_happens_under_snapshot_isolation(on, backend):
    """Each sees the other on call and leaves: nobody is left, and no error tells."""
    engine = on(backend).engine(isolation_level="REPEATABLE READ")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        leave(ann, "ann")
        leave(bob, "bob")
        ann.commit()
        bob.commit()

    assert on_call(engine) == 0


def test_write_skew_is_refused_by_postgres_under_serializable(on):
    """PostgreSQL lets both go on and refuses one at its commit."""
    engine = on("postgres").engine(isolation_level="SERIALIZABLE")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        leave(ann, "ann")
        leave(bob, "bob")
        ann.commit()
        refused = bob.start(bob.commit)

    assert refused.state == "failed"
    assert refused.error.orig.sqlstate == "40001"
    assert on_call(engine) == 1


def test_write_skew_is_a_deadlock_in_mariadb_under_serializable(on):
    """MariaDB locks what SERIALIZABLE reads, so the second writer closes a circle."""
    engine = on("mariadb").engine(isolation_level="SERIALIZABLE")

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        for session in (ann, bob):
            assert session.scalar(text("SELECT count(*) FROM doctor WHERE on_call = 1")) == 2
        first = ann.start("UPDATE doctor SET on_call = 0 WHERE name = 'ann'")
        assert first.blocked_by == ["bob"]
        second = bob.start("UPDATE doctor SET on_call = 0 WHERE name = 'bob'")

        assert {first.state, second.state} == {"failed", "done"}
        failed = next(step for step in (first, second) if step.error)
        assert set(failed.cycle) == {"ann", "bob"}


def test_write_skew_is_refused_by_sqlite(on):
    """SQLite refuses the second writer at once: it has read what the first then changed."""
    engine = on("sqlite").engine()

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        assert ann.scalar(READ) == bob.scalar(READ)
        leave(ann, "ann")
        refused = bob.start(leave, "bob")
        assert refused.state == "failed"
        assert refused.error.orig.sqlite_errorname == "SQLITE_BUSY"
        ann.commit()

    assert on_call(engine) == 1


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_deadlock_names_the_circle(on, backend):
    """Locks taken in opposite orders end one of the two, and both are named."""
    engine = on(backend).engine()
    change = "UPDATE account SET balance = balance + 1 WHERE id = {}"

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        ann.execute(text(change.format(1)))
        bob.execute(text(change.format(2)))
        first = ann.start(change.format(2))
        second = bob.start(change.format(1))
        failed, other = (first, second) if first.state == "failed" else (second, first)

        assert failed.state == "failed"
        assert set(failed.cycle) == {"ann", "bob"}
        with pytest.raises(DBAPIError, match=r"(?i)deadlock") as caught:
            failed.result()
        (note,) = caught.value.__notes__
        assert note.strip().startswith("Deadlock among 2 sessions:")
        assert "  holds  row account(" in note

        {"ann": ann, "bob": bob}[failed.session].rollback()
        assert other.result() == 1


def test_circle_is_named_while_all_of_it_wait(on):
    """A deadlock that the server has not resolved yet: three sessions, none of which can go on."""
    engine = on("postgres").engine()
    change = "UPDATE account SET balance = balance + 1 WHERE id = {}"
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO account (id, balance) VALUES (3, 30)"))

    with separate_sessions("ann", "bob", "cid", "dan", engine=engine) as sessions:
        for number, session in enumerate(list(sessions)[:3], 1):
            session.execute(text("SET deadlock_timeout = '10min'"))
            session.execute(text(change.format(number)))
        ann, bob, cid, dan = sessions
        first = ann.start(change.format(2))
        assert (first.state, first.cycle) == ("waiting", ())
        second = bob.start(change.format(3))
        third = cid.start(change.format(1))
        aside = dan.start(change.format(1))

        assert first.cycle == ("ann", "bob", "cid")
        assert second.cycle == ("bob", "cid", "ann")
        assert third.cycle == ("cid", "ann", "bob")
        assert (aside.state, aside.cycle) == ("waiting", ())


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_nowait_refuses_instead_of_waiting(on, backend):
    """NOWAIT is an error at once where plain FOR UPDATE waits."""
    engine = on(backend).engine()

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        ann.execute(LOCK)
        step = bob.start("SELECT balance FROM account WHERE id = 1 FOR UPDATE NOWAIT")

    assert step.state == "failed"
    assert step.blocked_by == []


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_skip_locked_takes_the_next(on, backend):
    """SKIP LOCKED gives each worker a row of its own, and nobody waits."""
    engine = on(backend).engine()
    take = "SELECT id FROM account ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        assert ann.start(take).result() == [(1,)]
        assert bob.start(take).result() == [(2,)]


def test_reader_during_a_write_sees_the_old_row(engine):
    """A reader never waits for a writer and never sees half of what it wrote."""
    with separate_sessions("writer", "reader", engine=engine) as (writer, reader):
        writer.execute(text("UPDATE account SET balance = 0"))
        step = reader.start(text("SELECT balance FROM account ORDER BY id"))
        assert step.state == "done"
        assert step.result() == [(10,), (20,)]
        writer.commit()
        reader.rollback()
        assert reader.start(text("SELECT balance FROM account")).result() == [(0,), (0,)]


@pytest.mark.parametrize(
    ("backend", "kill"),
    [
        ("postgres", "SELECT pg_terminate_backend({})"),
        ("mariadb", "KILL CONNECTION {}"),
    ],
)
def test_session_goes_on_after_its_connection_was_killed(on, backend, kill):
    """A killed connection is an error once; after a rollback the session has a new one."""
    engine = on(backend).engine()
    number = {"postgres": "SELECT pg_backend_pid()", "mariadb": "SELECT connection_id()"}[backend]

    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        killed = ann.scalar(text(number))
        bob.execute(text(kill.format(killed)))
        with pytest.raises(OperationalError):
            ann.scalar(READ)
        ann.rollback()

        assert ann.scalar(READ) == 10
        assert ann.scalar(text(number)) != killed
        bob.rollback()
        ann.execute(LOCK)
        assert bob.start(LOCK).blocked_by == ["ann"]


def test_three_sessions_queue_for_one_row(engine):
    """Who waits behind a waiter is settled too, and the queue moves when the first commits."""
    add = text("UPDATE account SET balance = balance + 1 WHERE id = 1")

    with separate_sessions(3, engine=engine) as (first, second, third):
        first.execute(add)
        waiting = [second.start(add), third.start(add)]
        assert [step.state for step in waiting] == ["waiting", "waiting"]
        first.commit()
        done = [step for step in waiting if step.state == "done"]
        assert len(done) == 1
        {"1": second, "2": third}[done[0].session].commit()
        assert [step.result() for step in waiting] == [1, 1]
        for session in (second, third):
            session.commit()

    assert balance_of(engine) == 13
