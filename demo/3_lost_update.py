"""A lost update in SQL, its order written down, and the same order prevented.

Both sessions have a connection of their own and their commits are real. `start` returns when the
statement has ended, or when the database makes it wait: nobody sleeps. The first test fails, and
shows which statement went when; the second lets the database do the adding, and passes.
"""

import pytest
from sqlalchemy import text

EXPECTED = "1 failed, 1 passed"

READ = text("SELECT balance FROM account WHERE id = 1")
WRITE = text("UPDATE account SET balance = :balance WHERE id = 1")
ADD = text("UPDATE account SET balance = balance + :amount WHERE id = 1")


@pytest.fixture(scope="session")
def database_schema():
    def build(engine):
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE account (id INTEGER, balance INTEGER)"))
            connection.execute(text("INSERT INTO account VALUES (1, 10)"))

    return build


def read(session):
    balance = session.scalar(READ)
    session.commit()
    return balance


def test_both_deposits_count_when_code_adds(separate_sessions):
    with separate_sessions("ann", "bob") as (ann, bob):
        balances = read(ann), read(bob)
        ann.execute(WRITE, {"balance": balances[0] + 5})
        waiting = bob.start(WRITE, {"balance": balances[1] + 7})
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        waiting.result()
        bob.commit()
        assert read(ann) == 22


def test_both_deposits_count_when_the_database_adds(separate_sessions):
    with separate_sessions("ann", "bob") as (ann, bob):
        ann.execute(ADD, {"amount": 5})
        waiting = bob.start(ADD, {"amount": 7})
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        waiting.result()
        bob.commit()
        assert read(ann) == 22
