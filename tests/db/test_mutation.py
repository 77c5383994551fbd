"""Statements with a protection taken away."""

import asyncio

import pytest
from sqlalchemy import text

from pytest_concurrency.db import mutated_statements, separate_sessions
from pytest_concurrency.errors import UsageError

ONCE = text("UPDATE account SET balance = 11 WHERE id = 1 AND balance = :seen")
ALWAYS = r"(\g<0> OR 1 = 1)"


@pytest.mark.parametrize("backend", ["sqlite", "postgres", "mariadb"])
def test_statement_is_sent_without_its_condition(on, backend):
    """What matches is replaced in what the server gets; afterwards nothing is."""
    engine = on(backend).engine()

    with (
        mutated_statements(engine, r"(?<=AND )balance = \S+", ALWAYS) as sent,
        engine.begin() as connection,
    ):
        assert connection.execute(ONCE, {"seen": 99}).rowcount == 1
    with engine.begin() as connection:
        assert connection.execute(ONCE, {"seen": 99}).rowcount == 0

    assert len(sent) == 1
    assert sent[0].endswith(" OR 1 = 1)")


def test_lock_that_is_not_taken_keeps_nobody_waiting(on):
    """The timeline shows what was sent, not what was written."""
    engine = on("postgres").engine()
    lock = text("SELECT balance FROM account WHERE id = 1 FOR UPDATE")

    with (
        mutated_statements(engine, " FOR UPDATE"),
        separate_sessions("ann", "bob", engine=engine) as sessions,
    ):
        ann, bob = sessions
        ann.execute(lock)
        assert bob.start(lock).state == "done"
        shown = sessions.timeline()

    assert "FOR UPDATE" not in shown
    assert "SELECT balance FROM account" in shown


def test_async_engine_is_mutated_too(on):
    """The same for an engine of coroutines."""
    engine = on("sqlite").async_engine()

    async def main():
        async with engine.begin() as connection:
            return (await connection.execute(ONCE, {"seen": 99})).rowcount

    with mutated_statements(engine, r"(?<=AND )balance = \S+", ALWAYS):
        assert asyncio.run(main()) == 1


def test_mutant_that_changes_nothing_is_refused(on):
    """Even where the block fails, as it is expected to: it failed for another reason."""
    engine = on("sqlite").engine()

    def fail():
        with mutated_statements(engine, " FOR UPDATE"), engine.begin() as connection:
            connection.execute(ONCE, {"seen": 10})
            pytest.fail("for another reason")

    with pytest.raises(UsageError) as caught:
        fail()

    assert str(caught.value) == (
        "mutated_statements(' FOR UPDATE'): none of 2 statements matches, "
        "so that nothing was mutated.\n"
        "Search for what is sent:\n"
        "  BEGIN\n"
        "  UPDATE account SET balance = 11 WHERE id = 1 AND balance = ?"
    )


def test_engine_that_sends_nothing_is_told(on):
    """It is not the one that the code uses."""
    with pytest.raises(UsageError) as caught, mutated_statements(on("sqlite").engine(), "WHERE"):
        pass

    assert str(caught.value) == (
        "mutated_statements('WHERE'): the engine sent no statement. "
        "Give the engine that the code under test uses."
    )


def test_pattern_may_begin_with_flags(on):
    """As one that ignores the case of letters does."""
    engine = on("sqlite").engine()

    always = mutated_statements(engine, r"(?i)and BALANCE = \S+", "AND (1 = 1 OR ?)")
    with always as mutants, engine.begin() as connection:
        changed = connection.execute(ONCE, {"seen": 99}).rowcount

    assert (changed, len(mutants)) == (1, 1)


@pytest.mark.parametrize(
    ("pattern", "instead", "why"),
    [
        ("count(", "", "missing ), unterminated subpattern at position 5"),
        ("WHERE", r"\2", "invalid group reference 2 at position 1"),
        ("WHERE", r"\g<name>", "unknown group name 'name'"),
    ],
)
def test_pattern_that_is_none_is_refused(on, pattern, instead, why):
    """Before anything is sent."""
    with (
        pytest.raises(UsageError) as caught,
        mutated_statements(on("sqlite").engine(), pattern, instead),
    ):
        pass

    assert str(caught.value) == (
        f"mutated_statements({pattern!r}, {instead!r}): {why}. "
        f"To search for that very text, write re.escape({pattern!r})."
    )
