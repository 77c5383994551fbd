"""Clones made ahead: in which order, and with a connection that is open already."""

import os
import threading

import pytest
from sqlalchemy import StaticPool, create_engine, text

from pytest_concurrency.db import SqliteServer
from pytest_concurrency.db.clones import Janitor, Rank


@pytest.fixture
def janitor():
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    made = Janitor(engine)
    yield made
    made.stop()
    engine.dispose()


@pytest.fixture
def held(janitor):
    """A janitor that is kept busy until ``held.set()``, so that jobs pile up."""
    begun, go_on = threading.Event(), threading.Event()

    def job(_):
        begun.set()
        go_on.wait(10)

    janitor.do(job, rank=Rank.ALONE)
    begun.wait(10)
    return go_on


def numbers(engine, query="SELECT pg_backend_pid()"):
    with engine.connect() as connection:
        return connection.scalar(text(query))


def test_making_goes_before_dropping(janitor, held):
    """A test waits for what is made, nobody for what is dropped."""
    done, ended = [], threading.Event()
    janitor.do(lambda _: (done.append("drop"), ended.set()), rank=Rank.DROP)
    janitor.do(lambda _: done.append("make"), rank=Rank.MAKE)

    held.set()
    ended.wait(10)

    assert done == ["make", "drop"]


def test_dropping_catches_up(janitor, held):
    """Where tests are too short to drop between them, what is dead does not pile up for ever."""
    done, ended = [], threading.Event()
    for _ in range(9):
        janitor.do(lambda _: (done.append("drop"), len(done) == 10 and ended.set()), rank=Rank.DROP)
    janitor.do(lambda _: done.append("make"), rank=Rank.MAKE)

    held.set()
    ended.wait(10)

    assert done == ["drop", "make"] + ["drop"] * 8


def test_nothing_is_made_at_the_end(janitor, held):
    """Stopping drops what is to be dropped and makes nothing that nobody takes."""
    done = []
    janitor.do(lambda _: done.append("drop"), rank=Rank.DROP)
    janitor.do(lambda _: done.append("make"), rank=Rank.MAKE)

    stopping = threading.Thread(target=janitor.stop)
    stopping.start()
    while not janitor._stopping:
        os.sched_yield()
    held.set()
    stopping.join(10)

    assert done == ["drop"]


def test_first_connection_is_open_already(on):
    """An engine of the database begins with the connection that was opened ahead."""
    database = on("postgres")
    spare = database._spare
    ahead = spare._connection.info.backend_pid

    engine = database.engine()

    assert numbers(engine) == ahead
    assert spare._connection is None


def test_own_engine_finds_no_other_connection(on):
    """Who connects by the URL, or in a way of their own, meets nobody else in the database."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    database = on("postgres")
    spare = database._spare._connection
    engine = create_engine(database.url)
    assert spare.closed
    assert numbers(engine, count) == 1
    engine.dispose()

    other = on("postgres")
    spare = other._spare._connection
    engine = other.engine(connect_args={"application_name": "mine"})
    assert spare.closed
    assert numbers(engine, "SHOW application_name") == "mine"


def test_few_connections_are_open_ahead(postgres_server):
    """However many templates there are, eight connections wait at most."""
    spares = type(postgres_server._spares)()
    url = postgres_server.url
    made = [spares.connect(url) for _ in range(9)]

    assert [one._connection is None for one in made] == [True] + [False] * 8
    spares.close()
    assert all(one._connection is None for one in made)


def test_databases_of_other_servers_have_no_spare(bank_schema):
    """SQLite connects in no time."""
    server = SqliteServer()
    with server.template("bank", bank_schema).clone() as database:
        assert database._spare is None
    server.stop()
