"""What a test left open is named: the statement, the age, the line."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pytest_concurrency.db import (
    EngineWatch,
    find_leaks,
    hung_workers,
    lock_waits,
    separate_sessions,
)
from pytest_concurrency.db.leaks import close_leaks
from pytest_concurrency.db.waits import control_engine

READ = text("SELECT id, balance, version FROM account WHERE id = 1 AND balance > 0")
CHANGE = text("UPDATE account SET balance = 1 WHERE id = 1")
NAMES = {
    "sqlite": "SQLite for the database's write lock",
    "postgresql": "PostgreSQL for row account(1)",
    "mariadb": "MariaDB for row account(1)",
}
HERE = Path(__file__).name
SHOWN = "SELECT ... FROM account WHERE id = 1 AND balance > 0"
CLOSE = (
    'Close the session, or use it as a context manager:  with separate_sessions("ann") as (ann,):'
)


def line_of(mark):
    """The number of the line of this file that ends in a mark."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}"))


def told(report):
    """A report with what differs from run to run made equal."""
    shown = re.sub(r"connection \d+", "connection N", str(report))
    return re.sub(r"\n {10,}", "\n    ", re.sub(r"\d+ ms|\d+\.\d s", "T", shown))


@pytest.fixture
def watch(engine):
    with EngineWatch(engine) as watch:
        yield watch


@pytest.fixture
def ask(engine):
    """A connection of our own to the same server; none for SQLite."""
    if engine.dialect.name == "sqlite":
        yield None
        return
    control = control_engine(engine)
    connection = control.connect()
    yield lambda: connection
    connection.close()
    control.dispose()


def test_nothing_left_open_is_nothing_to_report(engine, watch, ask):
    """Sessions that are closed leave no leak, whatever they did."""
    with Session(engine) as session, session.begin():
        session.execute(READ)
    with pytest.raises(DBAPIError), Session(engine) as session:
        session.execute(text("SELECT nonsense FROM nowhere"))

    report = find_leaks(watch, ask=ask)

    assert not report
    assert report.leaks == ()


def test_open_transaction_is_named_with_its_lines(engine, watch, ask):
    """A session that is not closed: its statement, how old, where opened, where used last."""
    session = Session(engine)
    session.execute(READ)  # opened
    session.execute(READ)  # used

    report = find_leaks(watch, ask=ask)

    assert told(report).splitlines() == [
        "The test left 1 transaction open and 1 connection out of the pool:",
        "",
        f"  connection N  idle in transaction T   {SHOWN}",
        f"    opened at {HERE}:{line_of('opened')}, used last at {HERE}:{line_of('used')}",
        CLOSE,
    ]
    close_leaks(watch)
    assert not find_leaks(watch, ask=ask)
    session.close()


def test_named_session_is_named(engine, watch):
    """A session of separate_sessions is reported by its name."""
    sessions = separate_sessions("ann", "bob", engine=engine, watch=watch)
    ann, bob = sessions.__enter__()
    ann.execute(READ)

    report = find_leaks(watch)

    assert str(report).startswith(
        "The test left 1 transaction open and 2 connections out of the pool:"
    )
    assert 'opened by session "ann" at ' in str(report)
    assert "out of the pool, no transaction" in str(report)
    assert str(report).endswith('with separate_sessions("ann", "bob") as (ann, bob):')
    bob.close()
    sessions.__exit__(None, None, None)
    assert not find_leaks(watch)


def test_connection_returned_dirty_is_found(on):
    """A COMMIT that fails leaves its transaction in the pool, for the next session to commit."""
    engine = on("sqlite").engine(pool_size=1, max_overflow=0)
    with EngineWatch(engine) as watch:
        fail = threading.Event()

        def refuse(_connection):
            if fail.is_set():
                message = "the disk is full"
                raise OSError(message)

        event.listen(engine, "commit", refuse)
        session = Session(engine)
        session.execute(text("UPDATE account SET balance = 99 WHERE id = 1"))
        fail.set()
        with pytest.raises(OSError, match="disk"):
            session.commit()
        fail.clear()
        session.close()

        report = find_leaks(watch)
        close_leaks(watch)

    assert told(report).splitlines()[:3] == [
        "The test returned 1 connection inside a transaction:",
        "",
        "  connection N  returned in transaction   UPDATE account SET balance = 99 WHERE id = 1",
    ]


def test_connection_returned_without_reset_is_found(on):
    """A pool told not to reset hands out open transactions; each return is reported."""
    engine = on("postgres").engine(pool_reset_on_return=None)
    with EngineWatch(engine) as watch:
        raw = engine.raw_connection()  # raw
        cursor = raw.cursor()
        cursor.execute("UPDATE account SET balance = 99 WHERE id = 1")
        cursor.close()
        raw.close()

        report = find_leaks(watch)
        text_of = told(report)
        close_leaks(watch)

    assert text_of.splitlines() == [
        "The test returned 1 connection inside a transaction:",
        "",
        "  connection N  returned in transaction",
        f"    opened at {HERE}:{line_of('raw')}",
        "Roll back when COMMIT fails: the next session would commit what is open.",
    ]


@pytest.mark.parametrize(
    ("backend", "take", "lock"),
    [
        ("postgres", "SELECT pg_advisory_lock(7)", "advisory lock 7"),
        ("postgres", "SELECT pg_advisory_lock(3, 4)", "advisory lock 3, 4"),
        ("mariadb", "SELECT GET_LOCK('plan', 1)", "named lock 'plan'"),
    ],
)
def test_session_lock_on_a_pooled_connection_is_found(on, backend, take, lock):
    """A session's advisory lock outlives its transaction and its way back to the pool."""
    engine = on(backend).engine()
    control = control_engine(engine)
    with EngineWatch(engine) as watch, control.connect() as connection:
        with Session(engine) as session:
            session.execute(text(take))
            session.commit()

        report = find_leaks(watch, ask=lambda: connection)
        close_leaks(watch)
        after = find_leaks(watch, ask=lambda: connection)
    control.dispose()

    assert told(report).splitlines()[0] == "The test left 1 advisory lock held:"
    assert f"holds {lock}   {take}\n" in str(report)
    assert not after


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_server_can_be_asked_on_a_connection_of_its_own(request, on, backend):
    """The server keeps a connection to ask on, so that no test pays for one."""
    server = request.getfixturevalue(f"{backend}_server")
    database = on(backend)
    engine = database.engine()
    take = {"postgres": "SELECT pg_advisory_lock(7)", "mariadb": "SELECT GET_LOCK('plan', 1)"}
    with EngineWatch(engine) as watch:
        with Session(engine) as session:
            session.execute(text(take[backend]))
        report = find_leaks(watch, ask=server.ask, database=database.url.database)

    assert told(report).startswith("The test left 1 advisory lock held:")
    assert server.ask() is server.ask()


def test_lock_of_a_transaction_is_no_leak(on):
    """pg_advisory_xact_lock ends with its transaction."""
    engine = on("postgres").engine()
    control = control_engine(engine)
    with EngineWatch(engine) as watch, control.connect() as connection:
        with Session(engine) as session, session.begin():
            session.execute(text("SELECT pg_advisory_xact_lock(7)"))

        assert not find_leaks(watch, ask=lambda: connection)
    control.dispose()


def test_transaction_of_another_engine_is_found(on):
    """What the watched engine did not open is told by the server: age and statement."""
    database = on("postgres")
    watched, other = database.engine(), database.engine()
    control = control_engine(watched)
    with EngineWatch(watched) as watch, control.connect() as connection, Session(other) as session:
        session.execute(READ)

        report = find_leaks(watch, ask=lambda: connection)

    control.dispose()
    assert told(report).splitlines() == [
        "The test left 1 transaction open:",
        "",
        f"  connection N  idle in transaction T   {SHOWN}",
        CLOSE,
    ]


def test_session_used_by_two_workers_at_once_is_found(on):
    """A session of the application's own, used by two threads at the same time, is reported."""
    engine = on("sqlite").engine()
    inside, leave = threading.Event(), threading.Event()
    with EngineWatch(engine) as watch, engine.connect() as connection:
        connection.connection.driver_connection.create_function(
            "hold", 0, lambda: inside.set() or leave.wait(10) or 1
        )
        thread = threading.Thread(target=lambda: connection.execute(text("SELECT hold()")).close())
        thread.start()
        inside.wait(10)
        helper = threading.Timer(0.01, leave.set)
        helper.start()
        connection.execute(READ).close()
        thread.join(10)
        helper.join(10)
        report = find_leaks(watch)

    assert str(report).startswith(
        "The test left 1 transaction open and 1 connection out of the pool and "
        "shared 1 session between workers:"
    )
    assert re.search(rf"used at {HERE}:\d+ and at {HERE}:\d+ at the same time", str(report))


def test_watch_leaves_the_engine_as_it_was(engine):
    """Nothing that the watch hung on the engine stays."""
    with EngineWatch(engine) as watch:
        with engine.begin() as connection:
            connection.execute(READ)
        count = len(watch.statements)
    with engine.begin() as connection:
        connection.execute(READ)

    assert len(watch.statements) == count > 0
    assert not {"do_commit", "do_rollback"} & vars(engine.dialect).keys()


def hold(session):
    session.execute(CHANGE)  # held


def until(ask):
    """What a question answers as soon as it answers anything."""
    deadline = time.monotonic() + 10
    while not (answer := ask()) and time.monotonic() < deadline:
        os.sched_yield()
    return answer


def test_hung_workers_are_told_who_holds_what(engine):
    """Workers that hang in the database can be asked about from outside, on every back end."""
    with (
        EngineWatch(engine) as watch,
        separate_sessions("ann", "bob", engine=engine, watch=watch) as (ann, bob),
    ):
        holder = threading.Thread(target=hold, args=(ann,), name="worker 0")
        holder.start()
        holder.join(10)
        bob.start(CHANGE)

        ((connection, wait),) = until(lambda: lock_waits(watch)).items()
        assert connection.name == "bob"
        assert wait.blocked_by == ("ann",)

        ((worker, told_of),) = until(lambda: hung_workers(watch)).items()
        assert worker.name == "session bob"
        assert re.sub(r"for \d+\.\d s", "for T", told_of).replace(
            "id=1)", "1)", 1
        ).splitlines() == [
            f"waits in {NAMES[engine.dialect.name]}, held by ann, idle in transaction for T since",
            f"{CHANGE.text}  at {HERE}:{line_of('held')} (worker 0, which has ended)",
        ]
        ann.rollback()
        bob.start("SELECT 1")
        assert lock_waits(watch) == {}


def test_statement_that_still_runs_is_ended_before_its_connection(on):
    """A worker that waits for a lock gets an error: closing below it can crash the process."""
    database = on("postgres")
    engine, other = database.engine(), database.engine()
    errors = []

    def work():
        with engine.connect() as connection:
            try:
                connection.execute(text("UPDATE account SET balance = 0"))
            except DBAPIError as error:
                errors.append(error)

    with other.connect() as holder, EngineWatch(engine) as watch:
        holder.execute(text("UPDATE account SET balance = 1"))
        worker = threading.Thread(target=work)
        worker.start()
        while not any(one.current is not None for one in watch.connections):
            os.sched_yield()
        close_leaks(watch)
        worker.join(10)

    assert len(errors) == 1
