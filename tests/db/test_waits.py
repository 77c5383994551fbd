"""Waits of statements that nobody asks about: found in time, and found late."""

import threading
from time import monotonic

import pytest
from sqlalchemy import text

from pytest_concurrency.db import EngineWatch, lock_waits
from pytest_concurrency.db.sampler import WaitSampler
from pytest_concurrency.db.statement import Statement
from pytest_concurrency.db.waits import Wait

WAIT = Wait(blocked_by=("ann",), lock="row account(id=1)")


def sent(sql, *, ended=None):
    return Statement(
        number=1, session="ann", sql=sql, parameters=(), place=None, started_ns=1, ended_ns=ended
    )


def test_wait_found_when_it_had_just_ended_counts_once(on):
    """Whoever comes last, the statement's end or the answer of the server, counts it."""
    engine = on("sqlite").engine()
    with EngineWatch(engine) as watch, engine.connect() as connection:
        found = watch.of(connection)
        late = sent("UPDATE account", ended=41)
        watch.note_wait(found, late, WAIT)
        watch.note_wait(found, late, WAIT)
        assert list(watch.lock_waits_ns) == [40]

        in_time = found.current = sent("UPDATE account")
        watch.note_wait(found, in_time, WAIT)
        assert len(watch.lock_waits_ns) == 1
        watch._close(found)
        assert len(watch.lock_waits_ns) == 2


@pytest.mark.parametrize(
    ("sql", "waits"),
    [
        ("UPDATE account SET balance = 1", True),
        ("BEGIN IMMEDIATE", True),
        ("WITH one AS (SELECT 1) INSERT INTO account SELECT 9, 9, 9", True),
        ("SELECT * FROM account", False),
        (" pragma table_info(account)", False),
    ],
)
def test_reader_beside_a_writer_of_sqlite_does_not_wait(on, sql, waits):
    """However long a statement runs: only what may write needs the lock."""
    engine = on("sqlite").engine()
    with EngineWatch(engine) as watch, engine.connect() as ann, engine.connect() as bob:
        ann.execute(text("UPDATE account SET balance = 2"))
        watch.of(bob).current = sent(sql)
        found = lock_waits(watch)
        watch.of(bob).current = None

    assert [wait.lock for wait in found.values()] == ["the database's write lock"] * waits


@pytest.mark.parametrize("backend", ["sqlite", "postgres", "mariadb"])
def test_sampler_tells_statements_that_they_wait(on, backend):
    """One look is enough: the statement that waits, no other."""
    engine = on(backend).engine()
    change = text("UPDATE account SET balance = balance + 1 WHERE id = 1")

    def work():
        with engine.begin() as connection:
            connection.execute(change)

    with EngineWatch(engine) as watch:
        sampler = WaitSampler(watch)
        try:
            with engine.connect() as holder:
                holder.execute(change)
                worker = threading.Thread(target=work)
                worker.start()
                patience = monotonic() + 30
                while not any(one.waits for one in list(watch.statements)):
                    assert monotonic() < patience
                holder.commit()
            worker.join()
        finally:
            sampler.stop()

    waited = [statement for statement in watch.statements if statement.waits]
    assert len(waited) == len(watch.lock_waits_ns) == 1
    assert waited[0].sql.startswith(("UPDATE", "BEGIN"))
