"""A step of a session that failed and that nobody looked at is no pass."""

from __future__ import annotations

import sqlalchemy.orm  # noqa: F401 - inner sessions forget what they import first

STEPS = """
import pytest

def test_never_asks(separate_sessions):
    with separate_sessions("ann", "bob") as (ann, bob):
        bob.start("SELECT 1")
        bob.start("SELECT 1 FROM nowhere")

@pytest.mark.parametrize("look", ["error", "state", "cycle", "result"])
def test_asks(separate_sessions, look):
    with separate_sessions("ann") as (ann,):
        step = ann.start("SELECT 1 FROM nowhere")
        ann.rollback()
        try:
            asked = getattr(step, look)
            asked() if callable(asked) else None
        except Exception:
            pass

def test_fails_anyway(separate_sessions):
    with separate_sessions("ann") as (ann,):
        ann.start("SELECT 1 FROM nowhere")
    assert False, "its own failure"
"""
TEXT = """\
session 'bob': its step at test_it.py:6 failed, and nobody looked at it:
  SELECT 1 FROM nowhere
  OperationalError: (sqlite3.OperationalError) no such table: nowhere
Ask for step.result(), or for step.error if that is expected."""


def test_step_that_nobody_looked_at_fails_the_test(suite):
    """At the test's line, with the line of the step; who looked, or failed, is let be."""
    ran = suite(STEPS)

    assert ran.outcomes == {"failed": 2, "passed": 4}
    shown = TEXT.replace("\n", "\nE   ")
    section = ran.section("test_never_asks")
    assert ">   def test_never_asks(separate_sessions):\n" in section
    assert f"E   pytest_concurrency.BrokenPromise: {shown}\n" in section
    assert "its own failure" in ran.section("test_fails_anyway")
    assert "nobody looked" not in ran.section("test_fails_anyway")


def test_step_that_nobody_looked_at_can_be_a_warning(suite):
    """One, for the line of the test."""
    ran = suite(STEPS, "--concurrency-unseen=warn", "-k", "never")

    assert (ran.outcomes, ran.warned) == ({"passed": 1, "deselected": 5}, 1)
    assert TEXT.replace("\n", "\n  ") in ran.text


def test_step_that_nobody_looked_at_can_be_let_be(suite):
    """Where a project wants that."""
    ran = suite(STEPS, "--concurrency-unseen=ignore", "-k", "never")

    assert ran.outcomes == {"passed": 1, "deselected": 5}


ASYNC = """
import asyncio
import pytest

@pytest.fixture
def database_engine(database):
    return database.async_engine()

async def play(separate_sessions, looks):
    async with separate_sessions("ann") as (ann,):
        step = await ann.start("SELECT 1 FROM nowhere")
        if looks:
            assert step.state == "failed"

@pytest.mark.parametrize("looks", [True, False])
def test_plays(separate_sessions, looks):
    asyncio.run(play(separate_sessions, looks))
"""


def test_step_of_an_async_session_is_a_step(suite):
    """It fails the test in the same way, unless somebody looks."""
    ran = suite(ASYNC)

    assert ran.outcomes == {"passed": 1, "failed": 1}
    assert "session 'ann': its step at test_it.py:10 failed, and nobody looked at it" in ran.text
