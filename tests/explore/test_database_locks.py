"""A lock inside a database is nobody's race."""

import sqlite3
from contextlib import closing

import pytest

from pytest_concurrency import Uncontrolled, interleave

TEXT = """\
A worker was paused while it held a lock of the database, and the others gave up waiting for it:
  database is locked
Locks inside a database cannot be controlled here, so this accuses nobody.
Give each worker a session, and say the order:
  with separate_sessions("ann", "bob") as (ann, bob): ..."""


class Account:
    """A balance in a file, and how often it was changed."""

    def __init__(self, path):
        self.path = path
        self.changes = 0
        with closing(sqlite3.connect(path)) as made:
            made.execute("CREATE TABLE IF NOT EXISTS account (balance INTEGER)")

    def deposit(self):
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.changes = self.changes + 1
            connection.execute("INSERT INTO account VALUES (1)")
            connection.execute("COMMIT")
        finally:
            connection.close()


def test_a_locked_database_is_told_and_accuses_nobody(tmp_path):
    """A worker that is refused a lock of SQLite's is no finding: the text says what to use."""

    def body(run):
        account = Account(tmp_path / "bank.db")
        run(account.deposit, account.deposit)

    with pytest.raises(Uncontrolled) as told:
        interleave(body)

    assert str(told.value) == TEXT


def test_a_locked_database_is_played_once():
    """Each play takes as long as the database waits: nothing is shrunk that accuses nobody."""
    plays = []

    def body(run):
        plays.append(1)
        rows = []
        run(lambda: rows.append(1), lambda: rows.append(2))
        if rows == [2, 1]:
            plays.append("locked")
            msg = "database is locked"
            raise sqlite3.OperationalError(msg)

    with pytest.raises(Uncontrolled):
        interleave(body)

    assert plays.count("locked") == 1
    assert plays[-1] == "locked"
