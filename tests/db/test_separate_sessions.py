"""Sessions of workers: own connections, real commits, nobody else's hands."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import StaticPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pytest_concurrency.db import EngineWatch, find_leaks, separate_sessions
from pytest_concurrency.errors import BrokenPromise, UsageError

READ = text("SELECT balance FROM account WHERE id = 1")
WRITE = text("UPDATE account SET balance = balance + 1 WHERE id = 1")


TIMELINE = """
What the sessions sent:

  ann                                            bob
1 BEGIN
2 UPDATE account SET balance = balance + 1
  WHERE id = 1
  -> 1 row
3                                                BEGIN
4                                                SELECT balance FROM account WHERE id = 1
                                                 -> 10
5                                                UPDATE account SET balance = balance + 1
                                                 WHERE id = 1
                                                 !! OperationalError: database is locked
6 COMMIT
7 BEGIN
8 SELECT balance FROM account WHERE id = 1"""


class Model(DeclarativeBase):
    pass


class Account(Model):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


def in_thread(function, *args):
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as pool:
        return pool.submit(function, *args).result(10)


@pytest.fixture
def lite(on):
    return on("sqlite")


def test_sessions_are_sessions_with_connections_of_their_own(engine):
    """Each is a Session, on a connection that no other has."""
    with separate_sessions("ann", "bob", engine=engine) as sessions:
        ann, bob = sessions
        drivers = {one.connection().connection.driver_connection for one in sessions}

        assert isinstance(ann, Session)
        assert len(drivers) == 2
        assert [ann.name, bob.name] == ["ann", "bob"]
        assert sessions["bob"] is sessions[1] is bob
        assert len(sessions) == 2


def test_commits_are_real_and_the_rest_is_rolled_back(engine):
    """What is committed is there for everybody; leaving the block rolls the rest back."""
    with separate_sessions(2, engine=engine) as (first, second):
        first.execute(WRITE)
        first.commit()
        second.execute(text("UPDATE account SET balance = 99 WHERE id = 2"))

    with engine.connect() as connection:
        assert connection.scalars(text("SELECT balance FROM account ORDER BY id")).all() == [11, 20]
    assert engine.pool.checkedout() == 0


def test_options_reach_the_session(lite):
    """Keyword arguments are those of Session."""
    with separate_sessions("ann", engine=lite.engine(), expire_on_commit=False) as (ann,):
        account = ann.get_one(Account, 1)
        ann.commit()
        assert account.__dict__["balance"] == 10


def test_own_gives_each_worker_one_session(engine):
    """The same worker gets the same session, another worker another."""
    gate = threading.Barrier(8)

    def add(sessions):
        session = sessions.own()
        gate.wait(10)
        with session.begin():
            session.execute(WRITE)
        return session is sessions.own(), session

    with separate_sessions(engine=engine) as sessions, ThreadPoolExecutor(8) as pool:
        results = [job.result(10) for job in [pool.submit(add, sessions) for _ in range(8)]]

        assert all(same for same, _ in results)
        assert len({session for _, session in results}) == 8
        assert sessions.own().scalar(READ) == 18


def test_second_worker_is_refused_with_both_places(lite):
    """A session that a worker has used is refused to another worker."""

    def rename(session):
        session.execute(READ)

    def reread(session):
        session.execute(READ)

    caught = []

    def run(function, session):
        try:
            function(session)
        except BrokenPromise as error:
            caught.append(str(error))

    with separate_sessions("ann", engine=lite.engine()) as (ann,):
        first = threading.Thread(target=run, args=(rename, ann), name="one")
        second = threading.Thread(target=run, args=(reread, ann), name="two")
        for thread in (first, second):
            thread.start()
            thread.join(10)

    line = rename.__code__.co_firstlineno
    expected = (
        "session 'ann' is touched by two workers one after the other:\n"
        f"  first  one  at test_separate_sessions.py:{line + 1}  in rename\n"
        f"  now    two  at test_separate_sessions.py:{line + 4}  in reread\n"
        "A session belongs to one worker. Give each its own:\n"
        "  with separate_sessions() as sessions:  ...  sessions.own() in each worker"
    )
    assert caught == [expected]


def test_overlapping_use_is_refused_even_to_the_test(lite):
    """While a worker is inside a call, the test may not use its session either."""
    inside, leave = threading.Event(), threading.Event()

    def slow(session):
        original = session.connection().connection.driver_connection
        original.create_function("hold", 0, lambda: inside.set() or leave.wait(10) or 1)
        session.execute(text("SELECT hold()"))

    with separate_sessions("ann", engine=lite.engine()) as (ann,):
        thread = threading.Thread(target=slow, args=(ann,), name="holder")
        thread.start()
        inside.wait(10)
        with pytest.raises(BrokenPromise, match="touched by two workers at the same time"):
            ann.execute(READ)
        leave.set()
        thread.join(10)


def test_session_may_be_handed_over(lite):
    """The test may use a session before and after the worker that it hands it to."""
    with separate_sessions("ann", engine=lite.engine()) as (ann,):
        ann.execute(WRITE)
        in_thread(ann.execute, WRITE)
        ann.commit()
        assert in_thread(ann.scalar, READ) == 12


def test_lazy_loads_count_as_use(lite):
    """An attribute loaded by another worker is a use of the session by that worker."""
    with separate_sessions("ann", engine=lite.engine()) as (ann,):
        account = in_thread(ann.get_one, Account, 1)
        in_thread_error = []

        def read():
            ann.expire(account)
            return account.balance

        with pytest.raises(BrokenPromise, match="touched by two workers"):
            in_thread_error.append(in_thread(read))


def test_static_pool_is_refused_with_the_reason():
    """One connection for all workers is no place for two sessions."""
    engine = create_engine("sqlite://", poolclass=StaticPool)

    with pytest.raises(UsageError) as caught, separate_sessions(2, engine=engine):
        pass

    assert str(caught.value) == (
        "separate_sessions: 2 sessions on sqlite:// with StaticPool, which has one connection for "
        "all workers: their transactions mix, writes are\n"
        "lost, and Python can crash.\n"
        "Use the database that the plugin makes (a file in WAL mode), or in memory:\n"
        "  SqliteServer(memory=True)"
    )
    engine.dispose()


def test_singleton_thread_pool_is_refused():
    """A connection per thread is an empty database per thread."""
    engine = create_engine("sqlite://")
    with (
        pytest.raises(UsageError, match="gives each thread an empty database of its own"),
        separate_sessions(2, engine=engine),
    ):
        pass
    engine.dispose()


def test_more_sessions_than_connections_is_refused(lite):
    """A pool that is too small would let the last session wait for ever."""
    engine = lite.engine(pool_size=2, max_overflow=1)

    with pytest.raises(UsageError) as caught, separate_sessions(4, engine=engine):
        pass

    assert str(caught.value) == (
        f"separate_sessions: 4 sessions need 4 connections; the pool of {engine.url} has 3 left.\n"
        "Write create_engine(..., pool_size=4)."
    )


@pytest.mark.parametrize("names", [(0,), (-1,), ("ann", "ann"), ("",), (True,), ("ann", 2)])
def test_names_that_are_no_names_are_refused(lite, names):
    """Names are different texts, or one number."""
    with pytest.raises(UsageError) as caught:
        separate_sessions(*names, engine=lite.engine())

    given = ", ".join(map(repr, names))
    assert str(caught.value) == (
        f"separate_sessions({given}): names are different texts, or one number >= 1. "
        "Write separate_sessions('ann', 'bob') or separate_sessions(2)."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"timeout": "3s"},
            (
                "separate_sessions(timeout='3s'): the timeout is a number of seconds > 0. "
                "Write timeout=10."
            ),
        ),
        (
            {"timeout": -1},
            (
                "separate_sessions(timeout=-1): the timeout is a number of seconds > 0. "
                "Write timeout=10."
            ),
        ),
        (
            {"time_out": 3},
            "separate_sessions(time_out=...): no session has that option. Write timeout=...",
        ),
        (
            {"engine": None},
            (
                "separate_sessions(engine=...): None is no engine. "
                "Give database.engine() or create_engine(url)."
            ),
        ),
        (
            {"engine": "sqlite:///app.db"},
            (
                "separate_sessions(engine=...): 'sqlite:///app.db' is no engine. "
                "Give database.engine() or create_engine(url)."
            ),
        ),
    ],
)
def test_options_that_are_none_are_refused(lite, options, message):
    """Before anything is opened, so that nothing is left."""
    with pytest.raises(UsageError) as caught:
        separate_sessions(2, **{"engine": lite.engine(), **options})

    assert str(caught.value) == message


@pytest.mark.parametrize("what", [None, 5, ["SELECT 1"]])
def test_step_of_nothing_is_refused(lite, what):
    """A step that only fails for want of a statement would be a pass to those who expect none."""
    with (
        separate_sessions("ann", engine=lite.engine()) as (ann,),
        pytest.raises(UsageError) as caught,
    ):
        ann.start(what)

    assert str(caught.value).splitlines()[0] == (
        f"session 'ann': start({what!r}) is no statement, SQL or function. "
        "Write start('SELECT 1'), or start(function) for a call of function(session)."
    )


def test_error_carries_the_timeline(lite):
    """What leaves the block as an error says what was sent, by whom, in which order."""

    def race():
        with separate_sessions("ann", "bob", engine=lite.engine()) as (ann, bob):
            ann.execute(WRITE)
            bob.start(READ)
            bob.start(WRITE)
            ann.commit()
            assert ann.scalar(READ) == 12

    with pytest.raises(AssertionError) as caught:
        race()

    (note,) = caught.value.__notes__
    assert note == TIMELINE


def test_session_in_a_step_refuses_other_calls(lite):
    """A waiting session cannot be used until its step has ended."""
    engine = lite.engine().execution_options(sqlite_begin="immediate")
    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        ann.execute(WRITE)
        step = bob.start(WRITE)
        for call in (lambda: bob.execute(READ), lambda: bob.start(READ)):
            with pytest.raises(UsageError) as caught:
                call()
            assert str(caught.value) == (
                "session 'bob': its step has not ended:\n"
                "  UPDATE account SET balance = balance + 1 WHERE id = 1\n"
                "Take its result first, step.result(), once the session that it waits for has "
                "ended its transaction."
            )
        with pytest.raises(BrokenPromise) as late:
            step.result(timeout=0.01)
        ann.commit()
        assert step.result() == 1

    assert str(late.value) == (
        "session 'bob': its step did not end within 0.01 s:\n"
        "  UPDATE account SET balance = balance + 1 WHERE id = 1\n"
        "It waits for ann: the database's write lock. End that transaction first: "
        "commit or roll back."
    )


def test_leaving_with_waiting_steps_ends_them(engine):
    """Steps that still wait when the block ends are let go, and nothing stays behind."""
    before = threading.active_count()
    with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
        ann.execute(WRITE)
        step = bob.start(WRITE)
        assert step.state == "waiting"

    assert step.state == "done"
    assert engine.pool.checkedout() == 0
    assert threading.active_count() <= before + 1  # the clones' thread may have started


def test_step_that_neither_ends_nor_waits_is_told(on):
    """A slow statement is no wait for a lock; the limit says so."""
    engine = on("postgres").engine()
    with (
        pytest.raises(BrokenPromise, match="neither ends nor waits for a lock within"),
        separate_sessions("ann", engine=engine, timeout=0.05) as (ann,),
    ):
        ann.start("SELECT pg_sleep(0.4)")


def test_start_calls_functions_with_the_session(lite):
    """A function gets the session first; a method of the session is called as it is."""

    def add(session, amount, *, to):
        session.execute(
            text("UPDATE account SET balance = balance + :a WHERE id = :i"), {"a": amount, "i": to}
        )
        return amount

    with separate_sessions("ann", engine=lite.engine()) as (ann,):
        assert ann.start(add, 5, to=2).result() == 5
        assert ann.start(ann.commit).state == "done"
        failed = ann.start(add, 5)
        assert failed.state == "failed"
        assert repr(failed).startswith("<Step of 'ann', failed: test_start_calls")
        with pytest.raises(TypeError):
            failed.result()


@pytest.mark.parametrize(
    "backend_driver", ["sqlite aiosqlite", "postgres psycopg", "postgres asyncpg"]
)
def test_async_sessions_wait_and_name_who_blocks(on, backend_driver):
    """Async sessions do as sync ones do, under each async driver."""
    backend, driver = backend_driver.split()
    database = on(backend)

    async def main():
        engine = database.async_engine(driver=driver)
        async with separate_sessions("ann", "bob", engine=engine) as sessions:
            ann, bob = sessions
            assert isinstance(ann, AsyncSession)
            await ann.execute(WRITE)
            waiting = await bob.start(WRITE)
            assert waiting.state == "waiting"
            assert waiting.blocked_by == ["ann"]
            assert waiting.lock in {"row account(id=1)", "the database's write lock"}
            await ann.commit()
            assert await waiting == 1
            await bob.commit()
            assert waiting.state == "done"
            places = {one.place.function for one in sessions._scope.watch.statements if one.place}
            assert places == {"main"}
        await database.aclose()

    asyncio.run(main())


def test_async_session_refuses_a_second_task(on):
    """Two tasks that gather on one session are refused, not interleaved."""
    database = on("sqlite")

    async def main():
        engine = database.async_engine()
        async with separate_sessions("ann", engine=engine) as (ann,):
            results = await asyncio.gather(
                ann.execute(WRITE), ann.execute(WRITE), return_exceptions=True
            )
            assert sum(isinstance(one, BrokenPromise) for one in results) == 1
        await database.aclose()

    asyncio.run(main())


def test_async_own_gives_each_task_one_session(on):
    """Each task gets a session of its own from ``own``."""
    database = on("postgres")

    async def add(sessions):
        session = await sessions.own()
        async with session.begin():
            await session.execute(WRITE)
        return session

    async def main():
        engine = database.async_engine()
        async with separate_sessions(engine=engine) as sessions:
            made = await asyncio.gather(*(add(sessions) for _ in range(5)))
            assert len(set(made)) == 5
            own = await sessions.own()
            assert await own.scalar(READ) == 15
        await database.aclose()

    asyncio.run(main())


def test_async_leaving_with_waiting_steps_ends_them(on):
    """A task that waits in the database ends with the block."""
    database = on("postgres")

    async def main():
        engine = database.async_engine()
        async with separate_sessions("ann", "bob", engine=engine) as (ann, bob):
            await ann.execute(WRITE)
            step = await bob.start(WRITE)
            assert step.state == "waiting"
        assert step.state == "done"
        await database.aclose()

    asyncio.run(main())


def test_refused_session_is_in_the_leak_report(lite):
    """A refusal that the worker swallowed is still reported after the test."""
    engine = lite.engine()
    with EngineWatch(engine) as watch:
        with separate_sessions("ann", engine=engine, watch=watch) as (ann,):
            in_thread(ann.execute, READ)
            with pytest.raises(BrokenPromise):
                in_thread(ann.execute, READ)

        assert "shared 1 session between workers" in str(find_leaks(watch))


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (
            lambda made: made("ann", "bob")["ann"],
            (
                "separate_sessions('ann', 'bob'): the sessions are not open. "
                "Write `with separate_sessions('ann', 'bob') as (ann, bob):`."
            ),
        ),
        (
            lambda made: list(made("ann")),
            (
                "separate_sessions('ann'): the sessions are not open. "
                "Write `with separate_sessions('ann') as (ann,):`."
            ),
        ),
        (
            lambda made: made().own(),
            (
                "separate_sessions(): the sessions are not open. "
                "Write `with separate_sessions() as sessions:`."
            ),
        ),
        (
            lambda made: made(2).execute,
            (
                "separate_sessions(2) opens a sequence of sessions, which has no 'execute'; each "
                "session has. Write `with separate_sessions(2) as sessions:`."
            ),
        ),
    ],
)
def test_sessions_are_taken_within_the_block_only(lite, take, message):
    """Who forgets ``with``, or takes the sequence for a session, reads what to write."""

    def made(*names):
        return separate_sessions(*names, engine=lite.engine())

    with pytest.raises((UsageError, AttributeError)) as caught:
        take(made)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("names", "key", "message"),
    [
        (
            (2,),
            2,
            (
                "separate_sessions(2)[2]: there are 2 sessions, numbered from 0. "
                "Write separate_sessions(3), or sessions.own() in each worker."
            ),
        ),
        (
            ("ann", "bob"),
            "ana",
            "separate_sessions('ann', 'bob')['ana']: there is no such session. Write 'ann'.",
        ),
        (
            ("ann", "bob"),
            "x",
            (
                "separate_sessions('ann', 'bob')['x']: there is no such session. "
                "There are 'ann', 'bob'."
            ),
        ),
    ],
)
def test_session_that_is_not_there_is_told(lite, names, key, message):
    """A wrong number or name is answered with a right one."""
    with separate_sessions(*names, engine=lite.engine()) as sessions:
        with pytest.raises(UsageError) as caught:
            sessions[key]

        assert str(caught.value) == message
