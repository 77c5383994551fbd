"""The connection pool (requirements 2.5), as production has it: 5 + 5, 2 s, pre-ping."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_concurrency import EngineWatch, PoolWatch, assert_slo
from pytest_concurrency.db import find_leaks, open_server
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import sessionmaker

from engines import production_engine, url_of
from mutation import NoLock
from residency.services.background import Background, BorrowedSession
from residency.services.plans import create_student, retried
from residency.settings import Settings
from residency.store.engine import make_engine, reading
from residency.store.models import Base, Student
from residency.store.pool import Waits
from waiting import wait_until

ALL = 10
"""How many connections there are: 5 that are kept, 5 in overflow."""


@pytest.fixture
def patience():
    """For how many seconds a connection is waited for: on a busy machine a crowd takes long."""
    return 20


as_in_production = pytest.mark.parametrize("patience", [Settings().pool_timeout])


@pytest.fixture
def database_engine(database, patience):
    """The engine of the service with its settings, in the place of the roomy one."""
    made = production_engine(database, pool_timeout=patience)
    yield made
    made.dispose()


@contextmanager
def everything_taken(engine):
    """Take every connection of a pool."""
    with ExitStack() as stack:
        yield [stack.enter_context(engine.connect()) for _ in range(ALL)]


def add_student(sessions, name="Ann"):
    with sessions.begin() as session:
        return create_student(session, name=name).id


def students(sessions):
    with sessions() as session:
        return reading(session).scalar(select(func.count()).select_from(Student))


# --- saturation, overflow, time-out ---


def test_ten_connections_are_out_at_once(engine, pool_watch, concurrent_runner):
    """2.5 saturation and overflow: ten hold one each, five of them beyond the pool's size."""
    together = threading.Barrier(ALL)

    def hold():
        with engine.connect():
            together.wait(20)

    concurrent_runner(hold, workers=ALL).raise_errors()
    use = pool_watch.use
    assert (use.size, use.capacity, use.peak, use.overflow) == (5, 10, 10, 5)
    assert (use.saturation, use.timeouts, use.waits_ns) == (1.0, 0, ())
    assert (engine.pool.checkedout(), engine.pool.checkedin()) == (0, 5)


def test_overflow_is_closed_when_it_comes_back(engine, concurrent_runner):
    """2.5 overflow: after a peak five connections are kept; the next peak opens them again."""
    for _ in range(3):
        with everything_taken(engine):
            assert engine.pool.in_overflow() == 5
        assert engine.pool.checkedin() == 5


def test_eleventh_waits_until_one_comes_back(engine, pool_watch):
    """2.5 saturation: with all taken the next caller waits, and gets the first that comes back."""
    with ThreadPoolExecutor(1) as other, everything_taken(engine) as taken:
        eleventh = other.submit(lambda: engine.connect().close())
        wait_until(lambda: engine.pool.waits.now == 1)
        assert not eleventh.done()
        taken[0].close()
        eleventh.result(20)
    assert len(pool_watch.use.waits_ns) == 1
    assert (pool_watch.use.timeouts, pool_watch.use.peak) == (0, 10)
    assert (engine.pool.waits.count, engine.pool.waits.now) == (1, 0)


@as_in_production
def test_eleventh_gives_up_after_two_seconds(engine, pool_watch, measure_time):
    """2.5 time-out error: it comes after 2 s, says so, and is counted; then all is well."""
    gone = pytest.raises(PoolTimeout, match=r"size 5 overflow 5 reached.*timeout 2\.00")
    with everything_taken(engine), measure_time("waiting in vain") as timing, gone:
        engine.connect()
    assert timing.duration >= 2
    assert (pool_watch.use.timeouts, engine.pool.waits.timeouts) == (1, 1)
    with everything_taken(engine):
        assert pool_watch.use.peak == ALL
    assert engine.pool.checkedout() == 0


def test_hundred_callers_share_ten_connections(engine, sessions, pool_watch, concurrent_runner):
    """2.5 recovery after exhaustion: 100 callers all get their turn; the pool is whole."""
    add_student(sessions)
    outcome = concurrent_runner(lambda: students(sessions), workers=100).raise_errors()
    assert outcome.tally() == {1: 100}
    assert_slo(outcome, "errors < 5%")
    assert pool_watch.use.peak <= ALL
    assert pool_watch.use.timeouts == 0
    assert engine.pool.checkedout() == 0


@as_in_production
def test_service_answers_503_and_recovers(serve, engine, concurrent_edit_scenario):
    """2.5 recovery after exhaustion: over HTTP it is a 503 with advice, and then 200 again."""
    service = serve()
    with everything_taken(engine):
        refused = service.get("/assignments/1")
    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["advice"]
    assert service.get("/assignments/1").status_code == 200


def test_mutant_without_a_limit_opens_as_many_as_there_are_callers(database):
    """2.5 mutant: with endless overflow an eleventh connection is opened, and a twelfth."""
    endless = make_engine(url_of(database), pool_size=5, max_overflow=-1)
    with ExitStack() as stack:
        taken = [stack.enter_context(endless.connect()) for _ in range(ALL + 2)]
        assert len({id(one.connection.driver_connection) for one in taken}) == ALL + 2
    endless.dispose()


def test_mutant_without_a_time_out_waits_for_ever(database):
    """2.5 mutant: where one pool has given up, one that has no time-out is waiting still."""
    url = url_of(database)
    small = {"pool_size": 1, "max_overflow": 0}
    limited = make_engine(url, pool_timeout=0.1, **small)
    patient = make_engine(url, pool_timeout=10**5, **small)
    with ThreadPoolExecutor(1) as other, limited.connect(), patient.connect() as taken:
        second = other.submit(lambda: patient.connect().close())
        with pytest.raises(PoolTimeout, match=r"timeout 0\.10"):
            limited.connect()
        assert not second.done()
        taken.close()
        second.result(20)
    limited.dispose()
    patient.dispose()


@pytest.mark.performance
@pytest.mark.slo("pool < 70%")
def test_normal_load_leaves_the_pool_room(sessions, pool_watch, concurrent_runner):
    """2.5, 2.11 connection pool in use: six callers at a time never use 70 % of it."""
    concurrent_runner(lambda: students(sessions), workers=6, rounds=20).raise_errors()


# --- leaks ---


def test_session_that_nobody_closed_is_named(engine, sessions):
    """2.5 leak detection: a connection that is out is found, with the line that took it out."""
    with EngineWatch(engine) as watch:
        forgotten = sessions()
        forgotten.scalar(select(func.count()).select_from(Student))
        report = str(find_leaks(watch))
        forgotten.close()
        assert not find_leaks(watch)
    assert "1 transaction open" in report
    assert "1 connection out of the pool" in report
    assert "test_connection_pool.py" in report


def test_nothing_is_out_after_requests_of_every_kind(
    service, engine, concurrent_edit_scenario, concurrent_runner
):
    """2.5 leak detection: answers, refusals and wrong input all give their connection back."""
    paths = ["/assignments/1", "/assignments/99", "/assignments", "/people", "/swaps/7", "/health"]
    outcome = concurrent_runner(service.get, items=paths * 10).raise_errors()
    assert set(outcome.tally(lambda answer: answer.status_code)) == {200, 404}
    wait_until(lambda: engine.pool.checkedout() == 0)


def test_mutant_endpoint_that_keeps_its_session_is_found(engine, sessions, concurrent_runner):
    """2.5 mutant: without ``with`` around the session ten calls empty the pool, and are named."""
    kept = []

    def leaky():
        session = sessions()
        kept.append(session)
        return reading(session).scalar(select(func.count()).select_from(Student))

    with EngineWatch(engine) as watch:
        concurrent_runner(leaky, workers=ALL).raise_errors()
        assert engine.pool.free() == 0
        assert "10 connections out of the pool" in str(find_leaks(watch))
        for session in kept:
            session.close()


def test_transaction_left_open_is_rolled_back_at_its_return(engine, sessions):
    """2.5 isolation: what was not committed is gone when the connection comes back."""
    session = sessions()
    create_student(session, name="Ann")
    session.close()
    assert students(sessions) == 0


# --- killed connections, restarts ---


def kill_idle(engine, database):
    """Kill every connection that waits in a pool, under its feet."""
    if database.backend == "sqlite":
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
        driver.close()
    else:
        database.kill_connections()


def test_killed_connection_is_replaced_unnoticed(engine, sessions, database):
    """2.5 recovery after a killed connection: pre-ping replaces it before anybody gets it."""
    number = add_student(sessions)
    kill_idle(engine, database)
    with sessions() as session:
        assert session.get_one(Student, number).name == "Ann"


def test_five_killed_connections_are_replaced_at_once(
    engine, sessions, database, concurrent_runner
):
    """2.5 recovery after a killed connection: all that were kept may be dead, for all callers."""
    add_student(sessions)
    with everything_taken(engine):
        pass
    kill_idle(engine, database)
    outcome = concurrent_runner(lambda: students(sessions), workers=20).raise_errors()
    assert outcome.tally() == {1: 20}


def test_mutant_without_pre_ping_hands_out_a_dead_connection(database):
    """2.5 mutant: without pre-ping the next caller gets the dead connection, and an error."""
    plain = make_engine(url_of(database), pool_pre_ping=False)
    try:
        with plain.connect():
            pass
        kill_idle(plain, database)
        with pytest.raises(DBAPIError, match=r"closed|terminat"), plain.connect() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        plain.dispose()


@pytest.mark.backends("postgres")
def test_connection_killed_in_a_transaction_loses_all_of_it(sessions, database):
    """2.5 recovery after a killed connection: half a transaction is not kept."""
    with sessions() as session:
        create_student(session, name="Ann")
        database.kill_connections()
        with pytest.raises(OperationalError):
            create_student(session, name="Bob")
        session.rollback()
    assert students(sessions) == 0
    add_student(sessions)
    assert students(sessions) == 1


@pytest.mark.backends("postgres")
def test_killed_operation_is_done_again(sessions, database, concurrent_runner):
    """2.5 recovery after a killed connection: what is retried is done once, whoever was killed."""
    killer = create_engine(database.url)
    killed = threading.Event()

    def add(session):
        create_student(session, name="Ann")
        if not killed.is_set():
            killed.set()
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with killer.begin() as connection:
                connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    outcome = concurrent_runner(lambda: retried(sessions, add), workers=8)
    killer.dispose()
    outcome.raise_errors()
    assert students(sessions) == 8


@pytest.fixture
def own_server(tmp_path):
    """A PostgreSQL of this test alone, which it may crash without disturbing others."""
    server = open_server("postgres", run=f"restart-{tmp_path}")
    yield server
    server.stop()


def test_database_restart_is_survived(own_server, patience, concurrent_runner):
    """2.5 recovery after a restart: every connection is dead, and nobody notices afterwards."""
    with own_server.template("residency", Base.metadata.create_all).clone() as database:
        engine = production_engine(database, pool_timeout=patience)
        sessions = sessionmaker(engine)
        add_student(sessions)
        with everything_taken(engine):
            pass
        with sessions() as session:
            create_student(session, name="Bob")
            own_server.restart()
            with pytest.raises(OperationalError):
                session.commit()
            session.rollback()
        with PoolWatch(engine) as watch:
            outcome = concurrent_runner(lambda: students(sessions), workers=20).raise_errors()
        assert outcome.tally() == {1: 20}
        assert watch.use.timeouts == 0
        engine.dispose()


@pytest.mark.backends("sqlite")
def test_sqlite_opened_again_has_all_that_was_committed(database, sessions):
    """2.5 recovery after a restart: SQLite opened anew has what was committed."""
    add_student(sessions)
    unfinished = sessions()
    create_student(unfinished, name="Bob")
    unfinished.close()
    again = production_engine(database)
    assert students(sessionmaker(again)) == 1
    again.dispose()


# --- isolation ---


@pytest.mark.backends("postgres")
def test_ten_transactions_see_their_own_rows_only(sessions, concurrent_runner):
    """2.5 isolation: ten at once each add a row, see just that one, and give it up."""
    together = threading.Barrier(ALL)

    def add(worker):
        with sessions() as session:
            create_student(session, name=f"{worker.index}")
            together.wait(20)
            seen = session.scalars(select(Student.name)).all()
            together.wait(20)
        return seen == [f"{worker.index}"]

    assert concurrent_runner(add, workers=ALL).raise_errors().tally() == {True: ALL}
    assert students(sessions) == 0


def test_reader_sees_what_was_committed_only(separate_sessions, database_backend):
    """2.5 isolation: a reader waits for nobody and sees no row that is not committed.

    Afterwards its open transaction sees the row on PostgreSQL (read committed); on SQLite it goes
    on seeing what there was when it began.
    """
    everyone = select(func.count()).select_from(Student)
    with separate_sessions("ann", "bob") as (ann, bob):
        create_student(ann, name="Ann")
        reader = bob.start(lambda session: reading(session).scalar(everyone))
        assert (reader.state, reader.result()) == ("done", 0)
        ann.commit()
        assert bob.scalar(everyone) == (0 if database_backend == "sqlite" else 1)
        bob.commit()
        assert bob.scalar(everyone) == 1


@pytest.mark.backends("sqlite")
def test_mutant_that_reads_uncommitted_rows_is_noticed(database):
    """2.5 mutant: connections that share a cache and read uncommitted see the half-done row."""
    url = f"sqlite:///file:{database.url.database}?cache=shared&uri=true"
    engine = create_engine(url, connect_args={"isolation_level": None})
    with engine.connect() as ann, engine.connect() as bob:
        ann.exec_driver_sql("BEGIN")
        ann.exec_driver_sql("INSERT INTO student (name) VALUES ('Ann')")
        bob.exec_driver_sql("PRAGMA read_uncommitted = 1")
        assert bob.exec_driver_sql("SELECT count(*) FROM student").scalar() == 1
        ann.exec_driver_sql("ROLLBACK")
    engine.dispose()


# --- background tasks ---


@pytest.fixture
def background(sessions):
    """Work in the background, on four threads, as the service has it."""
    with ThreadPoolExecutor(4) as executor:
        yield Background(sessions, executor)


def test_each_background_task_has_a_session_of_its_own(background, sessions, engine):
    """2.5 session scope: no two tasks share a session, and none is left open."""
    seen = []

    def work(session, name):
        seen.append(session)
        return create_student(session, name=name).id

    numbers = [background.submit(work, f"{number}") for number in range(30)]
    assert len({each.result(20) for each in numbers}) == 30
    assert len({id(session) for session in seen}) == 30
    assert not any(session.in_transaction() for session in seen)
    assert students(sessions) == 30
    assert engine.pool.checkedout() == 0


def test_background_task_goes_on_after_its_request(background, sessions):
    """2.5 session scope: the request is over, and the task does its work all the same."""
    may_begin = threading.Event()

    def work(session, number):
        assert may_begin.wait(20)
        session.get_one(Student, number).name = "Dr. Ann"

    with sessions.begin() as request:
        student = create_student(request, name="Ann")
        waiting = background.submit(work, student.id)
    may_begin.set()
    waiting.result(20)
    with sessions() as session:
        assert session.get_one(Student, student.id).name == "Dr. Ann"


def test_background_task_that_fails_leaves_nothing(sessions, engine):
    """2.5 session scope: what raised is rolled back and told, and its connection is back."""
    told = []

    def work(session):
        create_student(session, name="Ann")
        message = "half-way"
        raise ValueError(message)

    with ThreadPoolExecutor(4) as executor:
        failed = Background(sessions, executor, failed=told.append).submit(work)
        with pytest.raises(ValueError, match="half-way"):
            failed.result(20)
    assert [str(error) for error in told] == ["half-way"]
    assert students(sessions) == 0
    assert engine.pool.checkedout() == 0


def test_background_task_is_given_no_session_and_no_row(background, sessions):
    """2.5 session scope: what belongs to the request's session is refused, with what to give."""
    with sessions() as request:
        with pytest.raises(BorrowedSession, match="gets a session of its own"):
            background.submit(lambda _own, _other: None, request)
        student = create_student(request, name="Ann")
        with pytest.raises(BorrowedSession, match="This Student lives in another session"):
            background.submit(lambda _own, _row: None, student)


def test_mutant_that_lends_the_requests_session_is_found(engine, sessions):
    """2.5 mutant: a task in the request's session goes down with its transaction."""

    class Lending(Background):
        def submit(self, work, *args):
            return self._executor.submit(work, self.request, *args)

    with ThreadPoolExecutor(1) as executor, sessions() as request:
        lending = Lending(sessions, executor)
        lending.request = request
        lending.submit(lambda session: create_student(session, name="Ann")).result(20)
        assert students(sessions) == 0
        request.rollback()
    assert students(sessions) == 0


# --- metrics ---


def figures(service):
    """Return the pool's figures as Prometheus reads them."""
    page = service.get("/metrics").text
    return {
        sample.name.removeprefix("residency_pool_"): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("residency_pool_")
    }


def test_metrics_say_how_many_are_out_in_overflow_and_waiting(service, engine):
    """2.5 metrics: connections checked out, overflow and waits are on the page, as they are."""
    assert (figures(service)["overflow"], figures(service)["size"]) == (0, 5)
    with ThreadPoolExecutor(1) as other, everything_taken(engine) as taken:
        eleventh = other.submit(lambda: engine.connect().close())
        wait_until(lambda: figures(service)["waiting"] == 1)
        full = figures(service)
        taken[0].close()
        eleventh.result(20)
    assert (full["connections"], full["overflow"]) == (10, 5)
    after = figures(service)
    assert (after["connections"], after["waiting"], after["timeouts_total"]) == (0, 0, 0)
    assert after["waits_total"] == 1
    assert after["wait_seconds_total"] > 0


def test_metrics_go_on_counting_after_the_pool_was_replaced(service, engine):
    """2.5 metrics: an engine that was disposed of has a new pool, whose figures are shown."""
    with engine.connect():
        assert figures(service)["connections"] == 1
    engine.dispose()
    assert figures(service)["connections"] == 0
    with engine.connect():
        assert figures(service)["connections"] == 1


def count_two(run, lock=None):
    """Let two wait for a connection, one of them in vain; return what was counted."""
    waits = Waits()
    waits._lock = lock or waits._lock

    def in_vain():
        with suppress(PoolTimeout), waits.counted():
            raise PoolTimeout

    def served():
        with waits.counted():
            pass

    run(in_vain, served)
    return waits.now, waits.count, waits.timeouts


def test_waits_are_counted_in_every_order(interleave):
    """2.5 metrics: however two waits overlap, both are counted, and nobody waits in the end."""

    @interleave(packages=["residency"])
    def body(run):
        assert count_two(run) == (0, 2, 1)


def test_mutant_that_counts_without_a_lock_is_found(interleave):
    """2.5 mutant: without the lock there is an order in which a wait is lost, or never ends."""
    with pytest.raises(AssertionError, match=r"== \(0, 2, 1\)"):

        @interleave(packages=["residency"])
        def body(run):
            assert count_two(run, NoLock()) == (0, 2, 1)


@pytest.mark.backends("postgres")
def test_mutant_that_tries_once_fails_with_its_connection(sessions, database):
    """2.5 mutant: what is not tried again is lost with the connection that was killed."""

    def add(session):
        session.connection()
        database.kill_connections()
        create_student(session, name="Ann")

    with pytest.raises(OperationalError):
        retried(sessions, add, attempts=1)
    assert students(sessions) == 0
