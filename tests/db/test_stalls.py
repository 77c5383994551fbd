"""A worker that waits for its own other session is told so, and does not hang."""

import asyncio
import threading

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from pytest_concurrency.db import separate_sessions, stalls

RAISE = text("UPDATE account SET balance = balance + 1 WHERE id = 1")
ADVICE = (
    "whose transaction only the same worker can end.\n"
    "Commit or roll back ann first, or write `waiting = bob.start(...)`."
)
LOCKS = {
    "sqlite": "the database's write lock",
    "postgresql": "row account(id=1)",
    "mysql": "row account(1)",
    "mariadb": "row account(1)",
}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Look after a moment instead of seconds."""
    monkeypatch.setattr(stalls, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(stalls, "PATIENCE_NS", 60_000_000)


@pytest.fixture
def impatient(bank):
    """An engine that waits for SQLite's lock no longer than the test needs."""
    engine = bank.engine()
    if bank.backend == "sqlite":  # after the setting that the server makes
        shorter = "PRAGMA busy_timeout=300"
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute(shorter).close())
    return engine


def expected(engine):
    return f"\nbob waited for ann ({LOCKS[engine.dialect.name]}), {ADVICE}"


def test_wait_for_the_own_transaction_ends(impatient):
    """The statement ends, and its error says why nobody could have ended the wait."""
    with separate_sessions("ann", "bob", engine=impatient) as (ann, bob):
        ann.execute(RAISE)
        with pytest.raises(DBAPIError) as caught:
            bob.execute(RAISE)
        bob.rollback()

    assert caught.value.__notes__ == [expected(impatient)]


def test_wait_for_the_own_step_ends(impatient):
    """A step's transaction is ended by who started the step, so it counts as that worker's."""
    with separate_sessions("ann", "bob", engine=impatient) as (ann, bob):
        ann.start(RAISE).result()
        with pytest.raises(DBAPIError) as caught:
            bob.execute(RAISE)
        bob.rollback()

    assert caught.value.__notes__ == [expected(impatient)]


@pytest.mark.parametrize("backend", ["postgres", "mariadb"])
def test_wait_for_another_worker_goes_on(on, backend):
    """Whoever waits for a worker that can still go on is left alone."""
    holds, waited = threading.Event(), threading.Event()

    def hold():
        ann.execute(RAISE)
        holds.set()
        waited.wait(10)
        ann.commit()

    with separate_sessions("ann", "bob", engine=on(backend).engine()) as (ann, bob):
        other = threading.Thread(target=hold)
        other.start()
        holds.wait(10)
        timer = threading.Timer(0.3, waited.set)
        timer.start()
        assert bob.execute(RAISE).rowcount == 1
        bob.commit()
        other.join()
        timer.join()


def test_transaction_left_by_a_worker_that_ended_is_told(impatient):
    """Nobody ends it any more, unless the opener does: the error that comes says so."""
    if impatient.dialect.name == "postgresql":
        event.listen(impatient, "connect", lambda dbapi, _: wait_briefly(dbapi))
    if impatient.dialect.name in {"mysql", "mariadb"}:
        pytest.skip("its shortest time-out is a second")
    with separate_sessions("ann", "bob", engine=impatient) as (ann, bob):
        first = threading.Thread(target=ann.execute, args=(RAISE,))
        first.start()
        first.join()
        with pytest.raises(DBAPIError) as caught:
            bob.execute(RAISE)
        bob.rollback()

    lock = LOCKS[impatient.dialect.name]
    assert caught.value.__notes__ == [
        (
            f"\nbob waited for ann ({lock}), left in a transaction: the worker has ended.\n"
            "Commit or roll back before the worker ends; "
            "an attribute read after a commit begins anew."
        )
    ]


def wait_briefly(dbapi):
    with dbapi.cursor() as cursor:
        cursor.execute("SET lock_timeout = '400ms'")
    dbapi.commit()


def test_async_worker_is_told_too(on):
    """A task that awaits one session while another of its own holds the lock."""

    async def main():
        engine = on("postgres").async_engine()
        async with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
            await ann.execute(RAISE)
            with pytest.raises(DBAPIError) as caught:
                await bob.execute(RAISE)
            await bob.rollback()
        assert caught.value.__notes__ == [expected(engine)]
        await engine.dispose()

    asyncio.run(main())


def test_watching_leaves_no_thread(engine):
    """The thread that looks ends with the block."""
    before = set(threading.enumerate())
    with separate_sessions("ann", "bob", engine=engine):
        assert {one.name for one in set(threading.enumerate()) - before} == {"stalls"}
    assert set(threading.enumerate()) <= before
