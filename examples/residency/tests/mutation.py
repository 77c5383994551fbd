"""Taking a protection away, to see that a test notices."""

from __future__ import annotations

import re
from contextlib import contextmanager

from sqlalchemy import event, text

ALWAYS = r"(\g<0> OR 1 = 1)"
"""In the place of a condition: it holds whatever the row says."""
NEVER = r"(\g<0> AND 1 = 0)"
"""In the place of a condition: it holds for no row."""


@contextmanager
def rewritten(engine, pattern, instead):
    """Send every statement that has a pattern with something else in its place.

    A mutant that changes nothing proves nothing, so there has to be such a statement.
    """
    found = []

    def rewrite(_connection, _cursor, statement, parameters, _context, _executemany):
        mutated, times = re.subn(pattern, instead, statement)
        found.extend([mutated] * times)
        return mutated, parameters

    event.listen(engine, "before_cursor_execute", rewrite, retval=True)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", rewrite)
    assert found, f"no statement has {pattern!r}"


def drop_constraint(engine, table, name):
    """Take a constraint away from a table; on SQLite, which cannot, the table is made anew."""
    if engine.dialect.name == "sqlite":
        redefine(engine, table, rf",\s*CONSTRAINT {name} .*?(?=, ?\n|\n\))", "")
        return
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))


def redefine(engine, table, pattern, instead):
    """Make a table of SQLite anew, with something else in its definition and the same rows."""
    connection = engine.raw_connection()  # a transaction keeps foreign keys as they were
    cursor = connection.cursor()
    found = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    definition, times = re.subn(pattern, instead, cursor.execute(found, [table]).fetchone()[0])
    assert times == 1, f"the definition of {table} has {pattern!r} {times} times"
    for statement in (
        "PRAGMA foreign_keys = OFF",
        definition.replace(f"CREATE TABLE {table}", "CREATE TABLE redefined", 1),
        f"INSERT INTO redefined SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE redefined RENAME TO {table}",
        "PRAGMA foreign_keys = ON",
    ):
        cursor.execute(statement)
    connection.close()


class NoLock:
    """A lock that locks nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def no_lock(_session, _name):
    """Take no lock: what stands for ``take_lock`` in a mutant."""
