"""What a test left open in its database is told in full, and the next test goes on."""

from __future__ import annotations

import re

import pytest
import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first

LEAKS = """
from sqlalchemy import text

kept = []

def test_leaves(database_engine):
    kept.append(database_engine.connect())
    kept[0].execute(text("SELECT 1"))

def test_goes_on(database_engine):
    with database_engine.connect() as connection:
        assert connection.scalar(text("SELECT 2")) == 2
"""
TEXT = """\
The test left 1 transaction open and 1 connection out of the pool:

  connection N  idle in transaction TIME   SELECT 1
                opened at test_it.py:6, used last at test_it.py:7
Close the session, or use it as a context manager:  with separate_sessions("ann") as (ann,):"""
FAILS = """\
>   def test_leaves(database_engine):
    ^^^^^^^^^^^
E   pytest_concurrency.BrokenPromise: The test left 1 transaction open and 1 connection out of the pool:
E   
E     connection N  idle in transaction TIME   SELECT 1
E                   opened at test_it.py:6, used last at test_it.py:7
E   Close the session, or use it as a context manager:  with separate_sessions("ann") as (ann,):

test_it.py:5: BrokenPromise"""
SHARED = """
import threading
from sqlalchemy import text

def test_shares(separate_sessions, concurrent_runner):
    with separate_sessions("ann") as (ann,):
        def use():
            ann.execute(text("SELECT 1"))

        concurrent_runner(use, workers=2).raise_errors()
"""
TIMELINE = """
from sqlalchemy import text

def test_fails(separate_sessions):
    with separate_sessions("ann", "bob") as (ann, bob):
        ann.execute(text("CREATE TABLE seat (taken INTEGER)"))
        waiting = bob.start("SELECT 1")
        assert waiting.state == "done"
"""
SENT = """\
E           What the sessions sent:
E           
E             ann                                            bob
E           1 BEGIN IMMEDIATE
E           2 CREATE TABLE seat (taken INTEGER)
E           3                                                BEGIN IMMEDIATE
E                                                            ... waits for ann: the database's write lock
"""
HANGS = """
import threading
from sqlalchemy import text

def test_hangs(concurrent_runner, separate_sessions):
    first = threading.Event()

    def count(worker):
        if worker.index:
            first.wait()
        session = sessions.own()
        session.execute(text("UPDATE seat SET taken = taken + 1"))
        first.set()

    with separate_sessions() as sessions:
        concurrent_runner(count, workers=2, timeout="300ms").raise_errors()

def test_goes_on(separate_sessions):
    assert [thread.name for thread in threading.enumerate() if "worker" in thread.name] == []
"""
SEATS = """
import pytest
from sqlalchemy import text

@pytest.fixture(scope="session")
def database_schema():
    def build(engine):
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE seat (id INTEGER, taken INTEGER)"))
            connection.execute(text("INSERT INTO seat VALUES (1, 0)"))
    return build
"""
HANG = """\
E           pytest_concurrency.HangError: 1 of 2 workers did not end within TIME:
E           
E             worker 1  in count  test_it.py:11  session.execute(text("UPDATE seat SET taken = taken + 1"))
E                       waits in {place}, held by worker 0, idle in transaction for TIME since
E                       UPDATE seat SET taken = taken + 1  at test_it.py:11 (test_it.py::test_hangs worker 0, which has ended)
E           
E           1 worker had ended: 1 value, no error. Its results are in the outcome attached to this failure.
"""


def narrow(text):
    """Put aside how far the second line of a leak is indented."""
    return re.sub(r" +opened", " opened", re.sub(r"connection \d+", "connection N", text))


@pytest.mark.parametrize("back_end", ["sqlite", "postgres"])
def test_what_is_left_open_fails_the_test(suite, back_end):
    """The whole text; and the next test finds its database as it should be."""
    ran = suite(LEAKS, f"--concurrency-db={back_end}")

    assert ran.outcomes == {"passed": 2, "errors": 1}
    assert narrow(ran.section("ERROR at teardown of test_leaves")) == narrow(FAILS)


def test_what_is_left_open_may_be_a_warning(suite):
    """The same text, and the test passes."""
    ran = suite(LEAKS, "--concurrency-leaks=warn")

    assert (ran.outcomes, ran.warned) == ({"passed": 2}, 1)
    shown = "\n".join(line.removeprefix("  ") for line in ran.text.splitlines())
    assert narrow(f"test_it.py::test_leaves: {TEXT}") in narrow(shown)


def test_what_is_left_open_may_be_ignored(suite):
    """Nothing is said."""
    ran = suite(LEAKS, "--concurrency-leaks=ignore", apart=True)

    assert (ran.outcomes, ran.warned) == ({"passed": 2}, 0)
    assert "left 1 transaction" not in ran.text


def test_word_that_is_no_policy_is_refused(suite):
    """The near miss is told."""
    ran = suite(LEAKS, "--concurrency-leaks=warm")

    assert ran.message == (
        "--concurrency-leaks=warm: there is no 'warm'. Write --concurrency-leaks=warn."
    )


def test_session_of_two_workers_is_refused_with_both_places(suite):
    """Where it was used first, and where now."""
    ran = suite(SHARED)

    assert ran.outcomes["failed"] == 1
    text = ran.section("test_shares")
    assert "BrokenPromise: session 'ann' is touched by two workers" in text
    assert len(re.findall(r"  (first|now  ) .*worker \d  at test_it.py:7  in use", text)) == 2
    assert "with separate_sessions() as sessions:  ...  sessions.own() in each worker" in text


def test_failure_shows_what_the_sessions_sent(suite):
    """Column by column, with what waited for what."""
    ran = suite(TIMELINE)

    assert ran.outcomes == {"failed": 1}
    assert SENT in ran.section("test_fails") + "\n"


@pytest.mark.parametrize(
    ("back_end", "place"),
    [
        ("sqlite", "SQLite for the database's write lock"),
        ("postgres", "PostgreSQL for row seat(id=1, taken=0)"),
    ],
)
def test_hang_tells_who_holds_what_in_the_database(suite, back_end, place):
    """The line that waits, the lock, its holder, and where that got it; nobody is left behind."""
    ran = suite(HANGS, f"--concurrency-db={back_end}", conftest=SEATS)

    assert ran.outcomes == {"failed": 1, "passed": 1}
    shown = ran.section("test_hangs")
    if back_end == "postgres":
        shown = re.sub(r"PostgreSQL for .*?, held", "PostgreSQL for LOCK, held", shown)
        place = "PostgreSQL for LOCK"
    assert HANG.format(place=place) in shown
