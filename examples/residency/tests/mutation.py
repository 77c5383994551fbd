"""Taking a protection away, to see that a test notices."""

from __future__ import annotations

import re
from contextlib import contextmanager

from sqlalchemy import event

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


class NoLock:
    """A lock that locks nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def no_lock(_session, _name):
    """Take no lock: what stands for ``take_lock`` in a mutant."""
